from __future__ import annotations

from typing import Any

import pytest
import torch

from dexhand_env.env.vec_env import RUNNING, SUCCESS, DexHandEnv
from tests.env.environments import all_worlds, base_task, numbered_env, random_actions, training_env

MAX_CHANGE = torch.tensor([0.5] * 3 + [1.5] * 3 + [2.5] * 12) * 0.02


def delta_task(**overrides: Any) -> Any:
    """BaseTask with actions that move the targets, which makes an oracle one line."""
    return base_task(actions={**base_task().dump()["actions"], "mode": "position_delta"}, **overrides)


def oracle(env: DexHandEnv) -> torch.Tensor:
    """Move every target towards the goal as fast as allowed."""
    return torch.clamp((env.task.goal_controls()["controls"] - env.hand.control_targets) / MAX_CHANGE, -1.0, 1.0)


def errors(env: DexHandEnv) -> dict[str, torch.Tensor]:
    return env.task.metrics()


def at_goal(env: DexHandEnv) -> torch.Tensor:
    """Joint positions (num_envs, 26) of the goals."""
    return env.hand.controls.to_joints(env.task.goal_controls()["controls"])


def test_goals_are_drawn_from_the_whole_range_and_no_further() -> None:
    env = numbered_env(range(400))
    goals = env.task.goal_controls()["controls"]
    reach = torch.tensor([0.15] * 3 + [0.5] * 3)
    lower = torch.cat((-reach, env.hand.controls.lower[6:]))
    upper = torch.cat((reach, env.hand.controls.upper[6:]))
    assert (goals >= lower).all()
    assert (goals <= upper).all()
    share = (goals - lower) / (upper - lower)
    assert (share.amin(dim=0) < 0.05).all()
    assert (share.amax(dim=0) > 0.95).all()
    assert ((share.mean(dim=0) - 0.5).abs() < 0.06).all()
    assert len({tuple(goal) for goal in goals.tolist()}) == 400


def test_an_episode_is_its_seeds_in_any_company() -> None:
    many, few = numbered_env([5, 6, 7, 8]), numbered_env([8, 5])
    for env in (many, few):
        for _ in range(3):
            env.step(oracle(env))
    for name, values in errors(many).items():
        assert torch.equal(errors(few)[name], values[[3, 0]])
    assert torch.equal(few.observe()["policy"], many.observe()["policy"][[3, 0]])


def test_the_hand_starts_open_at_its_spawn_pose() -> None:
    env = training_env(num_envs=3)
    assert not env.sim.joint_positions.any()
    assert env.task.hand_positions.tolist() == [[0.0, 0.0, 0.5]] * 3


@pytest.mark.parametrize("part", ["base", "fingers"])
def test_a_part_that_cannot_move_is_no_part_of_the_goal(part: str) -> None:
    actions = base_task().dump()["actions"]
    fixed = [0.05, 0.0, 0.1, 0.2, 0.1, 0.0] if part == "base" else [0.25] * 12
    actions[part] = {**actions[part], "policy": False, "fixed_targets": fixed}
    env = numbered_env(range(5), base_task(actions=actions))
    columns = slice(0, 6) if part == "base" else slice(6, 18)
    others = slice(6, 18) if part == "base" else slice(0, 6)
    goals = env.task.goal_controls()["controls"]
    torch.testing.assert_close(goals[:, columns], torch.tensor([fixed] * 5))
    assert goals[:, others].std(dim=0).min() > 0.0
    torch.testing.assert_close(env.hand.control_positions[:, columns], torch.tensor([fixed] * 5))


def hold(env: DexHandEnv, joints: torch.Tensor) -> torch.Tensor:
    """Put the hands at joint positions and take one step there; returns the outcomes."""
    env.sim.reset(all_worlds(env), joints)
    env.hand.control_targets = env.hand.controls.from_joints(joints)
    return env.step(torch.zeros(env.num_envs, env.num_actions)).outcomes


def test_success_is_the_goal_held_for_hold_steps_in_a_row() -> None:
    env = numbered_env(range(6), delta_task())
    goal = at_goal(env)
    for _ in range(9):
        assert hold(env, goal).tolist() == [RUNNING] * 6
    away = goal.clone()
    away[0, 1] += 0.02  # one world leaves the tolerance for a single step
    assert hold(env, away).tolist() == [RUNNING] + [SUCCESS] * 5
    for _ in range(9):
        assert int(hold(env, goal)[0]) == RUNNING
    assert int(hold(env, goal)[0]) == SUCCESS


@pytest.mark.parametrize(
    ("joints", "tolerance", "metric"),
    [
        ([2], 0.01, "position_error_m"),
        ([3], 0.1, "rotation_error_rad"),
        ([6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25], 0.1, "finger_error_rad"),
    ],
)
def test_each_tolerance_decides(joints: list[int], tolerance: float, metric: str) -> None:
    """Just inside every tolerance is success, just outside any one is not."""
    task = delta_task(success={**base_task().dump()["success"], "hold_steps": 1})
    for factor, outcome in ((0.8, SUCCESS), (1.2, RUNNING)):
        env = numbered_env(range(3), task)
        near = at_goal(env)
        # Towards the middle of the range, so that no joint limit pushes back.
        inwards = torch.where(near[:, joints] > 0.3, -1.0, 1.0) if joints[0] >= 6 else 1.0
        near[:, joints] += inwards * factor * tolerance
        assert hold(env, near).tolist() == [outcome] * 3
        torch.testing.assert_close(errors(env)[metric], torch.full((3,), factor * tolerance), rtol=0.1, atol=0.0)


def test_metrics_are_distances_in_their_units() -> None:
    env = numbered_env(range(4), delta_task())
    goal = at_goal(env)
    for name, values in errors(numbered_env(range(4))).items():
        assert name.rsplit("_", 1)[1] in ("m", "rad")
        assert values.shape == (4,)
        assert (values > 0.0).all()
    moved = goal.clone()
    moved[:, :3] += torch.tensor([0.03, 0.0, 0.04])
    env.sim.reset(all_worlds(env), moved)
    found = errors(env)
    torch.testing.assert_close(found["position_error_m"], torch.full((4,), 0.05), rtol=1e-4, atol=0.0)
    assert found["rotation_error_rad"].max() < 1e-5
    assert found["finger_error_rad"].max() < 1e-6
    turned = goal.clone()
    turned[:, 5] += 0.2  # the last hinge: the angle of the relative rotation is the hinge's own
    env.sim.reset(all_worlds(env), turned)
    torch.testing.assert_close(errors(env)["rotation_error_rad"], torch.full((4,), 0.2), rtol=1e-4, atol=0.0)


PROGRESS = ("position_progress", "rotation_progress", "finger_progress")


def scaled_errors(env: DexHandEnv) -> torch.Tensor:
    """What progress is the fall of, (n, 3), by the definition in the documentation."""
    goal, controls = env.task.goal_controls()["controls"], env.hand.controls
    errors = (goal - env.hand.control_positions).abs()
    ranges = controls.upper - controls.lower
    parts = (errors[:, :3] / 0.3, errors[:, 3:6] / 1.0, errors[:, 6:] / ranges[6:])
    return torch.stack([torch.tanh(part).mean(dim=-1) for part in parts], dim=-1)


def test_progress_is_how_much_nearer_a_step_came() -> None:
    env = training_env(num_envs=16)
    before = scaled_errors(env)
    for each in random_actions(env, seed=1, steps=60):
        step = env.step(each)
        raw = torch.stack([step.terms.raw[name] for name in PROGRESS], dim=-1)
        after, goes_on = scaled_errors(env), ~step.dones
        torch.testing.assert_close(raw[goes_on], (before - after)[goes_on], rtol=0.0, atol=1e-6)
        before = after  # a new episode begins with its own error: nothing of the last one's is paid again
    assert ((before > 0.0) & (before < 1.0)).all()


def test_progress_adds_up_to_the_way_covered_whatever_the_detours() -> None:
    """So neither waiting near the goal nor going to and fro earns anything."""
    env = numbered_env(range(12), delta_task())
    begin, total = scaled_errors(env), torch.zeros(12, 3)
    actions = torch.zeros(12, 18)
    for number in range(30):
        actions[4:8] = 1.0 if number % 2 else -1.0
        actions[8:] = oracle(env)[8:]
        raw = env.step(actions).terms.raw
        total += torch.stack([raw[name] for name in PROGRESS], dim=-1) * env.active[:, None]
    running = env.active
    torch.testing.assert_close(total[running], (begin - scaled_errors(env))[running], rtol=0.0, atol=1e-5)
    assert running[:8].all()
    assert total[:4].abs().max() < 0.01  # the hand stands still
    assert total[4:8].abs().max() < 0.1
    assert (total[8:].sum(dim=-1) > 0.3).all()  # what the oracle covered


def test_an_oracle_succeeds_in_nearly_all_episodes() -> None:
    env = numbered_env(range(200), delta_task())
    outcomes = torch.zeros(200, dtype=torch.int64)
    while bool(env.active.any()):
        step = env.step(oracle(env))
        outcomes = torch.where(step.dones, step.outcomes, outcomes)
    successes = int((outcomes == SUCCESS).sum())
    assert successes >= 196, f"{successes} of 200"
    assert env.sim.counters().nan_resets == env.sim.counters().contact_overflows == 0
    assert (step.episode_lengths <= 100).all()
    worst = step.metrics["position_error_m"][outcomes == SUCCESS].max()
    assert worst < 0.01


def test_the_bonus_is_paid_in_the_step_that_succeeds_and_only_there() -> None:
    env = numbered_env(range(20), delta_task())
    while bool(env.active.any()):
        step = env.step(oracle(env))
        assert torch.equal(step.terms.weighted["success"] > 0.0, step.outcomes == SUCCESS)
