"""BaseTask is learned: the shipped experiment for real, with a seed that it does not ship."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dexhand_env.stages.validate import validate

ROOT = Path(__file__).resolve().parents[2]
SEED = 7


@pytest.mark.slow
def test_another_seed_learns_base_task_in_the_same_time(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("BaseTask.yaml", "experiments.yaml"):
        text = (ROOT / "configs" / name).read_text().replace("BaseTask: [42]", f"BaseTask: [{SEED}]")
        (tmp_path / "configs" / name).write_text(text)
    for section in ("train", "selection", "evaluation"):
        validate("BaseTask", section, tmp_path)
    for stage in ("train", "select", "evaluate"):
        command = [sys.executable, "-m", f"dexhand_env.stages.{stage}", "BaseTask", str(SEED)]
        subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    evaluation = json.loads((tmp_path / f"results/BaseTask/seed{SEED}/evaluation.json").read_text())
    for condition in evaluation["conditions"].values():
        assert condition["episodes"] == 1024
        assert condition["interval"][0] >= 0.96
