"""The backends agree with MuJoCo on the CPU, from one state on."""

from __future__ import annotations

import pytest
import torch

from dexhand_env.config.physics import Physics, load_physics
from dexhand_env.sim.backends import BACKENDS as BACKEND_NAMES
from dexhand_env.sim.contract import Simulation

from .backends import BACKENDS, Backend
from .test_scripted_grasp import ABOVE, CLOSE_S, DESCEND_S, GRASPED, OPENED, above_the_cube, move

TRIALS = 10
# After one step from one state: of MuJoCo's backends, and of PhysX, which is another engine.
PHYSX_APART_M, PHYSX_APART_RAD = 0.02, 0.2  # after a second of grasping
BOUNDS = {"joint_positions": (5e-6, 0.01), "object_positions": (1e-6, 1e-3), "joint_velocities": (5e-4, 1.0)}
REFERENCE, *OTHERS = BACKENDS
other_backends = pytest.mark.parametrize("other", OTHERS, ids=lambda backend: f"{backend.name}-{backend.device}")


def put_into_the_state_of(reference: Simulation, sim: Simulation) -> None:
    """What one backend saves, another goes on from; the contact warm start too, since few iterations follow it."""
    sim.set_state({**sim.get_state(), **reference.get_state()})


def test_every_backend_of_this_version_is_tested() -> None:
    missing = set(BACKEND_NAMES) - {"auto"} - {backend.name for backend in BACKENDS}
    if missing == {"mujoco_warp"}:
        pytest.skip("no Warp")
    assert not missing


@other_backends
def test_one_control_step_from_one_state(other: Backend) -> None:
    """Above the cube, while the fingers close on it, and when they hold it."""
    reference, sim = above_the_cube(REFERENCE, TRIALS), above_the_cube(other, TRIALS)
    for begin, end, seconds in ((ABOVE, OPENED, DESCEND_S), (OPENED, GRASPED, CLOSE_S), (GRASPED, GRASPED, 0.4)):
        move(reference, begin, end, seconds)
        put_into_the_state_of(reference, sim)
        reference.step()
        sim.step()
        for name, (mujoco, physx) in BOUNDS.items():
            bound = mujoco if other.is_mujoco else physx
            torch.testing.assert_close(getattr(sim, name), getattr(reference, name), rtol=0.0, atol=bound)


def apart_after_a_second_of_grasping(other: Backend, physics: Physics) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances of the cubes, m, and largest distances of a joint, rad, both (TRIALS,)."""
    reference, sim = above_the_cube(REFERENCE, TRIALS, physics), above_the_cube(other, TRIALS, physics)
    move(reference, ABOVE, OPENED, DESCEND_S)
    put_into_the_state_of(reference, sim)
    for each in (reference, sim):
        move(each, OPENED, GRASPED, CLOSE_S)
        move(each, GRASPED, GRASPED, 1.0 - CLOSE_S)
    assert (sim.fingertip_forces.norm(dim=-1)[:, 0] > 1.0).all()  # every thumb presses
    cubes_m = (sim.object_positions - reference.object_positions).norm(dim=-1)[:, 0]
    return cubes_m, (sim.joint_positions - reference.joint_positions).abs().amax(dim=1)


@other_backends
def test_a_second_of_grasping_with_the_solver_run_to_its_end(other: Backend) -> None:
    physics = load_physics("default").model_copy(update={"iterations": 20, "ls_iterations": 50})
    cubes_m, joints_rad = apart_after_a_second_of_grasping(other, physics)
    assert cubes_m.max() < (1e-5 if other.is_mujoco else PHYSX_APART_M)
    assert joints_rad.max() < (1e-4 if other.is_mujoco else PHYSX_APART_RAD)


@other_backends
def test_a_second_of_grasping_as_shipped(other: Backend) -> None:
    """Five iterations do not finish an impact: each backend leaves off elsewhere, and the cubes come to lie so."""
    cubes_m, joints_rad = apart_after_a_second_of_grasping(other, load_physics("default"))
    if not other.is_mujoco:
        assert cubes_m.max() < PHYSX_APART_M
        assert joints_rad.max() < PHYSX_APART_RAD
        return
    assert cubes_m.median() < 0.002
    assert cubes_m.max() < 0.005
    assert joints_rad.median() < 0.01
    assert joints_rad.max() < 0.04
