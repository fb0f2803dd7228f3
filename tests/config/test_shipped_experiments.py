"""Every experiment file of the repository is a good one, listed or not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dexhand_env.config.experiment import SECTIONS, load_experiment
from dexhand_env.errors import UserError

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


def test_a_variant_fixes_what_the_training_randomises(tmp_path: Path) -> None:
    """By a range of one value, or by null and the object's own."""
    (tmp_path / "configs").mkdir()
    text = (CONFIGS / "DexGraspRandomised.yaml").read_text()
    own = "{randomisation: {object_shapes: null, object_size_m: null}, object: {shape: sphere}}"
    text = text.replace("  variants:\n", f"  variants:\n    own: {own}\n")
    (tmp_path / "configs" / "DexGraspRandomised.yaml").write_text(text)
    (tmp_path / "configs" / "experiments.yaml").write_text("DexGraspRandomised: [0]\n")
    experiment = load_experiment("DexGraspRandomised", tmp_path)
    trained: Any = experiment.task
    assert trained.randomisation.object_shapes == ("cube", "sphere", "cylinder", "box")
    variants = experiment.section("evaluation")["evaluation"]["variants"]
    read: dict[str, Any] = {name: type(trained).model_validate(each["env"]) for name, each in variants.items()}
    assert read["own"].randomisation.object_shapes is read["own"].randomisation.object_size_m is None
    assert read["own"].object.shape == "sphere"
    assert read["own"].randomisation.object_mass_kg == trained.randomisation.object_mass_kg
    assert read["8 cm"].randomisation.object_size_m == (0.08, 0.08)
    assert read["8 cm"].randomisation.object_shapes == trained.randomisation.object_shapes
    assert read["no pushes"].randomisation.pushes is None


@pytest.mark.parametrize("key", ["friction: 0.3", "mass_kg: 0.5", "shape: sphere"])
def test_a_variant_of_what_is_drawn_anyhow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    text = (CONFIGS / "DexGraspRandomised.yaml").read_text()
    text = text.replace("  variants:\n", f"  variants:\n    other: {{object: {{{key}}}}}\n")
    (tmp_path / "configs" / "DexGraspRandomised.yaml").write_text(text)
    (tmp_path / "configs" / "experiments.yaml").write_text("DexGraspRandomised: [0]\n")
    name = key.split(":")[0]
    with pytest.raises(
        UserError, match=rf"Randomised.yaml:\d+:\d+: evaluation.variants.other.object.{name}: does nothing"
    ):
        load_experiment("DexGraspRandomised")
