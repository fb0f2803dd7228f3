"""What an environment draws and pays at the levels of a curriculum."""

from __future__ import annotations

from typing import Any, Dict, Optional

import pytest
import torch

from dexhand_env.config.curriculum import config_at
from dexhand_env.config.registry import load_task
from dexhand_env.env.vec_env import DexHandEnv

from .environments import assert_equal, play, random_actions, training_env
from .scripted_task import ScriptedTask, build, task_config
from .test_randomisation import EVERYTHING, OF_OBJECTS

SHORT: Dict[str, Any] = {"sim": {"physics": "fast"}, "episode_length_steps": 12, "stagger_first_episodes": False}
WIDENINGS = 4
BEGINNINGS: Dict[str, Dict[str, Any]] = {
    "BaseTask": {
        "goal.position_range_m": 0.01,
        "goal.rotation_range_rad": 0.0,
        "success.position_m": 0.5,
        "reward_scales.position_scale_m": 0.1,
        "rewards.position_progress": 1.0,
        "randomisation.gain_factor": [1.0, 1.0],
        "randomisation.action_delay_steps": [0, 0],
        "randomisation.observation_noise.joint_positions": 0.0,
        "randomisation.pushes.base_m_per_s": 0.1,
    },
    "DexGrasp": {
        "start.hand_position_range_m": [0.0, 0.01, 0.01],
        "start.object_yaw_range_rad": 0.0,
        "target.height_range_m": [0.05, 0.05],
        "success.hold_steps": 1,
        "success.distance_m": 0.5,
        "actions.base.linear_velocity_limit_m_per_s": 1.0,
        "actions.fingers.velocity_limit_rad_per_s": 5.0,
        "failure.reach_m": 1.0,
        "reward_scales.force_limit_n": 20.0,
        "rewards.hold": 0.1,
        "randomisation.object_friction": [1.0, 1.0],
        "randomisation.object_size_m": [0.05, 0.05],
        "randomisation.action_delay_steps": [2, 5],
        "randomisation.observation_noise.object_position": 0.0,
    },
}
RANDOMISATION = {"BaseTask": EVERYTHING, "DexGrasp": OF_OBJECTS}


def eased(task: str, **overrides: Any) -> Any:
    """With everything randomised, and most of it in the curriculum."""
    curriculum = {"success_rate": 0.5, "episodes": 1, "widenings": WIDENINGS, "from": BEGINNINGS[task]}
    randomisation = {**RANDOMISATION[task], "pushes": {"every_s": [0.06, 0.2], "base_m_per_s": 0.3}}
    success = {"hold_steps": 5}
    return load_task(
        task, {**SHORT, "success": success, "randomisation": randomisation, "curriculum": curriculum, **overrides}
    )


def spread(values: Optional[torch.Tensor]) -> float:
    """From the least to the largest over all worlds."""
    assert values is not None
    return float(values.max() - values.min())


def targets(env: DexHandEnv) -> torch.Tensor:
    found = env.task.target_positions()
    assert found is not None
    return found


def heights(env: DexHandEnv) -> torch.Tensor:
    """Of the targets above where each world's object lies."""
    extents_m = env.sim.parameters.object_extents_m
    assert extents_m is not None
    return targets(env)[:, 2] - extents_m[:, 0, 2] / 2.0


def test_base_task_draws_from_the_ranges_of_its_level() -> None:
    config = eased("BaseTask")
    env, found = training_env(64, 0, config_at(config, 0)), []
    for level in (0, WIDENINGS // 2, WIDENINGS):
        env.use(config_at(config, level))
        env.reset()
        goals = env.task.goal_controls()["controls"]
        found.append((spread(goals[:, 0]), spread(goals[:, 3]), spread(env.sim.parameters.gain_factors)))
    (near, still, alike), (half, turned, _), (full, farthest, differing) = found
    assert 0.0 < near <= 0.02
    assert (still, alike) == (0.0, 0.0)
    assert 0.12 < half <= 0.16  # +- 0.08
    assert 0.4 < turned <= 0.5
    assert 0.25 < full <= 0.3
    assert 0.8 < farthest <= 1.0
    assert 0.6 < differing <= 0.7


def test_dex_grasp_draws_from_the_ranges_of_its_level() -> None:
    ranges = {**OF_OBJECTS, "object_shapes": ["cube"]}
    config = eased("DexGrasp", randomisation=ranges)
    env = training_env(64, 0, config_at(config, 0))
    first = targets(env)
    assert spread(heights(env)) == pytest.approx(0.0, abs=1e-6)
    assert spread(env.hand.joint_positions[:, 0]) == pytest.approx(0.0, abs=1e-6)
    assert spread(env.sim.parameters.object_frictions) == 0.0
    assert spread(env.sim.parameters.object_extents_m) == 0.0
    env.use(config_at(config, WIDENINGS))
    assert torch.equal(targets(env), first)  # running episodes go on
    env.reset()
    assert 0.08 < spread(heights(env)) <= 0.1
    assert 0.08 < spread(env.hand.joint_positions[:, 0]) <= 0.1 + 1e-6
    assert 0.8 < spread(env.sim.parameters.object_frictions) <= 0.9
    assert 0.025 < spread(env.sim.parameters.object_extents_m) <= 0.03


@pytest.mark.parametrize("task", BEGINNINGS)
def test_a_widened_environment_is_one_that_was_made_so(task: str) -> None:
    """Whatever a level changes: from equal states both go on with equal bits, to the same rewards and endings."""
    config = eased(task)
    widened, made = training_env(6, 1, config_at(config, 0)), training_env(6, 2, config)
    for env in (widened, made):
        play(env, random_actions(env, 0, 5))
    widened.use(config)
    widened.set_state(made.get_state())
    actions = random_actions(made, 3, 30)
    for one, other in zip(play(widened, actions), play(made, actions)):
        assert_equal(one, other)
    assert isinstance(made.task.config, type(config))


@pytest.mark.parametrize(("before", "after"), [(0, 5), (5, 0), (2, 3)])
def test_a_running_episode_keeps_its_delay(before: int, after: int) -> None:
    """Whether delays become longer or shorter: what the policy said arrives when it would have."""
    first, second = (
        load_task("BaseTask", {**SHORT, "randomisation": {"action_delay_steps": [steps, steps]}})
        for steps in (before, after)
    )
    kept, changed = (training_env(4, 1, first) for _ in range(2))
    actions = random_actions(kept, 0, SHORT["episode_length_steps"])
    for env in (kept, changed):
        play(env, actions[:3])
    changed.use(second)
    for each in actions[3:-1]:
        kept.step(each)
        changed.step(each)
        assert torch.equal(changed.hand.control_targets, kept.hand.control_targets)
    for env in (kept, changed):
        assert env.step(actions[-1]).dones.all()
    for each in actions[:4]:  # and the next episode has the new one
        kept.step(each)
        changed.step(each)
    assert not torch.equal(changed.hand.control_targets, kept.hand.control_targets)


def test_a_change_of_scale_is_no_progress() -> None:
    """A hand that stays where it is has come no nearer, by whichever scale that is measured."""
    config = eased("BaseTask", randomisation={}, actions={"mode": "position_delta"}, curriculum=None)
    env = training_env(4, 1, config)
    still = torch.zeros((4, env.num_actions))
    for _ in range(4):
        env.step(still)
    scales = config.reward_scales.model_copy(update={"position_scale_m": 0.05})
    env.use(config.model_copy(update={"reward_scales": scales}))
    assert env.step(still).terms.raw["position_progress"].abs().max() < 1e-3


def test_rewards_count_at_once_for_a_task_that_keeps_no_tensors() -> None:
    """A user's own task has nothing to do for it."""
    config = task_config({"number": 2.0, "constant": 0.0})
    env: DexHandEnv = build(ScriptedTask, config, num_envs=3)
    still = torch.zeros((3, env.num_actions))
    before = env.step(still).rewards
    halved = config.model_copy(update={"rewards": {"number": 1.0, "constant": 0.0}})
    env.use(halved)
    assert torch.equal(env.step(still).rewards * 2.0, before)
    assert env.task.config is halved
