"""A world that turns NaN, infinite or huge is found, counted and put back, and is the only one."""

from __future__ import annotations

import pytest
import torch

from dexhand_env.sim.contract import Simulation

from .backends import WITH_OBJECTS, Backend
from .motions import everything, into_contact, push, some


def broken(sim: Simulation, world: int, field: str, column: int, value: float) -> None:
    state = sim.get_state()
    state[field][world, column] = value
    sim.set_state(state)


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "unseen"])
@pytest.mark.parametrize(
    ("field", "column", "value"),
    [
        ("qpos", 7, float("nan")),
        ("qpos", 26, float("inf")),
        ("qvel", 2, float("nan")),
        ("qvel", 30, 1e12),
    ],
)
def test_only_the_broken_world_is_put_back(
    backend: Backend, watched: bool, field: str, column: int, value: float
) -> None:
    sim, healthy = backend.make(WITH_OBJECTS, num_envs=3), backend.make(WITH_OBJECTS, num_envs=3)
    for each in (sim, healthy):
        if watched:
            everything(each)
        into_contact(each, 20)
    broken(sim, 1, field, column, value)
    for each in (sim, healthy):
        each.step()
    assert sim.nan_worlds.tolist() == [False, True, False]
    assert sim.counters() == backend.counters(nan_resets=1)
    for name, values in everything(sim).items():
        assert torch.isfinite(values).all(), name
        backend.assert_same(values[[0, 2]], everything(healthy)[name][[0, 2]])
    for each in (sim, healthy):
        push(each, each.joint_targets, 3)
    assert not sim.nan_worlds.any()
    assert sim.counters().nan_resets == 1
    backend.assert_same(sim.joint_positions[[0, 2]], healthy.joint_positions[[0, 2]])
    assert healthy.counters() == backend.counters()


def test_every_break_counts_and_a_reset_repairs(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=3)
    for world in (0, 2, 2):
        broken(sim, world, "qvel", 0, float("nan"))
        sim.step()
        assert sim.nan_worlds.nonzero()[:, 0].tolist() == [world]
        sim.reset(some(sim, world), torch.full((3, 26), 0.1))
    assert sim.counters().nan_resets == 3
    sim.step()
    assert not sim.nan_worlds.any()
    assert sim.counters().nan_resets == 3
    torch.testing.assert_close(sim.joint_positions[2], torch.full((26,), 0.1), rtol=0.0, atol=0.15)


def test_a_broken_world_is_found_when_it_is_stepped(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=3)
    broken(sim, 1, "qpos", 0, float("nan"))
    sim.step(some(sim, 0, 2))
    assert not sim.nan_worlds.any()
    sim.step(some(sim, 1, 2))
    assert sim.nan_worlds.tolist() == [False, True, False]
    sim.step(some(sim, 0))
    assert not sim.nan_worlds.any()
    assert sim.counters().nan_resets == 1
