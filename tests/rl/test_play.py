"""Numbered episodes, each played once and to its end, whatever is played beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.env.interface import PolicyInterface
from dexhand_env.rl import play
from dexhand_env.rl.play import EpisodeTable, Trajectories, play_episodes

from .runs import task

PHYSICS = load_physics("fast")
EPISODES, FIRST_SEED, LENGTH = 11, 500, 20
ACTIONS = {**task().dump()["actions"], "mode": "position_delta"}
# Some of the episodes succeed within the time and some do not.
SUCCESS = {"position_m": 0.02, "rotation_rad": 0.1, "finger_rad": 0.1, "hold_steps": 3}
TASK = task(
    actions=ACTIONS,
    observations={"policy": ["target_errors", "goal_errors"]},
    success=SUCCESS,
    episode_length_steps=LENGTH,
)


class TowardsGoal:
    """A fixed function of single observations."""

    def check(self, task: str, wanted: PolicyInterface) -> None:
        assert (task, wanted.observation_size, wanted.num_actions) == ("BaseTask", 36, 18)

    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        errors, goals = observations[:, :18], observations[:, 18:]
        return torch.clamp((goals - errors) * 20.0, -1.0, 1.0)


def played(episodes: int = EPISODES, **options: Any) -> tuple[EpisodeTable, Any]:
    policy: Any = TowardsGoal()
    return play_episodes(TASK, PHYSICS, policy, FIRST_SEED, episodes, **options)


def assert_same(found: EpisodeTable, expected: EpisodeTable, chosen: Any = slice(None)) -> None:
    """Floats may differ by their last digits: how they are rounded depends on the size of the batch."""
    for field in ("seeds", "success", "outcomes", "lengths"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field)[chosen])
    np.testing.assert_allclose(found.returns, expected.returns[chosen], atol=1e-5)
    for name, values in expected.metrics.items():
        np.testing.assert_allclose(found.metrics[name], values[chosen], atol=1e-5)


def test_every_episode_is_played_once_to_its_end() -> None:
    table, motion = played()
    assert motion is None
    assert table.seeds.tolist() == list(range(FIRST_SEED, FIRST_SEED + EPISODES))
    assert 0 < table.success.sum() < EPISODES
    assert set(table.outcomes) == {"success", "timeout"}
    np.testing.assert_array_equal(table.outcomes == "success", table.success)
    assert (table.lengths[~table.success] == LENGTH).all()
    assert (table.lengths[table.success] >= 3).all()
    assert set(table.metrics) == {"position_error_m", "rotation_error_rad", "finger_error_rad"}
    assert (table.metrics["position_error_m"][table.success] < 0.02).all()
    assert (table.nan_resets, table.contact_overflows) == (0, 0)


@pytest.mark.parametrize("worlds", [1, 4, 11])
@pytest.mark.parametrize("threads", [1, 2])
def test_results_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch, worlds: int, threads: int) -> None:
    expected, _ = played()
    monkeypatch.setattr(play, "WORLDS_AT_ONCE", worlds)
    found, _ = played(threads=threads)
    assert_same(found, expected)
    some, _ = played(episodes=5)
    assert_same(some, expected, slice(5))


def test_returns_are_the_sums_of_the_rewards_until_the_end() -> None:
    """By hand: one episode alone, step by step."""
    from tests.env.environments import numbered_env

    table, _ = played()
    env, policy = numbered_env([FIRST_SEED + 3], TASK), TowardsGoal()
    total, count, observations = 0.0, 0, env.observe()["policy"]
    while bool(env.active.any()):
        count += 1
        step = env.step(policy(observations))
        observations, total = step.observations["policy"], total + float(step.rewards[0])
    assert count == table.lengths[3]
    assert total == pytest.approx(float(table.returns[3]), abs=1e-5)
    assert env.outcome_names[int(step.outcomes[0])] == table.outcomes[3]


def test_recorded_motion_is_that_of_the_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    table, motion = played(record=True)
    assert isinstance(motion, Trajectories)
    assert motion.joint_positions.shape == (table.lengths.max(), EPISODES, 26)
    assert motion.object_poses.shape == (table.lengths.max(), EPISODES, 0, 7)
    assert motion.goal_joints is not None
    assert motion.goal_joints.shape == (EPISODES, 26)
    for episode in range(EPISODES):
        end = table.lengths[episode] - 1
        last = motion.joint_positions[end, episode]
        error = np.linalg.norm((last - motion.goal_joints[episode])[:3])
        assert error == pytest.approx(table.metrics["position_error_m"][episode], abs=1e-6)
        assert (motion.joint_positions[end:, episode] == last).all()  # stands still afterwards
    monkeypatch.setattr(play, "WORLDS_AT_ONCE", 3)
    _, in_batches = played(record=True)
    np.testing.assert_allclose(in_batches.joint_positions, motion.joint_positions, atol=1e-5)
    np.testing.assert_allclose(in_batches.goal_joints, motion.goal_joints, atol=1e-6)
