"""Domain randomisation: what it names changes, nothing else does, and equal seeds give equal episodes."""

from __future__ import annotations

from typing import Any, Dict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.config.registry import load_task
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.errors import UserError

from .environments import all_worlds, assert_equal, numbered_env, play, random_actions, training_env

EVERYTHING: Dict[str, Any] = {
    "gain_factor": [0.7, 1.4],
    "damping_factor": [0.5, 2.0],
    "action_delay_steps": [0, 3],
    "action_noise": 0.1,
    "observation_noise": {"joint_positions": 0.01, "goal": 0.02},
    "pushes": {"every_s": [0.06, 0.2], "base_m_per_s": 0.3},
}
OF_OBJECTS: Dict[str, Any] = {
    **EVERYTHING,
    "object_friction": [0.3, 1.2],
    "object_mass_kg": [0.05, 0.3],
    "object_shapes": ["cube", "sphere", "cylinder", "box"],
    "object_size_m": [0.04, 0.07],
    "observation_noise": {"object_position": 0.01},
    "pushes": {"every_s": [0.06, 0.2], "base_m_per_s": 0.3, "object_m_per_s": 0.5},
}
SHORT = {"sim": {"physics": "fast"}, "episode_length_steps": 12}


def base(**randomisation: Any) -> Any:
    return load_task("BaseTask", {**SHORT, "randomisation": randomisation})


def grasp(**randomisation: Any) -> Any:
    success = {"hold_steps": 5}
    return load_task("DexGrasp", {**SHORT, "success": success, "randomisation": randomisation})


TASKS = {"BaseTask": lambda: base(**EVERYTHING), "DexGrasp": lambda: grasp(**OF_OBJECTS)}


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS.keys())
def test_equal_seeds_give_equal_episodes_and_others_do_not(make: Any) -> None:
    envs = [training_env(6, seed, make()) for seed in (1, 1, 2)]
    actions = random_actions(envs[0], 0, 40)
    first, again, other = (play(env, actions) for env in envs)
    for one, two in zip(first, again):
        assert_equal(one, two)
    assert not torch.equal(first[-1]["observations/policy"], other[-1]["observations/policy"])


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS.keys())
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(make: Any) -> None:
    env = training_env(6, 1, make())
    actions = random_actions(env, 0, 40)
    play(env, actions[:17])
    state, seen = env.get_state(), env.observe()["policy"].clone()
    expected = play(env, actions[17:])
    resumed = training_env(6, 5, make())
    resumed.set_state(state)
    assert torch.equal(resumed.observe()["policy"], seen)
    for found, wanted in zip(play(resumed, actions[17:]), expected):
        assert_equal(found, wanted)


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS.keys())
def test_a_numbered_episode_is_the_same_in_any_company(make: Any) -> None:
    together, alone = numbered_env([7, 8, 9], make()), numbered_env([8], make())
    actions = random_actions(together, 0, 12)
    for many, one in zip(play(together, actions), play(alone, actions[:, 1:2])):
        for name, values in one.items():  # a metric is a product, whose last bits depend on the number of rows
            close = 1e-6 if name.startswith("metrics/") else 0.0
            torch.testing.assert_close(many[name][1:2], values, rtol=close, atol=close)


def test_nothing_is_drawn_and_nothing_kept_where_nothing_is_randomised() -> None:
    env = training_env(4, 1, base())
    assert "randomisation" not in env.get_state()
    assert not any(name.startswith("parameter/") for name in env.get_state()["sim"])


@settings(deadline=None, max_examples=15)
@given(
    friction=st.tuples(st.floats(0.05, 3), st.floats(0.05, 3)), mass=st.tuples(st.floats(0.005, 2), st.floats(0.005, 2))
)
def test_drawn_parameters_lie_in_their_ranges_and_differ(friction: Any, mass: Any) -> None:
    friction, mass = sorted(friction), sorted(mass)
    env = training_env(8, 1, grasp(object_friction=friction, object_mass_kg=mass, gain_factor=[0.5, 0.5]))
    first = env.sim.parameters
    for bounds, values in ((friction, first.object_frictions), (mass, first.object_masses_kg)):
        assert values is not None
        assert float(values.min()) >= bounds[0] - 1e-6
        assert float(values.max()) <= bounds[1] + 1e-6
        if bounds[1] > bounds[0] + 1e-3:
            assert len(values.unique()) > 1
    for values, expected in ((first.gain_factors, 0.5), (first.damping_factors, 1.0)):
        assert values is not None
        assert torch.equal(values, torch.full((8, 26), expected))


def test_shapes_and_sizes_are_drawn_evenly_and_by_themselves() -> None:
    env = numbered_env(range(400), grasp(object_shapes=["box", "sphere", "cylinder"], object_size_m=[0.04, 0.08]))
    drawn, (own, *others) = env.sim.parameters, env.sim.object_shapes[0]
    assert drawn.object_shapes is not None
    assert drawn.object_extents_m is not None
    shapes, extents_m = drawn.object_shapes[:, 0], drawn.object_extents_m[:, 0]
    assert (own, *others) == ("box", "sphere", "cylinder")
    assert (torch.bincount(shapes) - 400 / 3).abs().max() < 40
    sizes_m = extents_m.amax(dim=1)
    for shape in range(3):
        here = sizes_m[shapes == shape]
        assert 0.04 <= float(here.min()) < 0.043
        assert 0.077 < float(here.max()) <= 0.08
        assert float(here.mean()) == pytest.approx(0.06, abs=0.003)
    torch.testing.assert_close(extents_m[shapes > 0], sizes_m[shapes > 0, None].expand(-1, 3))
    box = torch.tensor([1.0, 0.8, 0.6])
    torch.testing.assert_close(extents_m[shapes == 0], sizes_m[shapes == 0, None] * box)


@pytest.mark.parametrize(
    ("item", "randomisation", "extents_m"),
    [
        ({"shape": "box", "size_m": [0.03, 0.06, 0.04]}, {"object_size_m": [0.09, 0.09]}, [0.045, 0.09, 0.06]),
        ({"shape": "box", "size_m": [0.03, 0.06, 0.04]}, {"object_shapes": ["box"]}, [0.03, 0.06, 0.04]),
        ({"shape": "box", "size_m": [0.03, 0.06, 0.04]}, {"object_shapes": ["sphere"]}, [0.06, 0.06, 0.06]),
        ({"shape": "cylinder", "size_m": [0.03, 0.03, 0.06]}, {"object_size_m": [0.08, 0.08]}, [0.04, 0.04, 0.08]),
        ({"shape": "cube", "size_m": 0.04}, {"object_shapes": ["box"]}, [0.04, 0.032, 0.024]),
    ],
)
def test_what_is_not_drawn_is_the_objects_own(item: Any, randomisation: Any, extents_m: Any) -> None:
    env = training_env(
        2,
        0,
        load_task("DexGrasp", {**SHORT, "success": {"hold_steps": 5}, "object": item, "randomisation": randomisation}),
    )
    found = env.sim.parameters.object_extents_m
    assert found is not None
    torch.testing.assert_close(found[:, 0], torch.tensor(extents_m).expand(2, 3))


def test_every_episode_draws_anew_and_only_its_own() -> None:
    env = training_env(4, 1, base(gain_factor=[0.5, 2.0]))
    before = env.sim.parameters.gain_factors
    assert before is not None
    worlds = torch.tensor([False, True, False, False])
    env._begin(worlds)
    after = env.sim.parameters.gain_factors
    assert after is not None
    assert ((before != after).all(dim=1) == worlds).all()


def targets(env: DexHandEnv, actions: torch.Tensor) -> torch.Tensor:
    """Control targets (steps, num_envs, 18) after each step."""
    found = []
    for each in actions:
        env.step(each)
        found.append(env.hand.control_targets.clone())
    return torch.stack(found)


def test_a_delayed_action_acts_so_many_steps_later() -> None:
    """And none does before the first: targets stay where they begin."""
    plain, delayed = training_env(3, 1, base()), training_env(3, 1, base(action_delay_steps=[3, 3]))
    begun = plain.hand.control_targets.clone()
    for env in (plain, delayed):  # not staggered: all begin now
        env.reset()
    actions = random_actions(plain, 0, 11)
    now, later = targets(plain, actions), targets(delayed, actions)
    assert torch.equal(later[:3], begun.expand(3, -1, -1))
    torch.testing.assert_close(later[3:], now[:-3])
    assert torch.equal(delayed.hand.actions, actions[-1])


def test_delays_differ_between_worlds_within_their_range() -> None:
    env = training_env(64, 1, base(action_delay_steps=[1, 4]))
    env.reset()
    begun = env.hand.control_targets.clone()
    moved = (targets(env, torch.ones(6, 64, env.num_actions)) != begun).any(dim=2)
    first = moved.to(torch.int64).argmax(dim=0)
    assert set(first.tolist()) == {1, 2, 3, 4}


def test_action_noise_is_bounded_and_the_policy_is_not_told() -> None:
    plain, noisy = training_env(16, 1, base()), training_env(16, 1, base(action_noise=0.2))
    for env in (plain, noisy):
        env.reset()
    actions = random_actions(plain, 0, 1) * 0.5
    off = (targets(noisy, actions) - targets(plain, actions))[0]
    limits = plain.hand.controls._max_change
    assert (off.abs() <= 0.2 * limits + 1e-6).all()
    assert float((off.abs() / limits).max()) > 0.15
    assert torch.equal(noisy.hand.actions, actions[0])


def test_observation_noise_is_bounded_and_of_what_is_named() -> None:
    amplitudes = {"joint_velocities": 0.1, "goal": 0.02}
    env = training_env(32, 1, base(observation_noise=amplitudes))
    previous = torch.zeros(1)
    for each in random_actions(env, 0, 3):
        seen = env.step(each).observations["policy"]
        true = torch.cat([read() for read in env._groups["policy"]], dim=1)
        off, column = seen - true, 0
        for name in env.task.config.observations.policy:
            size = env.task.observations()[name]().shape[1]
            part = off[:, column : column + size]
            limit = amplitudes.get(name, 0.0)
            assert (part.abs() <= limit + 1e-5).all()
            assert not limit or float(part.abs().max()) > 0.9 * limit
            column += size
        assert torch.equal(seen, env.observe()["policy"])
        assert not torch.equal(off, previous)
        previous = off


@pytest.mark.parametrize("what", ["base_m_per_s", "object_m_per_s"])
def test_pushes_change_velocities_when_they_are_due(what: str) -> None:
    """Every 0.1 s, which are 5 control steps; up to then nothing differs from a world without."""
    pushes = {"every_s": [0.1, 0.1], what: 1.0}
    long = {"sim": {"physics": "fast"}, "stagger_first_episodes": False}
    pushed = training_env(8, 1, load_task("DexGrasp", {**long, "randomisation": {"pushes": pushes}}))
    calm = training_env(8, 1, load_task("DexGrasp", long))
    calm.set_state({name: value for name, value in pushed.get_state().items() if name != "randomisation"})

    def velocities(env: DexHandEnv) -> torch.Tensor:
        return env.sim.joint_velocities[:, :3] if what == "base_m_per_s" else env.sim.object_velocities[:, 0, :3]

    still = torch.zeros(8, pushed.num_actions)
    for _ in range(4):
        pushed.step(still)
        calm.step(still)
    assert torch.equal(velocities(pushed), velocities(calm))
    pushed.step(still)
    calm.step(still)
    change = (velocities(pushed) - velocities(calm)).norm(dim=1)
    assert (change > 1e-3).all()
    assert (change < 2.0).all()


def test_what_a_scene_does_not_have_is_refused() -> None:
    """A task that leaves it to its scene whether there are objects."""
    config = base()
    section = config.randomisation.model_copy(update={"object_mass_kg": (0.1, 0.2)})
    with pytest.raises(UserError, match=r"randomisation\.object_mass_kg: the scene has no object; allowed: null"):
        training_env(2, 1, config.model_copy(update={"randomisation": section}))


def test_broken_worlds_and_resets_leave_finite_numbers() -> None:
    env = training_env(8, 3, grasp(**OF_OBJECTS))
    for each in random_actions(env, 0, 60):
        assert torch.isfinite(env.step(each).observations["policy"]).all()
    assert all_worlds(env).all()
