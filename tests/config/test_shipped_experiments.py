"""Every experiment file of the repository is a good one, listed or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dexhand_env.config.experiment import SECTIONS, load_experiment

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "experiments")


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_run_with_a_line_in_the_list(name: str, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(CONFIGS / f"{name}.yaml", tmp_path / "configs")
    (tmp_path / "configs" / "experiments.yaml").write_text(f"{name}: [0, 1]\n")
    experiment = load_experiment(name, tmp_path)
    for section in SECTIONS:
        assert experiment.section(section)["experiment"] == name
    assert experiment.notices == []
    assert experiment.max_iterations % experiment.params.config.save_frequency == 0


def test_a_blind_policy_sees_nothing_of_the_object(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    shutil.copy(CONFIGS / "DexGraspBlind.yaml", tmp_path / "configs")
    (tmp_path / "configs" / "experiments.yaml").write_text("DexGraspBlind: [0]\n")
    seen = load_experiment("DexGraspBlind", tmp_path).task.observations.policy
    assert not [key for key in seen if "object" in key or key == "gentleness"]
