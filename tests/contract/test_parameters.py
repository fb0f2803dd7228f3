"""Physical parameters that differ from world to world: each world is what a freshly compiled model is."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Tuple

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.sim.contract import Simulation, WorldParameters
from dexhand_env.sim.scene import Scene, SceneObject

from .backends import BACKENDS, BARE, NOT_MUJOCO, SHAPES, WITH_OBJECTS, Backend
from .motions import every, everything, into_contact, push, random_joints, some
from .parameters import EVERY_SHAPE, MIXED, NAMES, PHYSICS, assert_is_compiled, compiled, drawn, drawn_for

NONE = WorldParameters()
# Serves to put bodies to sleep alone, which no scene allows; Warp has no row a world for it.
UNUSED = ("dof_length",)


@pytest.mark.parametrize("scene", [BARE, MIXED], ids=["bare", "objects"])
def test_each_world_is_a_freshly_compiled_model(backend: Backend, scene: Scene) -> None:
    """All fields of MuJoCo's model on the CPU; on Warp all those that were given a row a world."""
    backend.needs_mujoco(NOT_MUJOCO)
    sim, parameters = backend.make(scene, num_envs=3), drawn(3, scene=scene)
    sim.set_parameters(every(sim), parameters)
    compared: set[str] = set()
    for world in range(3):
        compared |= assert_is_compiled(getattr(sim, "_sim", sim), scene, world)
    assert {
        "geom_friction",
        "body_mass",
        "body_inertia",
        "body_invweight0",
        "dof_damping",
        "actuator_biasprm",
    } <= compared
    assert {"geom_size", "geom_rbound", "geom_aabb", "geom_margin"} <= compared


@pytest.mark.parametrize("backend", [each for each in BACKENDS if each.name == "mujoco_warp"], ids=lambda b: b.device)
def test_nothing_else_of_warps_model_depends_on_them(backend: Backend) -> None:
    """Every field of a world's model is that of a freshly compiled one, those without a row a world too."""
    import mujoco_warp
    import warp

    sim, parameters = backend.make(WITH_OBJECTS, num_envs=1), drawn(1, scene=WITH_OBJECTS)
    sim.set_parameters(every(sim), parameters)
    inner: Any = getattr(sim, "_sim", sim)
    with warp.ScopedDevice(backend.device):
        fresh = mujoco_warp.put_model(compiled(WITH_OBJECTS, parameters, 0))
    for field in dataclasses.fields(fresh):
        ours, theirs = getattr(inner._model, field.name), getattr(fresh, field.name)
        if isinstance(theirs, warp.array) and theirs.size and field.name not in UNUSED:
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-5, atol=1e-9, err_msg=field.name)


def mj_step(model: mujoco.MjModel, state: Dict[str, torch.Tensor], world: int) -> Tuple[np.ndarray, np.ndarray]:
    """A control step of MuJoCo itself."""
    data = mujoco.MjData(model)
    for name in ("qpos", "qvel", "ctrl", "qacc_warmstart"):
        getattr(data, name)[:] = state[name][world].numpy()
    for _ in range(PHYSICS.substeps):
        mujoco.mj_step(model, data)
    return data.qpos, data.qvel


def test_each_world_moves_as_a_freshly_compiled_model(backend: Backend) -> None:
    """From a state in contact; and otherwise than with the scene's own parameters. Of shapes and sizes, which cannot
    change in contact, see test_shapes.py."""
    backend.needs_mujoco(NOT_MUJOCO)
    sim = backend.make(MIXED, num_envs=3)
    own = sim.parameters
    shapes = {"object_shapes": own.object_shapes, "object_extents_m": own.object_extents_m}
    parameters = dataclasses.replace(drawn(3), **shapes)
    into_contact(sim, 30)
    sim.set_joint_targets(random_joints(3, 7))
    begin = sim.get_state()
    sim.step()
    before = sim.get_state()["qvel"]
    sim.set_state(begin)
    sim.set_parameters(every(sim), parameters)
    sim.step()
    end = sim.get_state()
    exact = backend.name == "mujoco"
    for world in range(3):
        qpos, qvel = mj_step(compiled(MIXED, parameters, world), begin, world)
        np.testing.assert_allclose(end["qpos"][world], qpos, rtol=0, atol=1e-9 if exact else 1e-4)
        np.testing.assert_allclose(end["qvel"][world], qvel, rtol=0, atol=1e-7 if exact else 2e-2)
        assert np.abs(before[world].numpy() - qvel).max() > 0.05


def sliding(backend: Backend, friction: float, parameters: WorldParameters = NONE) -> torch.Tensor:
    """Speeds (3 worlds,) of a brick that was given 1 m/s on the table 0.1 s ago."""
    brick = SceneObject("brick", "box", (0.04, 0.04, 0.01), 0.2, (0.0, 0.4, 0.01), friction)
    sim = backend.make(Scene(objects=(brick,)), num_envs=3)
    sim.set_parameters(every(sim), parameters)
    for _ in range(30):
        sim.step()
    state = sim.get_state()
    state["qvel"][:, 26] = 1.0
    sim.set_state(state)
    for _ in range(5):
        sim.step()
    return sim.object_velocities[:, 0, 0]


def test_each_world_brakes_a_sliding_object_by_its_own_friction(backend: Backend) -> None:
    """As a scene with that friction does, whatever the object weighs; not by the larger friction of the table."""
    frictions, masses = [0.3, 0.6, 1.2], torch.tensor([[0.05], [0.5], [0.1]])
    column = torch.tensor(frictions)[:, None]
    found = sliding(backend, 1.0, WorldParameters(object_frictions=column, object_masses_kg=masses))
    expected = [float(sliding(backend, friction)[0]) for friction in frictions]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert expected[0] > expected[1] + 0.2 > expected[2] + 0.4


def test_gains_and_damping_decide_how_fast_joints_follow(backend: Backend) -> None:
    """A step of the base towards targets 2 cm away: twice the gain comes farther, twice the damping less far."""
    sim, factors = backend.make(BARE, num_envs=3), torch.ones(3, 26)
    faster, slower = factors.clone(), factors.clone()
    faster[1], slower[2] = 2.0, 2.0
    sim.set_parameters(every(sim), WorldParameters(gain_factors=faster, damping_factors=slower))
    goal = torch.zeros(3, 26)
    goal[:, :3] = 0.02
    sim.set_joint_targets(goal)
    sim.step()
    own, stiff, damped = sim.joint_positions[:, :3]
    assert (stiff > 1.2 * own).all()
    assert (damped < 0.9 * own).all()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_worlds_and_parameters_that_are_named_change(backend: Backend, name: str) -> None:
    if name in ("object_shapes", "object_extents_m"):
        backend.needs_mujoco(SHAPES)
    sim, untouched = (backend.make(backend.varied(MIXED), num_envs=3) for _ in range(2))
    own = untouched.parameters
    parameters = drawn(3)
    sim.set_parameters(some(sim, 1), WorldParameters(**{name: getattr(parameters, name)}))
    for other in NAMES:
        expected = getattr(own, other).clone()
        if other == name:
            expected[1] = getattr(parameters, other)[1]
        assert torch.equal(getattr(sim.parameters, other), expected)
    for each in (sim, untouched):
        into_contact(each, 20)
    for quantity, values in everything(sim).items():
        backend.assert_same(values[[0, 2]], everything(untouched)[quantity][[0, 2]])


def test_they_outlive_resets_and_are_part_of_the_state(backend: Backend) -> None:
    scene = backend.varied(MIXED)
    sim, parameters = backend.make(scene, num_envs=3), drawn_for(backend, 3)
    assert not any(name.startswith("parameter/") for name in sim.get_state())
    pristine = sim.get_state()
    sim.set_parameters(every(sim), parameters)
    sim.reset(every(sim), random_joints(3, 7))
    same_parameters(sim, parameters)
    into_contact(sim, 20)
    state = sim.get_state()
    restored = backend.make(scene, num_envs=3)
    restored.set_state(state)
    same_parameters(restored, parameters)
    for each in (sim, restored):
        each.set_state(state)
        push(each, random_joints(3, 7), 5)
    for quantity, values in everything(restored).items():
        backend.assert_same(values, everything(sim)[quantity])
    # A state without them is one of the scene as it is.
    fresh = backend.make(scene, num_envs=3)
    for each in (restored, fresh):
        each.set_state(pristine)
        push(each, random_joints(3, 7), 5)
    for quantity, values in everything(restored).items():
        backend.assert_same(values, everything(fresh)[quantity])
    assert restored.get_state().keys() == pristine.keys()


def test_worlds_that_were_not_changed_are_restored_to_the_last_bit(backend: Backend) -> None:
    """One world of three, one parameter of six."""
    sim, restored = (backend.make(backend.varied(MIXED), num_envs=3) for _ in range(2))
    sim.set_parameters(some(sim, 1), WorldParameters(object_frictions=drawn(3).object_frictions))
    into_contact(sim, 20)
    restored.set_state(sim.get_state())
    for each in (sim, restored):
        push(each, random_joints(3, 7), 20)
    for quantity, values in everything(restored).items():
        backend.assert_same(values, everything(sim)[quantity])


def same_parameters(sim: Simulation, expected: WorldParameters) -> None:
    for name in NAMES:
        if getattr(expected, name) is not None:
            assert torch.equal(getattr(sim.parameters, name), getattr(expected, name))


def test_a_state_takes_them_to_another_backend(backend: Backend) -> None:
    cpu, parameters = BACKENDS[0].make(MIXED, num_envs=3), drawn_for(backend, 3)
    cpu.set_parameters(every(cpu), parameters)
    sim = backend.make(backend.varied(MIXED), num_envs=3)
    sim.set_state(cpu.get_state())
    same_parameters(sim, parameters)


@settings(deadline=None, max_examples=25)
@given(changes=st.lists(st.tuples(st.lists(st.booleans(), min_size=4, max_size=4), st.sets(st.sampled_from(NAMES)))))
def test_whatever_is_changed_in_whatever_order(changes: List[Tuple[List[bool], set[str]]]) -> None:
    """On the CPU: the model of each world is that of the parameters that it has in the end."""
    sim = BACKENDS[0].make(EVERY_SHAPE, num_envs=4)
    expected = {name: getattr(sim.parameters, name).clone() for name in NAMES}
    for seed, (worlds, names) in enumerate(changes):
        parameters, mask = drawn(4, seed, EVERY_SHAPE), torch.tensor(worlds)
        sim.set_parameters(mask, WorldParameters(**{name: getattr(parameters, name) for name in names}))
        for name in names:
            expected[name][mask] = getattr(parameters, name)[mask]
    same_parameters(sim, WorldParameters(**expected))
    for world in range(4):
        assert_is_compiled(sim, EVERY_SHAPE, world, rtol=1e-6)
