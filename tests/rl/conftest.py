from __future__ import annotations

from pathlib import Path

import pytest

from dexhand_env.rl.training import run_training

from .runs import spec


@pytest.fixture(scope="package")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six iterations without a break. Not to be changed."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    run_training(spec(), folder)
    return folder
