"""Clones of the working tree in which the tiny experiment has run once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .clone import Clone, Run, new_clone

REPORT = "results/Tiny/report.html"


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Run, dict[str, set[str]]]:
    """A clone (not to be changed) after its first run by Snakemake, that run, and the files that each stage read."""
    clone = new_clone(tmp_path_factory.mktemp("pipeline") / "first", "Tiny: [1]\n")
    run = clone.snakemake(REPORT)
    return clone, run, {stage: clone.opened(stage) for stage in run.stages}


@pytest.fixture
def done(first_run: tuple[Clone, Run, dict[str, set[str]]], tmp_path: Path) -> Clone:
    """A clone of one's own in which everything is up to date."""
    return first_run[0].copy(tmp_path / "clone")


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Clone]:
    """Makes a clone in which nothing has run, given the text of configs/experiments.yaml."""

    def make(experiments: str) -> Clone:
        return new_clone(tmp_path / "fresh", experiments)

    return make


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may write to; pytest's own are closed to others."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
