from __future__ import annotations

import math
from typing import Any, Dict, Optional

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.config.registry import load_task
from dexhand_env.env.vec_env import RUNNING, SUCCESS, DexHandEnv
from dexhand_env.tasks.dex_grasp import surface_distance
from tests.contract.test_scripted_grasp import ABOVE, CLOSED, GRASP_HEIGHT_M, GRASPED, OPENED, controls
from tests.env.environments import all_worlds, assert_equal, numbered_env, play, random_actions, training_env

LOST = 4  # the first outcome after those that every task has
HALF_M = 0.025


def task(**overrides: Any) -> Any:
    """DexGrasp's shipped configuration with sections overridden, at 10 ms."""
    return load_task("DexGrasp", {"sim": {"physics": "fast"}, **overrides})


def scripted(**overrides: Any) -> Any:
    """The task from where the scripted grasp of the contract suite begins."""
    still = {"hand_position_range_m": [0.0, 0.0, 0.0], "hand_rotation_range_rad": 0.0, "object_yaw_range_rad": 0.2}
    start = {
        **still,
        "hand_position_m": ABOVE[:3].tolist(),
        "hand_rotation_rad": ABOVE[3:6].tolist(),
        "finger_positions_rad": ABOVE[6:].tolist(),
        "object_position_range_m": 0.01,
    }
    target = {"position_range_m": 0.0, "height_range_m": [0.25, 0.25]}
    return task(start=start, target=target, **overrides)


def towards(env: DexHandEnv, wanted: torch.Tensor) -> torch.Tensor:
    """Actions that move all targets to wanted ones as fast as allowed."""
    limits = torch.tensor(env.task.config.actions.velocity_limits) * 0.02
    return torch.clamp((wanted - env.hand.control_targets) / limits, -1.0, 1.0)


def out_of_the_way(**overrides: Any) -> Any:
    """The task with the hand high above all targets."""
    return task(start={**task().start.dump(), "hand_position_m": [-0.15, 0.0, 0.5]}, **overrides)


def presses_after_turning_back(lead_limit_s: Optional[float]) -> int:
    """For how many control steps a hand still presses on the table, after a second of pushing down, once it is told to
    rise."""
    hand = {"base_force_limit_n": 12.0}
    start = {"hand_position_m": [-0.15, 0.3, -0.15], "hand_position_range_m": [0.0, 0.0, 0.0]}
    env = numbered_env([0], task(actions={"lead_limit_s": lead_limit_s}, hand=hand, start=start))
    down, up = still(env), still(env)
    down[:, 2], up[:, 2] = -1.0, 1.0
    for _ in range(50):
        env.step(down)
    assert env.sim.peak_fingertip_forces.amax() > 1.0
    steps = 0
    while env.sim.peak_fingertip_forces.amax() > 0.0:
        assert not env.step(up).dones.any()
        steps += 1
    return steps


def test_a_hand_with_a_lead_limit_leaves_the_table_when_told_to() -> None:
    """Without one the target has run on into the table, and comes back from there first."""
    assert 3 * presses_after_turning_back(0.05) < presses_after_turning_back(None)


def put_object(env: DexHandEnv, positions: torch.Tensor) -> None:
    """Put the objects there, at rest, the hands where they are."""
    poses = torch.zeros(env.num_envs, 1, 7)
    poses[:, 0, :3], poses[:, 0, 3] = positions, 1.0
    env.sim.reset(all_worlds(env), env.sim.joint_positions.clone(), poses)


def still(env: DexHandEnv) -> torch.Tensor:
    return torch.zeros(env.num_envs, env.num_actions)


def test_episodes_are_drawn_from_the_whole_ranges_and_no_further() -> None:
    env = numbered_env(range(400), task())
    start, target = env.task.config.start, env.task.config.target
    quaternions = env.sim.object_quaternions[:, 0]
    yaw = 2.0 * torch.atan2(quaternions[:, 3], quaternions[:, 0])
    drawn = torch.cat((env.sim.joint_positions[:, :6], env.sim.object_positions[:, 0, :2], yaw[:, None]), dim=1)
    drawn = torch.cat((drawn, env.task.observations()["target_position"]()), dim=1)
    middle = torch.tensor([*start.hand_position_m, *start.hand_rotation_rad, 0, 0, 0, 0, 0, 0.25 + HALF_M])
    reach = [*start.hand_position_range_m, *[start.hand_rotation_range_rad] * 3]
    reach += [start.object_position_range_m] * 2 + [start.object_yaw_range_rad] + [target.position_range_m] * 2 + [0.05]
    share = (drawn - middle) / torch.tensor(reach)
    assert (share.abs() < 1.0 + 1e-4).all()
    assert (share.amax(dim=0) > 0.95).all()
    assert (share.amin(dim=0) < -0.95).all()
    assert (share.mean(dim=0).abs() < 0.12).all()
    fingers = env.hand.control_positions[:, 6:]
    torch.testing.assert_close(fingers, torch.tensor(start.finger_positions_rad).expand_as(fingers))


def test_an_episode_is_its_seeds_in_any_company() -> None:
    many, few = numbered_env([5, 6, 7, 8], task()), numbered_env([8, 5], task())
    for env in (many, few):
        for _ in range(3):
            env.step(torch.full((env.num_envs, 18), 0.3))
    # The last bit of a product of matrices depends on how many rows there are.
    torch.testing.assert_close(few.observe()["policy"], many.observe()["policy"][[3, 0]], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "size"),
    [("cube", 0.05), ("sphere", 0.06), ("cylinder", [0.04, 0.04, 0.07]), ("box", [0.04, 0.05, 0.06])],
)
def test_every_shape_lies_still_where_it_begins(shape: str, size: Any) -> None:
    env = numbered_env(range(5), task(object={"shape": shape, "size_m": size, "mass_kg": 0.2}))
    begin = env.sim.object_positions.clone()
    half_height = (size if isinstance(size, float) else size[2]) / 2
    assert begin[:, 0, 2].tolist() == pytest.approx([half_height] * 5, abs=1e-4)
    for _ in range(30):
        env.step(still(env))
    assert (env.sim.object_positions - begin).abs().max() < 2e-4
    assert env.sim.object_penetrations.max() < 2e-4
    assert env.sim.object_velocities.norm(dim=-1).max() < 0.01


def mixed(**overrides: Any) -> Any:
    """Every shape, 4 to 8 cm."""
    drawn = {"object_shapes": ["cube", "sphere", "cylinder", "box"], "object_size_m": [0.04, 0.08]}
    return task(randomisation=drawn, observations={"critic": ["object_shape", "object_extents"]}, **overrides)


def test_objects_of_all_shapes_and_sizes_lie_still_where_they_begin() -> None:
    """Each at its own height, from which on it is lifted and its target lies."""
    env = numbered_env(range(40), mixed())
    shapes, extents = env.observe()["critic"].split((4, 3), dim=1)
    assert (shapes.sum(dim=0) > 4).all()
    assert (shapes.sum(dim=1) == 1.0).all()
    assert (extents.amin(dim=1)[shapes[:, 3] == 0] == extents.amax(dim=1)[shapes[:, 3] == 0]).all()
    begin, half_height = env.sim.object_positions[:, 0].clone(), extents[:, 2] / 2.0
    torch.testing.assert_close(begin[:, 2], half_height, rtol=0.0, atol=1e-4)
    above = env.task.observations()["target_position"]()[:, 2] - half_height
    assert (above > 0.2 - 1e-4).all()
    assert (above < 0.3 + 1e-4).all()
    for _ in range(30):
        step = env.step(still(env))
    assert (env.sim.object_positions[:, 0] - begin).abs().max() < 2e-4
    assert env.sim.object_penetrations.max() < 2e-4
    assert step.terms.raw["lift"].abs().max() < 1e-3
    raised = begin.clone()
    raised[:, 2] += 0.5 * above
    put_object(env, raised)
    lift = env.step(still(env)).terms.raw["lift"]
    torch.testing.assert_close(lift, torch.full((40,), 0.5), rtol=0.0, atol=0.02)


def test_distances_are_from_each_worlds_own_surface() -> None:
    env = numbered_env(range(40), mixed())
    points = torch.rand(40, 5, 3, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.1
    shapes, extents = env.observe()["critic"].split((4, 3), dim=1)
    task: Any = env.task
    found = task._surface_distance(points, extents / 2.0)
    for world, shape in enumerate(shapes.argmax(dim=1).tolist()):
        expected = surface_distance(points[world], ("box", "sphere", "cylinder", "box")[shape], extents[world] / 2.0)
        torch.testing.assert_close(found[world], expected, rtol=0.0, atol=1e-7)


def test_a_scripted_grasp_succeeds_and_is_paid_more_and_more() -> None:
    env = numbered_env(range(20), scripted())
    lifted = controls(GRASP_HEIGHT_M + 0.25, CLOSED)
    terms: Dict[str, list[torch.Tensor]] = {}
    outcomes = torch.zeros(20, dtype=torch.int64)
    for step_number in range(300):
        phase = next(wanted for end, wanted in ((50, OPENED), (110, GRASPED), (300, lifted)) if step_number < end)
        wanted = phase if step_number < 110 else GRASPED + (lifted - GRASPED) * min((step_number - 109) / 90, 1.0)
        running = env.active
        step = env.step(towards(env, wanted))
        outcomes = torch.where(step.dones, step.outcomes, outcomes)
        for name, values in step.terms.raw.items():
            terms.setdefault(name, []).append(values[running].mean())
        if not bool(env.active.any()):
            break
    assert int((outcomes == SUCCESS).sum()) >= 18
    for name in ("reach", "contact", "lift", "target", "hold"):
        course = torch.stack(terms[name])
        assert course[-20:].mean() > course[:20].mean() + 0.2, name
        assert (course >= 0.0).all(), name
        assert (course <= 1.0).all(), name
    metrics = {name: values[outcomes == SUCCESS] for name, values in step.metrics.items()}
    assert metrics["target_distance_m"].max() < 0.05
    assert (metrics["largest_fingertip_force_n"] > 1.0).all()
    assert (metrics["deepest_penetration_m"] > 2e-5).all()
    assert env.sim.counters().nan_resets == env.sim.counters().contact_overflows == 0


def test_success_is_near_and_slow_for_hold_steps_in_a_row() -> None:
    """An object that is let go of at the target is at 0.2 m/s a control step later."""
    success = {"distance_m": 0.05, "speed_m_per_s": 0.5, "hold_steps": 4}
    env = numbered_env(range(4), out_of_the_way(success=success))
    target = env.task.observations()["target_position"]().clone()
    away = target.clone()
    away[0, 0] += 0.06
    away[1, 0] += 0.04
    for positions in (target, target, target, away):
        put_object(env, positions)
        outcomes = env.step(still(env)).outcomes.tolist()
    assert outcomes == [RUNNING, SUCCESS, SUCCESS, SUCCESS]
    for _ in range(3):
        put_object(env, target)
        assert int(env.step(still(env)).outcomes[0]) == RUNNING
    put_object(env, target)
    assert int(env.step(still(env)).outcomes[0]) == SUCCESS
    env = numbered_env(range(4), out_of_the_way(success={**success, "speed_m_per_s": 0.15}))
    for _ in range(6):
        put_object(env, env.task.observations()["target_position"]())
        assert env.step(still(env)).outcomes.tolist() == [RUNNING] * 4


def test_an_object_out_of_reach_ends_the_episode() -> None:
    env = numbered_env(range(3), task())
    put_object(env, torch.tensor([[0.39, 0.0, HALF_M], [0.3, -0.3, HALF_M], [0.0, 0.41, HALF_M]]))
    step = env.step(still(env))
    assert step.outcomes.tolist() == [RUNNING, LOST, LOST]
    assert env.outcome_names[LOST] == "out_of_reach"


def test_a_fingertip_that_presses_harder_than_allowed_ends_the_episode() -> None:
    env = numbered_env(range(2), task(failure={"fingertip_force_n": 20.0}))
    down = still(env)
    down[0, 2] = -1.0  # one hand goes down to the table, the other stays
    while not (step := env.step(down)).dones.any():
        assert step.metrics["largest_fingertip_force_n"].max() <= 20.0
    assert [env.outcome_names[outcome] for outcome in step.outcomes] == ["hard_press", "running"]
    assert step.metrics["largest_fingertip_force_n"][0] > 20.0


def test_a_hand_deeper_in_the_object_than_allowed_ends_the_episode() -> None:
    """An object deep in the table does not."""
    env = numbered_env(range(2), scripted(failure={"penetration_m": 2e-4}))
    put_object(env, torch.tensor([[0.0, 0.0, HALF_M], [0.3, 0.2, HALF_M - 0.001]]))
    for wanted in [OPENED] * 50 + [GRASPED] * 60:
        step = env.step(towards(env, wanted))
        assert not step.dones[1]
        if step.dones[0]:
            break
        assert step.metrics["deepest_hand_penetration_m"].max() <= 2e-4
    assert env.outcome_names[step.outcomes[0]] == "deep_press"
    assert step.metrics["deepest_hand_penetration_m"][0] > 2e-4
    assert step.metrics["deepest_penetration_m"][1] > 5e-4


def test_terms_of_an_object_in_the_air() -> None:
    env = numbered_env(range(2), out_of_the_way())
    target = env.task.observations()["target_position"]().clone()
    at = target.clone()
    at[1, 2] = HALF_M + 0.5 * (target[1, 2] - HALF_M)
    put_object(env, at)
    raw = env.step(still(env)).terms.raw
    fall = 9.81 * 0.02**2 / 2
    distance = target[1, 2] - at[1, 2] + fall
    expected = (2.0 * torch.exp(-distance / 0.2) + torch.exp(-((distance / 0.04) ** 2))) / 3.0
    assert raw["target"].tolist() == pytest.approx([1.0, float(expected)], abs=0.02)
    assert raw["lift"].tolist() == pytest.approx([1.0, 0.5], abs=0.02)
    assert raw["hold"].tolist() == [1.0, 0.0]
    assert raw["contact"].tolist() == raw["excess_force"].tolist() == raw["success"].tolist() == [0.0, 0.0]


def test_forces_and_depths_are_kept_for_the_episode_and_forgotten_with_it() -> None:
    env = numbered_env(range(3), task())
    largest = torch.zeros(3, 2)
    assert env.task.observations()["gentleness"]().tolist() == [[1.0]] * 3
    down = still(env)
    down[:, 2], down[2, 2] = -1.0, 0.0  # two hands go down to the table, one stays
    for _ in range(60):
        step = env.step(down)
        now = torch.stack((env.sim.peak_fingertip_forces.amax(dim=1), env.sim.object_penetrations[:, 0]), dim=1)
        largest = torch.maximum(largest, now)
        found = torch.stack((step.metrics["largest_fingertip_force_n"], step.metrics["deepest_penetration_m"]), dim=1)
        assert torch.equal(found, largest)
    assert (largest[:2, 0] > 50.0).all()
    gentleness = env.task.observations()["gentleness"]()[:, 0]
    excess = (largest / torch.tensor([10.0, 1e-3]) - 1.0).clamp(min=0.0).sum(dim=1)
    torch.testing.assert_close(gentleness, (1.0 - torch.log1p(excess) / math.log(51.0)).clamp(min=0.0))
    assert (gentleness[:2] < 0.6).all()
    assert gentleness[2] == 1.0
    assert step.terms.raw["excess_force"][0] > 1.0
    env.reset()
    assert env.task.observations()["gentleness"]().tolist() == [[1.0]] * 3


def test_a_restored_environment_goes_on_bit_for_bit() -> None:
    first, second = (training_env(num_envs=4, seed=3, config=task(episode_length_steps=60)) for _ in range(2))
    actions = random_actions(first, seed=5, steps=90)
    play(first, actions[:40])
    second.set_state(first.get_state())
    assert torch.equal(first.observe()["policy"], second.observe()["policy"])
    for ours, theirs in zip(play(first, actions[40:]), play(second, actions[40:])):
        assert_equal(theirs, ours)


def test_a_blind_policy_sees_nothing_of_the_object() -> None:
    known = task().observations.policy
    seen = [key for key in known if "object" not in key and key != "gentleness"]
    env = numbered_env(range(2), task(observations={"policy": seen, "critic": list(known)}))
    assert env.observation_sizes == {"policy": 160 - 15 - 3 - 4 - 6 - 3 - 1, "critic": 160}
    before = env.observe()
    put_object(env, torch.tensor([[0.2, 0.2, HALF_M]] * 2))
    after = env.observe()
    assert torch.equal(before["policy"], after["policy"])
    assert not torch.equal(before["critic"], after["critic"])


sizes = st.tuples(*[st.floats(0.01, 0.05)] * 3)
points = st.tuples(*[st.floats(-0.2, 0.2)] * 3)


@given(points, sizes, st.sampled_from(["box", "sphere", "cylinder"]))
@settings(max_examples=200)
def test_the_distance_from_a_surface_is_that_of_its_nearest_point(
    point: tuple[float, float, float], size: tuple[float, float, float], shape: str
) -> None:
    half = np.array([size[0], size[0] if shape == "cylinder" else size[1], size[2]])
    p = np.array(point)
    if shape == "box":
        nearest = np.clip(p, -half, half)
    elif shape == "sphere":
        nearest = p * min(1.0, half[0] / max(np.linalg.norm(p), 1e-12))
    else:
        across = p[:2] * min(1.0, half[0] / max(np.linalg.norm(p[:2]), 1e-12))
        nearest = np.array([*across, np.clip(p[2], -half[2], half[2])])
    found = surface_distance(torch.tensor(p)[None], shape, torch.tensor(half))
    assert float(found[0]) == pytest.approx(math.dist(p, nearest), abs=1e-9)


@pytest.mark.parametrize("side", ["right", "left"])
def test_either_hand_starts_above_the_object(side: str) -> None:
    env = numbered_env(range(20), task(hand={"side": side, "spawn_height_m": 0.5}))
    tips = env.task.fingertip_positions
    assert (tips[..., 2] > 0.06).all()
    assert tips.mean(dim=(0, 1))[:2].norm() < 0.1
    env.step(still(env))
    assert not env.sim.peak_fingertip_forces.any()
