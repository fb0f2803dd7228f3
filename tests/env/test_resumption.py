"""A training that goes on with another randomisation: running episodes end as they were drawn, later ones as they are
configured."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.config.registry import load_task
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.sim.contract import WorldParameters

from .environments import assert_equal, play, random_actions, training_env

STEPS = 8
SHORT: Dict[str, Any] = {"sim": {"physics": "fast"}, "episode_length_steps": STEPS, "success": {"hold_steps": 5}}
NAMES = [field.name for field in dataclasses.fields(WorldParameters)]
DRAWN = {  # key: range before, range after, what it decides
    "object_friction": ([0.1, 0.2], [1.1, 1.2], {"object_frictions"}),
    "object_mass_kg": ([0.5, 2.0], [0.05, 0.06], {"object_masses_kg"}),
    "object_shapes": (["cube", "sphere"], ["sphere", "cylinder"], {"object_shapes"}),
    "object_size_m": ([0.06, 0.08], [0.04, 0.045], {"object_extents_m"}),
    "gain_factor": ([0.2, 0.5], [1.5, 1.6], {"gain_factors"}),
    "damping_factor": ([2.0, 3.0], [0.5, 0.6], {"damping_factors"}),
}


def grasp(randomisation: Dict[str, Any], **overrides: Any) -> Any:
    return load_task("DexGrasp", {**SHORT, "randomisation": randomisation, **overrides})


def base(randomisation: Dict[str, Any]) -> Any:
    return load_task("BaseTask", {**SHORT, "randomisation": randomisation})


def resumed(before: DexHandEnv, config: Any) -> DexHandEnv:
    env = training_env(before.num_envs, 7, config)
    env.set_state(before.get_state())
    return env


@pytest.mark.parametrize("left", [(), *((key,) for key in DRAWN), ("object_size_m", "gain_factor")], ids=str)
def test_what_is_not_drawn_any_more_is_the_scenes_own(left: tuple[str, ...]) -> None:
    """In every episode begun after it; keys of the object over a randomised run count too."""
    item = {"shape": "cube", "size_m": 0.05, "mass_kg": 0.3, "friction": 0.7}
    before = training_env(6, 1, grasp({key: ranges[0] for key, ranges in DRAWN.items()}))
    play(before, random_actions(before, 0, 5))
    config = grasp({key: DRAWN[key][1] for key in left}, object=item)
    env, fresh = resumed(before, config), training_env(6, 7, grasp({}, object=item))
    for name in set(NAMES) - {"object_shapes", "object_extents_m"}:  # what runs goes on; shapes: see tests/contract
        assert torch.equal(getattr(env.sim.parameters, name), getattr(before.sim.parameters, name))
    play(env, random_actions(env, 1, STEPS))
    drawn = {name for key in left for name in DRAWN[key][2]}
    for name in NAMES:
        same = torch.equal(getattr(env.sim.parameters, name), getattr(fresh.sim.parameters, name))
        assert same == (name not in drawn), name


def test_only_the_episodes_that_begin_are_put_back() -> None:
    before = training_env(4, 1, grasp({"gain_factor": [0.2, 0.5]}))
    env = resumed(before, grasp({}))
    env._begin(torch.tensor([False, True, False, False]))
    gains, earlier = env.sim.parameters.gain_factors, before.sim.parameters.gain_factors
    assert gains is not None
    assert earlier is not None
    assert torch.equal(gains[1], torch.ones(26))
    assert torch.equal(gains[[0, 2, 3]], earlier[[0, 2, 3]])


def test_a_training_that_goes_on_otherwise_can_be_interrupted_too() -> None:
    """To the same bits, while episodes of the earlier randomisation still run."""
    everything = {key: ranges[0] for key, ranges in DRAWN.items()}
    before = training_env(6, 1, grasp(everything))
    config = grasp({"object_mass_kg": [0.05, 0.06], "action_delay_steps": [0, 2]})
    env = resumed(before, config)
    actions = random_actions(env, 2, 20)
    play(env, actions[:4])
    again = resumed(env, config)
    for found, wanted in zip(play(again, actions[4:]), play(env, actions[4:])):
        assert_equal(found, wanted)


def test_nothing_is_put_back_where_the_configuration_is_the_same() -> None:
    randomised = {key: ranges[0] for key, ranges in DRAWN.items()}
    env = training_env(4, 1, grasp(randomised))
    assert resumed(env, grasp(randomised))._own_parameters._restored is None
    assert resumed(training_env(4, 1, grasp({})), grasp({}))._own_parameters._restored is None


delays = st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted)
noise = st.none() | st.dictionaries(
    st.sampled_from(["joint_positions", "joint_velocities", "goal"]), st.sampled_from([0.01, 0.1]), min_size=1
)
pushes = st.none() | st.just({"every_s": [0.06, 0.2], "base_m_per_s": 0.3})
randomisations = st.fixed_dictionaries(
    {
        "action_delay_steps": delays,
        "observation_noise": noise,
        "pushes": pushes,
        "action_noise": st.none() | st.just(0.1),
        "gain_factor": st.none() | st.just([0.5, 0.8]),
    }
)


@settings(max_examples=15)
@given(randomisations, randomisations, st.integers(0, 12))
def test_any_randomisation_goes_on_as_any_other(first: Dict[str, Any], second: Dict[str, Any], done: int) -> None:
    before = training_env(4, 1, base(first))
    play(before, random_actions(before, 0, done))
    env = resumed(before, base(second))
    assert torch.isfinite(env.observe()["policy"]).all()
    play(env, random_actions(env, 1, STEPS))
    env.reset()
    begun = env.hand.control_targets.clone()
    env.hand.control_targets = begun
    shortest, longest = second["action_delay_steps"] or (0, 0)
    moved = []
    for _ in range(STEPS - 1):
        step = env.step(torch.ones(4, env.num_actions))
        moved.append((env.hand.control_targets != begun).any(dim=1))
        off = step.observations["policy"] - torch.cat([read() for read in env._groups["policy"]], dim=1)
        assert_noise(env, off, second["observation_noise"] or {})
    first_moves = torch.stack(moved).to(torch.int64).argmax(dim=0)
    assert ((first_moves >= shortest) & (first_moves <= longest)).all()


def assert_noise(env: DexHandEnv, off: torch.Tensor, amplitudes: Dict[str, float]) -> None:
    column = 0
    for name in env.task.config.observations.policy:
        size = env.task.observations()[name]().shape[1]
        part = off[:, column : column + size].abs()
        assert float(part.max()) <= amplitudes.get(name, 0.0) * 1.001 + 1e-5, name
        column += size


@pytest.mark.parametrize(
    ("before", "after"), [([0, 2], [0, 5]), ([5, 5], [0, 0]), ([3, 3], None), (None, [2, 2]), ([4, 4], [1, 1])]
)
def test_a_running_episode_keeps_its_delay(before: Any, after: Any) -> None:
    """What the policy said before the break arrives when it would have."""
    known = {"action_noise": 1e-9}  # so that something is randomised in either
    first, second = (base({**known, "action_delay_steps": delay}) for delay in (before, after))
    first, second = (config.model_copy(update={"stagger_first_episodes": False}) for config in (first, second))
    kept = training_env(4, 1, first)
    actions = random_actions(kept, 0, STEPS)
    play(kept, actions[:4])
    env = resumed(kept, second)
    for each in actions[4:-1]:
        kept.step(each)
        env.step(each)
        torch.testing.assert_close(env.hand.control_targets, kept.hand.control_targets, rtol=0.0, atol=1e-6)


def test_noise_stays_on_what_is_still_noisy() -> None:
    """Until it is drawn anew in the next step: on what is no more, none; on what begins to be, some."""
    first = base({"observation_noise": {"joint_positions": 0.01, "joint_velocities": 0.1}})
    second = base({"observation_noise": {"joint_velocities": 0.1, "goal": 0.02}})
    before = training_env(4, 1, first)
    play(before, random_actions(before, 0, 3))
    env = resumed(before, second)
    old, new = before.observe()["policy"], env.observe()["policy"]
    true = torch.cat([read() for read in env._groups["policy"]], dim=1)
    assert torch.equal(new[:, :26], true[:, :26])
    assert torch.equal(new[:, 26:52], old[:, 26:52])
    assert not torch.equal(old[:, :52], true[:, :52])
    assert_noise(env, new - true, {"joint_velocities": 0.1, "goal": 0.02})
    older = before.get_state()
    del older["randomisation"]["noisy"]  # of a file that does not say what its noise is of
    env.set_state(older)
    assert_noise(env, env.observe()["policy"] - true, {"joint_velocities": 0.1, "goal": 0.02})
