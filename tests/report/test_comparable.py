"""Success rates are tested against one another only where the same was asked of both policies."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dexhand_env.config.registry import default_task
from dexhand_env.report.comparable import asked_differently
from dexhand_env.report.comparison import pairs_of, read_compared, untested_of
from dexhand_env.stages.compare import compare
from dexhand_env.stages.report import write_report

from .synthetic import edit_json, write_results

CONDITIONS = ("training", "reference")


def config(task: str = "DexGrasp") -> dict[str, Any]:
    """The settings of an experiment, as config/report.json has them."""
    evaluation = {"episodes": 100, "first_seed": 2000, "conditions": list(CONDITIONS)}
    return {"task": task, "env": copy.deepcopy(default_task(task)), "train": {}, "evaluation": evaluation}


def changed(key: str, value: Any, task: str = "DexGrasp") -> list[list[str]]:
    """The differences under each condition where one setting has another value."""
    other = config(task)
    section = other
    *path, last = key.split(".")
    for part in path:
        section = section[part]
    assert section.get(last) != value
    section[last] = value
    return [asked_differently(config(task), other, name) for name in CONDITIONS]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.success.distance_m", 0.1),
        ("env.success.hold_steps", 1),
        ("env.failure.fingertip_force_n", 30.0),
        ("env.target.position_range_m", 0.2),
        ("env.start.object_position_range_m", 0.1),
        ("env.object.shape", "sphere"),
        ("env.episode_length_steps", 500),
        ("env.randomisation.action_noise", 0.05),
        ("env.hand.base_force_limit_n", 100.0),
        ("env.actions.base.policy", False),
        ("env.actions.base.fixed_targets", [0.1, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ("evaluation.first_seed", 3000),
    ],
)
def test_what_decides_success_is_named(key: str, value: Any) -> None:
    for differences in changed(key, value):
        assert [text.partition(" (")[0] for text in differences] == [key]


def test_a_goal_decides_too() -> None:
    assert changed("env.goal.position_range_m", 0.3, "BaseTask") == [["env.goal.position_range_m (0.15, 0.3)"]] * 2


def test_the_physics_of_training_decides_there_alone() -> None:
    assert changed("env.sim.physics", "fast") == [["env.sim.physics (default, fast)"], []]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.rewards.reach", 3.0),
        ("env.reward_scales.near_m", 0.2),
        ("env.observations.policy", ["joint_positions"]),
        ("env.curriculum", {"success_rate": 0.5}),
        ("env.sim.backend", "mujoco_warp"),
        ("env.actions.mode", "position"),
        ("env.actions.base.linear_velocity_limit_m_per_s", 0.2),
        ("evaluation.episodes", 500),
        ("train.num_envs", 8),
    ],
)
def test_how_a_policy_learned_does_not(key: str, value: Any) -> None:
    if key == "train.num_envs":
        assert asked_differently(config(), {**config(), "train": {"num_envs": 8}}, "training") == []
    else:
        assert changed(key, value) == [[], []]


def test_such_pairs_get_a_remark_and_no_test(tmp_path: Path) -> None:
    for name, rate in (("Strict", 0.3), ("Loose", 0.9), ("Like", 0.35)):
        folder = write_results(tmp_path, experiment=name, success_rate=rate, episodes=64)
        if name == "Loose":
            values = json.loads((folder / "config/report.json").read_text(encoding="utf-8"))["config"]
            values["env"]["success"]["position_m"] = 1.0
            edit_json(folder / "config/report.json", config=values)
        write_report(folder)
    found = [read_compared(tmp_path / name) for name in ("Strict", "Loose", "Like")]
    assert {(pair.first, pair.second) for pair in pairs_of(found)} == {("Strict", "Like")}
    assert {(pair.first, pair.second) for pair in untested_of(found)} == {("Strict", "Loose"), ("Loose", "Like")}
    page = compare(["Strict", "Loose"], tmp_path).read_text(encoding="utf-8")
    assert "P-values" not in page
    assert "Not tested against one another" in page
    assert "env.success.position_m (0.01, 1.0)" in page
    assert "No two of them" not in page
