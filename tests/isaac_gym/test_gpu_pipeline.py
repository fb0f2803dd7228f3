"""The stand-in's GPU pipeline: tensors on the GPU, whatever steps the physics."""

from __future__ import annotations

import warnings

import pytest
import torch
from isaacgym import gymapi, gymtorch

from dexhand_env.config.physics import load_physics
from dexhand_env.sim.isaac_gym.simulation import IsaacGymSimulation

from ..contract.backends import WITH_OBJECTS
from .scenes import DOFS, Prepared, numbers, simulation_params, violates

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")


@pytest.fixture
def world() -> Prepared:
    """Three envs."""
    params = simulation_params()
    params.use_gpu_pipeline = params.physx.use_gpu = True
    return Prepared(params=params)


def test_it_steps_as_the_cpu_pipeline_does_and_needs_no_fetching(world: Prepared) -> None:
    other = Prepared()
    for each in (world, other):
        each.targets[:] = 0.5
        for _ in range(50):
            each.set_targets()
            each.gym.simulate(each.sim)
            if each is other:
                each.gym.fetch_results(each.sim, True)
        each.refresh()
    for ours, theirs in ((world.dofs, other.dofs), (world.roots, other.roots), (world.forces, other.forces)):
        assert ours.device == torch.device("cuda:0")
        assert torch.equal(ours.cpu(), theirs)


def test_states_are_set_from_the_gpu(world: Prepared) -> None:
    world.dofs[2:4, 0] = 0.25
    world.roots[3, :3] = torch.tensor([1.0, 2.0, 3.0])
    fingers, boxes = numbers(2).cuda(), numbers(3).cuda()
    world.set_dofs(fingers)
    world.set_roots(boxes)
    world.gym.simulate(world.sim)
    world.refresh()
    assert world.roots[3, :2].tolist() == [1.0, 2.0]
    assert float(world.dofs[2, 0]) == pytest.approx(0.25, abs=0.02)
    assert world.dofs[:2, 0].abs().max() < 1e-6


def test_tensors_of_the_host_are_refused(world: Prepared) -> None:
    with violates("a tensor on cpu, the pipeline's are on cuda:0"):
        world.set_dofs(numbers(0))
    targets = torch.zeros(3, DOFS)
    with violates("a tensor on cpu, the pipeline's are on cuda:0"):
        world.gym.set_dof_position_target_tensor(world.sim, gymtorch.unwrap_tensor(targets))


def test_its_own_copies_are_not_counted_as_waiting(world: Prepared) -> None:
    targets = gymtorch.unwrap_tensor(world.targets)
    fingers = numbers(0).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        world.gym.set_dof_position_target_tensor(world.sim, targets)
        world.set_dofs(fingers)
        world.gym.simulate(world.sim)
        world.refresh()
        assert torch.cuda.get_sync_debug_mode() == 2
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_it_says_where_it_is(world: Prepared) -> None:
    assert gymapi.acquire_gym().get_sim_params(world.sim).use_gpu_pipeline  # type: ignore[attr-defined]
    assert world.gym.acquire_dof_state_tensor(world.sim).device == 0


@pytest.mark.parametrize("measured", [False, True])
def test_the_adapter_waits_once_a_step(measured: bool) -> None:
    """For the number of worlds that were set; the stand-in's own copies are not counted."""
    sim = IsaacGymSimulation(WITH_OBJECTS, load_physics("default"), 16, "cuda:0")
    worlds = torch.rand(16, device=sim.device) < 0.5
    targets, poses = torch.zeros(16, 26, device=sim.device), torch.zeros(16, 2, 7, device=sim.device)
    poses[..., 3] = 1.0

    def control_step() -> None:
        sim.set_joint_targets(targets)
        sim.step()
        sim.reset(worlds, targets, poses)
        if measured:
            assert sim.hand_penetrations.shape == sim.object_penetrations.shape
        sim.site_poses(["hand", "r_f_link2_tip"])
        sim.body_poses(["r_f_link2_4", "cube"])
        assert len(sim.object_velocities) == len(sim.fingertip_forces) == len(sim.joint_velocities)

    for _ in range(3):  # what is copied to the GPU once has been
        control_step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            control_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if "synchroniz" in str(warning.message)]
    assert len(waits) == 1, [str(warning.message) for warning in waits]
