"""That the simulated hand and objects move as physics says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dexhand_env.config.physics import physics_names
from dexhand_env.hand.joints import body_names, pad_sites, tip_sites
from dexhand_env.sim.scene import Actuation, Scene, SceneObject

from .backends import BALL, BARE, CUBE, WITH_OBJECTS, Backend
from .motions import every, into_contact, joints, matrix, random_joints, single_world, some

SLIDE_GAIN_N_PER_M = 1e4  # of the base's position actuators
GRAVITY_M_PER_S2 = 9.81


@pytest.mark.parametrize("physics", physics_names())
def test_targets_are_reached_under_every_preset(backend: Backend, physics: str) -> None:
    sim = backend.make(BARE, num_envs=8, physics=physics)
    targets = random_joints(8, seed=3)
    sim.set_joint_targets(targets)
    torch.testing.assert_close(sim.joint_targets, targets)
    for _ in range(100):
        sim.step()
    error = (sim.joint_positions - targets).abs()
    assert error[:, :3].max() < 1e-3
    assert error[:, 3:].max() < 5e-3
    assert sim.joint_velocities.abs().max() < 1e-2
    assert sim.counters() == backend.counters()


def test_a_limited_base_gives_no_more_than_its_limit(backend: Backend) -> None:
    """Far from its target its speed grows in proportion to the limit. Where spring and damper cancel it needs no force,
    and the limit decides nothing."""
    speeds, reached = {}, {}
    for limit in (2.0, 4.0):
        limited = Actuation(base_stiffness_factor=0.2, base_force_limit_n=limit, base_torque_limit_n_m=limit / 20.0)
        scene = Scene(table=False, actuation=limited)
        sim, targets = backend.make(scene, num_envs=3), torch.zeros(3, 26)
        targets[0, 2], targets[1, 5] = 0.8, 3.0
        for step in range(50):
            targets[2, 2] = 0.006 * (step + 1)  # 0.3 m/s, at which the damper alone gives 23 N
            sim.set_joint_targets(targets)
            sim.step()
            if step == 1:
                speeds[limit] = sim.joint_velocities[[0, 1], [2, 5]]
        reached[limit] = sim.joint_positions[2, 2]
    torch.testing.assert_close(speeds[4.0], 2.0 * speeds[2.0], rtol=0.05, atol=0.0)
    torch.testing.assert_close(reached[2.0], reached[4.0], rtol=0.0, atol=1e-3)
    assert float(reached[2.0]) > 0.3 - 0.015


def test_presets_agree_on_a_motion(backend: Backend) -> None:
    begin, end = random_joints(6, seed=4), random_joints(6, seed=5)
    reached = {}
    for physics in physics_names():
        sim = backend.make(BARE, num_envs=6, physics=physics)
        assert sim.control_dt_s == 0.02
        sim.reset(every(sim), begin)
        for step in range(50):
            sim.set_joint_targets(begin + (end - begin) * (step + 1) / 50)
            sim.step()
        reached[physics] = sim.joint_positions
    for positions in reached.values():
        torch.testing.assert_close(positions, reached["reference"], rtol=0.0, atol=0.02)


def test_the_hand_hangs_still_without_targets_moving(backend: Backend) -> None:
    sim = backend.make(BARE, num_envs=2)
    begin = random_joints(2, seed=6)
    sim.reset(every(sim), begin)
    for _ in range(50):
        sim.step()
    torch.testing.assert_close(sim.joint_positions, begin, rtol=0.0, atol=1e-4)  # gravity is compensated


@pytest.mark.parametrize("side", ["right", "left"])
def test_poses_agree_with_forward_kinematics_of_one_world(backend: Backend, side: str) -> None:
    scene = Scene(side=side, objects=(CUBE, BALL))
    sim = backend.make(scene, num_envs=3)
    sites, bodies = ("hand", *tip_sites(side), *pad_sites(side)), (*body_names(side), "cube", "ball")
    sim.body_poses(bodies)
    into_contact(sim, 25)
    site_positions, site_quaternions = sim.site_poses(sites)
    body_positions, body_quaternions = sim.body_poses(bodies)
    for world in range(3):
        _, data = single_world(scene, sim, world)
        for index, name in enumerate(sites):
            site = data.site(name)
            np.testing.assert_allclose(site_positions[world, index].numpy(), site.xpos, atol=2e-6)
            found = matrix(site_quaternions[world, index].numpy())
            np.testing.assert_allclose(found, site.xmat.reshape(3, 3), atol=5e-6)
        for index, name in enumerate(bodies):
            body = data.body(name)
            np.testing.assert_allclose(body_positions[world, index].numpy(), body.xpos, atol=2e-6)
            np.testing.assert_allclose(matrix(body_quaternions[world, index].numpy()), matrix(body.xquat), atol=5e-6)


def test_poses_are_of_the_state_just_set(backend: Backend) -> None:
    sim = backend.make(BARE, num_envs=2)
    sim.site_poses(["hand"])
    begin = random_joints(2, seed=7)
    sim.reset(some(sim, 1), begin)
    positions, _ = sim.site_poses(["hand"])
    torch.testing.assert_close(positions[1, 0], begin[1, :3] + torch.tensor([0.0, 0.0, BARE.spawn_height_m]))
    torch.testing.assert_close(positions[0, 0], torch.tensor([0.0, 0.0, BARE.spawn_height_m]))


@pytest.mark.parametrize("side", ["right", "left"])
def test_each_fingertips_force_stands_in_its_own_place(backend: Backend, side: str) -> None:
    """World k bends finger k alone and touches the table with it."""
    postures = [
        {"thumb_rotation": 1.4},
        *({f"{finger}_mcp": 1.2} for finger in ("index", "middle", "ring", "little")),
    ]
    begin = torch.cat([joints(1, **posture) for posture in postures])
    sim = backend.make(Scene(side=side), num_envs=5)
    sim.reset(every(sim), begin)
    lowest = sim.site_poses(tip_sites(side))[0][:, :, 2].amin(dim=1)
    begin[:, 2] -= lowest + 0.004  # the end of the finger goes 4 mm into the table
    sim.reset(every(sim), begin)
    for _ in range(10):
        sim.step()
    pressed = sim.fingertip_forces[:, :, 2] > 0.1
    assert torch.equal(pressed, torch.eye(5, dtype=torch.bool))
    others = ~torch.eye(5, dtype=torch.bool)
    assert not sim.fingertip_forces[others].any()


def test_fingertip_forces_balance_what_presses_the_base(backend: Backend) -> None:
    """Only fingertips touch the table; at rest their forces are the opposite of the base's actuators' forces."""
    begin = joints(2, thumb_rotation=1.4, index_mcp=1.2, middle_mcp=1.2, ring_mcp=1.2, little_mcp=1.2)
    begin[:, 2] = -0.39
    sim = backend.make(BARE, num_envs=2)
    sim.reset(every(sim), begin)
    targets = begin.clone()
    for step in range(150):
        targets[:, 2] = -0.39 - torch.tensor([0.0, 0.01]) * min(step / 100, 1.0)
        sim.set_joint_targets(targets)
        sim.step()
    assert sim.joint_velocities.abs().max() < 0.05  # friction is soft: loaded fingertips creep
    on_hand = sim.fingertip_forces.sum(dim=1)
    actuators = SLIDE_GAIN_N_PER_M * (sim.joint_targets - sim.joint_positions)[:, :3]
    assert (on_hand[:, 2] > 1.0).all()  # the table pushes up, on the finger
    torch.testing.assert_close(on_hand, -actuators, rtol=0.01, atol=0.3)
    assert on_hand[1, 2] > on_hand[0, 2] + 1.0


def test_objects_fall_as_gravity_says_and_rest_on_the_table(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=2)
    poses = torch.tensor([[0.3, 0.4, 0.5, 1.0, 0.0, 0.0, 0.0], [-0.3, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0]])
    sim.reset(every(sim), torch.zeros(2, 26), poses.repeat(2, 1, 1))
    for _ in range(10):
        sim.step()
    time_s = 10 * sim.control_dt_s
    fallen = poses[:, 2] - sim.object_positions[0, :, 2]
    assert fallen == pytest.approx(torch.full((2,), GRAVITY_M_PER_S2 * time_s**2 / 2), rel=0.05)
    assert sim.object_velocities[0, :, 2] == pytest.approx(torch.full((2,), -GRAVITY_M_PER_S2 * time_s), rel=0.01)
    assert sim.object_velocities[0, :, [0, 1, 3, 4, 5]].abs().max() < 1e-6
    for _ in range(150):
        sim.step()
    heights = torch.tensor([CUBE.size_m[2], BALL.size_m[0]])
    torch.testing.assert_close(sim.object_positions[0, :, 2], heights, rtol=0.0, atol=1e-3)
    assert sim.object_velocities.abs().max() < 0.05
    torch.testing.assert_close(sim.object_positions[0], sim.object_positions[1])


def test_a_push_changes_linear_velocities_and_nothing_else(backend: Backend) -> None:
    """At once, by what was asked for; the objects then fly on with it."""
    sim, calm = (backend.make(WITH_OBJECTS, num_envs=2) for _ in range(2))
    base = torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.0, 0.0]])
    objects = torch.zeros(2, 2, 3)
    objects[0, 1] = torch.tensor([1.0, 2.0, 0.5])
    sim.add_velocities(base, objects)
    found, before = sim.joint_velocities.clone(), calm.joint_velocities
    torch.testing.assert_close(found[:, :3] - before[:, :3], base)
    assert torch.equal(found[:, 3:], before[:, 3:])
    torch.testing.assert_close(sim.object_velocities[:, :, :3] - calm.object_velocities[:, :, :3], objects)
    assert torch.equal(sim.object_velocities[:, :, 3:], calm.object_velocities[:, :, 3:])
    assert torch.equal(sim.object_positions, calm.object_positions)
    for each in (sim, calm):
        each.step()
    flown = sim.object_positions - calm.object_positions
    torch.testing.assert_close(flown[0, 1, :2], objects[0, 1, :2] * sim.control_dt_s, rtol=1e-3, atol=1e-5)
    assert torch.equal(flown[1], torch.zeros(2, 3)) or backend.tolerance > 0.0


def test_angular_velocity_is_in_the_objects_frame(backend: Backend) -> None:
    """A cube pitched up by 90 degrees and spun about its own z turns about the world's x."""
    sim = backend.make(WITH_OBJECTS, num_envs=1)
    half = 0.5**0.5
    pitched = torch.tensor([[[0.3, 0.4, 0.5, half, 0.0, half, 0.0], [-0.3, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0]]])
    sim.reset(every(sim), torch.zeros(1, 26), pitched)
    state = sim.get_state()
    state["qvel"][0, 26 + 5] = 2.0
    sim.set_state(state)
    assert sim.object_velocities[0, 0, 5] == pytest.approx(2.0)
    for _ in range(10):
        sim.step()
    assert sim.object_velocities[0, 0, 3:].numpy() == pytest.approx([0.0, 0.0, 2.0], abs=1e-3)
    turned = matrix(sim.object_quaternions[0, 0].numpy()) @ matrix(pitched[0, 0, 3:].numpy()).T
    angle = 2.0 * 10 * sim.control_dt_s
    expected = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    np.testing.assert_allclose(turned, expected, atol=2e-3)


@pytest.mark.parametrize("friction", [0.3, 1.0])
def test_a_sliding_object_is_braked_by_friction_times_its_weight(backend: Backend, friction: float) -> None:
    """Not by the table's friction, which is 1 and would count if it were the larger."""
    brick = SceneObject("brick", "box", (0.04, 0.04, 0.01), 0.2, (0.0, 0.4, 0.01), friction)
    sim = backend.make(Scene(objects=(brick,)), num_envs=1)
    for _ in range(30):
        sim.step()
    state = sim.get_state()
    state["qvel"][0, 26] = 1.0
    sim.set_state(state)
    for _ in range(5):
        sim.step()
    braking = (1.0 - float(sim.object_velocities[0, 0, 0])) / (5 * sim.control_dt_s)
    assert braking == pytest.approx(friction * GRAVITY_M_PER_S2, rel=0.05)
