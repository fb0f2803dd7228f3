"""DexGrasp's schema: what an object may be, ranges, thresholds."""

from __future__ import annotations

import math

import pytest

from dexhand_env.config.dex_grasp import DexGraspConfig
from dexhand_env.config.registry import find_task, load_task
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.errors import UserError


def dex_grasp(*overrides: str) -> DexGraspConfig:
    config = load_task("DexGrasp", parse_overrides(overrides, "--set"), "--set")
    assert isinstance(config, DexGraspConfig)
    return config


def test_the_task_is_the_one_that_is_documented() -> None:
    config = dex_grasp()
    assert (config.object.shape, config.object.extents_m, config.object.mass_kg) == ("cube", (0.05,) * 3, 0.1)
    success = config.success
    assert (success.distance_m, success.speed_m_per_s, success.hold_steps) == (0.05, 0.1, 50)
    assert config.episode_length_steps == 300
    assert config.target.height_range_m == (0.2, 0.3)
    assert config.observation_length("policy") == 160
    entry = find_task("DexGrasp")
    assert entry.train_file.name == "DexGraspPPO.yaml"


def test_success_is_worth_more_than_holding_on_for_ever() -> None:
    """Gamma 0.99: 100 times the most that a step without success pays."""
    rewards = dex_grasp().rewards
    most = sum(rewards[name] for name in ("reach", "contact", "lift", "target", "hold"))
    assert rewards["success"] > 100.0 * most
    assert all(rewards[name] < 0.0 for name in ("excess_force", "excess_penetration", "action_rate"))


@pytest.mark.parametrize(
    ("shape", "size", "extents"),
    [
        ("sphere", "0.06", (0.06, 0.06, 0.06)),
        ("cylinder", "[0.04, 0.04, 0.08]", (0.04, 0.04, 0.08)),
        ("box", "[0.04, 0.05, 0.06]", (0.04, 0.05, 0.06)),
    ],
)
def test_objects_of_every_shape(shape: str, size: str, extents: tuple[float, ...]) -> None:
    assert dex_grasp(f"object.shape={shape}", f"object.size_m={size}").object.extents_m == extents


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("object.shape=cone", "object.shape: found 'cone'; allowed: cube, sphere, cylinder, box"),
        ("object.size_m=0.2", "object.size_m: found 0.2; allowed: a number from 0.02 to 0.1 or a list of 3 items"),
        ("object.size_m=0", "object.size_m: found 0; allowed: a number from 0.02 to 0.1"),
        ("object.size_m=[0.05, 0.05]", "object.size_m: found a list of 2 items; allowed: a number from 0.02 to 0.1 or"),
        (
            "object.size_m=[0.04, 0.05, 0.06]",
            "object.size_m: found a list of 3 items for a cube; allowed: one size; a box may have three",
        ),
        (
            "object={shape: cylinder, size_m: [0.04, 0.05, 0.06]}",
            "object.size_m: found a list of 3 items for a cylinder; allowed: equal x and y; a box may have three",
        ),
        ("object.mass_kg=0", "object.mass_kg: found 0; allowed: a number from 0.005 to 2"),
        ("target.height_range_m=[0.3, 0.2]", "target.height_range_m: found [0.3, 0.2]; allowed: the lowest first"),
        ("target.height_range_m=[0.2]", "target.height_range_m: found a list of 1 item; allowed: a list of 2 items"),
        ("target.position_range_m=-0.1", "target.position_range_m: found -0.1; allowed: a number from 0 to 0.5"),
        ("start.hand_position_range_m=[0, 0, -1]", "hand_position_range_m[2]: found -1; allowed: a number from 0 to 0"),
        (
            "start.hand_position_m=[-0.98, 0, 0]",
            "start.hand_position_m[0]: found -0.98 +- 0.05 m for ARTx; allowed: from -1 to 1 m",
        ),
        (
            "start={hand_rotation_rad: [0, 0, 2], hand_rotation_range_rad: 1.2}",
            "start.hand_rotation_rad[2]: found 2 +- 1.2 rad for ARRz; allowed: from -3.14 to 3.14 rad",
        ),
        (
            "start.finger_positions_rad=[1.3, 0.3, 0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0]",
            "start.finger_positions_rad[3]: found 0.5 rad for spread; allowed: from 0 to 0.3 rad",
        ),
        ("start.object_yaw_range_rad=4", "start.object_yaw_range_rad: found 4; allowed: a number from 0 to 3.14159"),
        ("success.hold_steps=301", "success.hold_steps: 301 steps do not fit an episode; allowed: at most"),
        ("failure.reach_m=0.06", "failure.reach_m: found 0.06; allowed: at least 0.08, beyond where objects may lie"),
        ("failure.fingertip_force_n=0", "failure.fingertip_force_n: found 0; allowed: a number above 0 and at most"),
        ("failure.penetration_m=2", "failure.penetration_m: found 2; allowed: a number above 0 and at most 1"),
        ("rewards.grip=1", "rewards.grip: unknown reward; allowed:"),
        ("observations.policy=[object_positon]", "unknown observation 'object_positon'; allowed: object_position (the"),
    ],
)
def test_a_mistake_is_one_line(override: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        dex_grasp(override)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_objects_and_targets_lie_within_reach() -> None:
    reach = math.sqrt(2.0) * 0.15
    override = f"failure.reach_m={reach + 0.001}"
    assert dex_grasp("target.position_range_m=0.15", override).failure.reach_m > reach
    with pytest.raises(UserError, match=r"failure\.reach_m: found 0\.2; allowed: at least 0\.29"):
        dex_grasp("start.object_position_range_m=0.2", "failure.reach_m=0.2")
