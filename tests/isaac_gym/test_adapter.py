"""What the adapter does for Isaac Gym alone; all else is the contract suite's."""

from __future__ import annotations

import dataclasses
import importlib

import pytest
import torch
from isaacgym import gymapi

from dexhand_env.config.physics import load_physics
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import WorldParameters
from dexhand_env.sim.isaac_gym.simulation import IsaacGymSimulation
from dexhand_env.sim.scene import Scene, SceneObject

from ..contract.backends import CUBE, WITH_OBJECTS
from ..contract.motions import every, everything, into_contact, random_joints

WORLDS = importlib.import_module("isaacgym._worlds")


def make(scene: Scene = WITH_OBJECTS, num_envs: int = 3) -> IsaacGymSimulation:
    return IsaacGymSimulation(scene, load_physics("default"), num_envs, "cpu")


def test_positions_may_count_from_one_origin_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for spacing_m in (0.0, 2.0):
        monkeypatch.setattr(WORLDS, "SPACING_M", spacing_m)
        sim = make()
        assert sim.hand_penetrations.shape == (3, 2)
        into_contact(sim, 30)
        state = sim.get_state()
        sim.set_state(state)
        sim.reset(torch.tensor([True, False, False]), random_joints(3, 1))
        sim.step()
        seen.append((*everything(sim).values(), sim.object_penetrations, state["qpos"]))
    for near, far in zip(*seen):
        torch.testing.assert_close(far, near, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (SceneObject("pill", "capsule", (0.02, 0.01), 0.1), "no capsule for pill; allowed: box, sphere, cylinder"),
        (dataclasses.replace(CUBE, other_shapes=("sphere",)), "cannot give cube several shapes"),
        (dataclasses.replace(CUBE, friction=0.1), "friction 0.1; allowed: at least 0.25"),
    ],
)
def test_what_it_cannot_simulate_is_refused(item: SceneObject, said: str) -> None:
    with pytest.raises(UserError, match=said):
        make(Scene(objects=(item,)))


def test_other_shapes_and_low_friction_of_a_world_are_refused() -> None:
    sim = make()
    before = sim.parameters
    for given, said in (
        (WorldParameters(object_extents_m=torch.full((3, 2, 3), 0.03)), "cannot change object_size_m of a world"),
        (WorldParameters(object_frictions=torch.full((3, 2), 0.1)), "friction 0.1; allowed: at least 0.25"),
    ):
        with pytest.raises(UserError, match=said):
            sim.set_parameters(every(sim), given)
        assert sim.parameters is before


def test_physx_gets_the_presets_settings() -> None:
    physics = load_physics("gentle")
    sim = IsaacGymSimulation(WITH_OBJECTS, physics, 2, "cpu")
    found = gymapi.acquire_gym().get_sim_params(sim._sim)
    assert isinstance(found, gymapi.SimParams)
    assert (found.dt, found.substeps) == (pytest.approx(physics.timestep_s), 1)
    assert found.physx.num_position_iterations == physics.physx.position_iterations == 12
    assert found.physx.contact_offset == pytest.approx(physics.physx.contact_offset_m)
    assert found.physx.max_gpu_contact_pairs == physics.physx.max_gpu_contact_pairs
