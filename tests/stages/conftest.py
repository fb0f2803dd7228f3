from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .pipeline import run_all, write_configs


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny experiment has been trained, selected and evaluated. Not to be changed."""
    root = tmp_path_factory.mktemp("stages") / "finished"
    root.mkdir()
    write_configs(root)
    run_all(root)
    return root


@pytest.fixture
def mine(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "mine"))
