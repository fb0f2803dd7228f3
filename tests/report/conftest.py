"""One finished experiment with its page, shared by the tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dexhand_env.stages.report import write_report

from .synthetic import VARIANTS, write_results


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/BaseTask of one seed with some variants, report and joined evaluation written."""
    folder = write_results(tmp_path_factory.mktemp("results"), variants=VARIANTS)
    write_report(folder)
    return folder


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """results/BaseTask of one seed as the pipeline leaves it for the report stage; small, free to be damaged."""
    return write_results(tmp_path / "results", episodes=64)
