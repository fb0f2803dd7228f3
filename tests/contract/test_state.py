"""What every backend shows, and what reset, step and restore leave alone."""

from __future__ import annotations

import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.hand.joints import body_names, tip_sites
from dexhand_env.sim.factory import make_simulation, simulation_memory
from dexhand_env.sim.scene import Scene

from .backends import BACKENDS, BARE, CUBE, WITH_OBJECTS, Backend
from .motions import every, everything, into_contact, push, random_joints, some


def test_shapes_types_and_device(backend: Backend) -> None:
    sim = make_simulation(WITH_OBJECTS, load_physics("default"), 3, backend.name, backend.device, 1)
    shapes = {
        "joint_positions": (3, 26),
        "joint_velocities": (3, 26),
        "joint_targets": (3, 26),
        "fingertip_forces": (3, 5, 3),
        "object_positions": (3, 2, 3),
        "object_quaternions": (3, 2, 4),
        "object_velocities": (3, 2, 6),
    }
    for name, shape in shapes.items():
        values = getattr(sim, name)
        assert (name, values.shape, values.dtype, values.device) == (name, shape, torch.float32, sim.device)
    for poses, names in ((sim.site_poses, tip_sites("right")), (sim.body_poses, body_names("right"))):
        positions, quaternions = poses(names)
        assert positions.shape == (3, len(names), 3)
        assert quaternions.shape == (3, len(names), 4)
        assert positions.dtype == quaternions.dtype == torch.float32
        assert positions.device == quaternions.device == sim.device
    assert (sim.nan_worlds.shape, sim.nan_worlds.dtype, sim.nan_worlds.any().item()) == ((3,), torch.bool, False)
    assert sim.device == torch.device(backend.device)
    assert (sim.num_envs, sim.control_dt_s) == (3, 0.02)


def test_a_world_saves_as_much_as_is_predicted(backend: Backend) -> None:
    needed = simulation_memory(WITH_OBJECTS, load_physics("default"), backend.name, backend.device, 1)
    state = backend.make(WITH_OBJECTS, num_envs=4).get_state()
    saved = sum(values.nbytes for name, values in state.items() if name != "counters")
    assert needed.state_bytes * 4 == saved
    assert needed.state_bytes < needed.world_bytes


def test_a_scene_without_objects_has_empty_object_tensors(backend: Backend) -> None:
    sim = backend.make(BARE, num_envs=2)
    sim.step()
    sim.reset(some(sim, 1), torch.zeros(2, 26))
    assert sim.object_positions.shape == (2, 0, 3)
    assert sim.object_quaternions.shape == (2, 0, 4)
    assert sim.object_velocities.shape == (2, 0, 6)


def test_reset_gives_the_state_asked_for_at_rest(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=2)
    into_contact(sim, 40)
    wanted = random_joints(2, seed=1)
    poses = torch.tensor([[[0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0]]]).repeat(2, 1, 1)
    poses[1, :, 0] += 0.05
    sim.reset(every(sim), wanted, poses)
    torch.testing.assert_close(sim.joint_positions, wanted)
    torch.testing.assert_close(sim.joint_targets, wanted)
    torch.testing.assert_close(sim.object_positions, poses[:, :, :3])
    torch.testing.assert_close(sim.object_quaternions, poses[:, :, 3:])
    assert not sim.joint_velocities.any()
    assert not sim.object_velocities.any()
    assert not sim.fingertip_forces.any()  # sensors are of the new state, not of the old one's contacts


def test_objects_return_to_the_scenes_own_poses(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=2)
    for _ in range(20):
        sim.step()
    sim.reset(some(sim, 1), torch.zeros(2, 26))
    torch.testing.assert_close(sim.object_positions[1, 0], torch.tensor(CUBE.position_m))
    torch.testing.assert_close(sim.object_quaternions[1, 0], torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert sim.object_positions[0, 1, 2] < sim.object_positions[1, 1, 2] - 0.1  # the ball of the other world has fallen


@pytest.mark.parametrize("chosen", [[], [1], [0, 2]])
def test_reset_of_some_worlds_leaves_the_others(backend: Backend, chosen: list[int]) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=4)
    into_contact(sim, 45)
    before = everything(sim)
    wanted = random_joints(4, seed=2)
    wanted[3] = float("nan")  # nobody looks at the rows of the others
    sim.reset(some(sim, *chosen), wanted)
    after = everything(sim)
    others = [world for world in range(4) if world not in chosen]
    for name in before:
        backend.assert_same(after[name][others], before[name][others])
    torch.testing.assert_close(after["joint_positions"][chosen], wanted[chosen])


def test_the_others_go_on_as_without_the_reset(backend: Backend) -> None:
    disturbed, alone = backend.make(WITH_OBJECTS, num_envs=4), backend.make(WITH_OBJECTS, num_envs=4)
    for sim in (disturbed, alone):
        into_contact(sim, 40)
    disturbed.reset(some(disturbed, 1, 3), random_joints(4, seed=2))
    for sim in (disturbed, alone):
        push(sim, sim.joint_targets, 15)
    for name, values in everything(alone).items():
        backend.assert_same(everything(disturbed)[name][[0, 2]], values[[0, 2]])


def test_step_of_some_worlds_leaves_the_others_unchanged(backend: Backend) -> None:
    sim, whole = backend.make(WITH_OBJECTS, num_envs=4), backend.make(WITH_OBJECTS, num_envs=4)
    for each in (sim, whole):
        into_contact(each, 40)
        targets = each.joint_targets.clone()
        targets[:, 2] -= 0.003
        each.set_joint_targets(targets)
    before = everything(sim)
    sim.step(some(sim, 1, 3))
    whole.step()
    after, all_stepped = everything(sim), everything(whole)
    for name in before:
        backend.assert_same(after[name][[0, 2]], before[name][[0, 2]])
        backend.assert_same(after[name][[1, 3]], all_stepped[name][[1, 3]])
    sim.step(some(sim))
    for name, values in everything(sim).items():
        backend.assert_same(values, after[name])
    sim.step()  # the others go on from where they were
    for name, values in everything(sim).items():
        backend.assert_same(values[[0, 2]], all_stepped[name][[0, 2]])


def test_a_restored_state_goes_on_bit_for_bit(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=3)
    into_contact(sim, 42)
    state = sim.get_state()
    kept = {name: values.clone() for name, values in state.items()}
    at_save = everything(sim)
    push(sim, sim.joint_targets, 12)
    expected = everything(sim)
    fresh = backend.make(WITH_OBJECTS, num_envs=3)
    for other in (sim, fresh):
        other.set_state(state)
        for name, values in everything(other).items():
            backend.assert_same(values, at_save[name])
        push(other, other.joint_targets, 12)
        for name, values in everything(other).items():
            backend.assert_same(values, expected[name])
    for name, values in state.items():
        torch.testing.assert_close(values, kept[name], rtol=0.0, atol=0.0)  # copies, not the live state


def test_looking_changes_nothing(backend: Backend) -> None:
    watched, unseen = backend.make(WITH_OBJECTS, num_envs=2), backend.make(WITH_OBJECTS, num_envs=2)
    for sim in (watched, unseen):
        into_contact(sim, 40)
    everything(watched)
    for sim in (watched, unseen):
        push(sim, sim.joint_targets, 8)
        if sim is watched:
            everything(sim)
        push(sim, sim.joint_targets, 8)
    for name, values in everything(unseen, sites=False).items():
        backend.assert_same(everything(watched, sites=False)[name], values)


def test_results_do_not_depend_on_threads(backend: Backend) -> None:
    one, two = backend.make(WITH_OBJECTS, num_envs=5), backend.make(WITH_OBJECTS, num_envs=5, threads=2)
    for sim in (one, two):
        into_contact(sim, 50)
    for name, values in everything(one).items():
        backend.assert_same(everything(two)[name], values)


def test_results_do_not_depend_on_the_number_of_worlds(backend: Backend) -> None:
    many = backend.make(WITH_OBJECTS, num_envs=5)
    begin = random_joints(5, seed=5)
    begin[:, 2] = -0.3
    into_contact(many, 50)
    seen = everything(many)
    for world in (0, 4):
        alone = backend.make(WITH_OBJECTS, num_envs=1)
        alone.reset(every(alone), begin[[world]])
        push(alone, begin[[world]], 50)
        for name, values in everything(alone).items():
            backend.assert_same(values, seen[name][[world]])


@pytest.mark.parametrize("scene", [BARE, WITH_OBJECTS], ids=["bare", "objects"])
def test_a_state_of_another_backend_is_taken(backend: Backend, scene: Scene) -> None:
    """Of MuJoCo on the CPU, and given back to it."""
    cpu = BACKENDS[0].make(scene, num_envs=3)
    into_contact(cpu, 30)
    other = backend.make(scene, num_envs=3)
    other.step()
    other.set_state(cpu.get_state())
    back = BACKENDS[0].make(scene, num_envs=3)
    back.set_state(other.get_state())
    for sim in (other, back):
        for name in ("joint_positions", "joint_velocities", "joint_targets", "object_positions", "object_velocities"):
            torch.testing.assert_close(getattr(sim, name), getattr(cpu, name), rtol=1e-6, atol=1e-7)
        sim.step()
        assert not sim.nan_worlds.any()
        assert sim.counters().nan_resets == 0
