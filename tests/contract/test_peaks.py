"""Forces and depths are the largest of a control step's physics steps, not those of its end."""

from __future__ import annotations

import mujoco
import numpy as np
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.hand.joints import force_sensors
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.mujoco_model import compile_scene

from .backends import BALL, CUBE, WITH_OBJECTS, Backend
from .motions import every, into_contact, joints, push, some

# Five iterations do not finish an impact, and each backend leaves off elsewhere.
CONVERGED = load_physics("default").model_copy(update={"iterations": 20, "ls_iterations": 50})
POSES = [[*CUBE.position_m, 1.0, 0.0, 0.0, 0.0], [*BALL.position_m, 1.0, 0.0, 0.0, 0.0]]


def peaks(sim: Simulation) -> torch.Tensor:
    """(num_envs, 5 + 2 objects), copied."""
    return torch.cat((sim.peak_fingertip_forces, sim.object_penetrations, sim.hand_penetrations), dim=1).clone()


def step_by_step(begin: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """The same by one MjData, from its contacts; (control steps, 5 + 2 objects)."""
    model = compile_scene(WITH_OBJECTS, CONVERGED)
    data = mujoco.MjData(model)
    data.qpos[:26] = begin.numpy()
    base = model.body("floating_base").id
    hand = {body for body in range(model.nbody) if model.body_rootid[body] == base}
    objects = len(WITH_OBJECTS.objects)
    found = np.zeros((len(targets), 5 + 2 * objects))
    for row, target in zip(found, targets):
        data.ctrl[:] = target.numpy()
        for _ in range(CONVERGED.substeps):
            mujoco.mj_step(model, data)
            for column, name in enumerate(force_sensors("right")):
                row[column] = max(row[column], np.linalg.norm(data.sensor(name).data[1:]))
            for contact in data.contact:
                for column, item in enumerate(WITH_OBJECTS.objects, start=5):
                    if model.geom(item.name).id in contact.geom:
                        row[column] = max(row[column], -contact.dist)
                        if any(model.geom(geom).bodyid[0] in hand for geom in contact.geom):
                            row[column + objects] = max(row[column + objects], -contact.dist)
    return found


def thumb_over_the_table(sim: Simulation, height_m: float) -> torch.Tensor:
    """Put the only world's hand so that the tip of the turned thumb is that high; its joints, (1, 26)."""
    begin = joints(1, thumb_rotation=1.4)
    sim.reset(every(sim), begin)
    begin[:, 2] -= sim.site_poses(["r_f_link1_tip"])[0][:, 0, 2] - height_m
    sim.reset(every(sim), begin)
    return begin


def test_they_are_those_of_single_physics_steps(backend: Backend) -> None:
    """The thumb is pushed into the table while a ball falls on it."""
    sim = backend.make(WITH_OBJECTS, num_envs=1, physics=CONVERGED)
    peaks(sim)
    begin = thumb_over_the_table(sim, 0.004)
    targets = begin.repeat(24, 1)
    targets[:, 2] -= 0.001 * torch.arange(1, 25)
    found, ends = [], []
    for target in targets:
        sim.set_joint_targets(target[None])
        sim.step()
        found.append(peaks(sim)[0])
        ends.append(sim.fingertip_forces[0].norm(dim=-1))
    expected = step_by_step(begin[0], targets)
    assert (expected.max(axis=0)[[0, 5, 6]] > [1.0, 1e-5, 1e-3]).all()  # what is meant to touch does
    close = 1e-3 if backend.tolerance else 1e-4
    forces = torch.stack(found)[:, :5].numpy()
    if backend.is_mujoco:
        np.testing.assert_allclose(torch.stack(found)[:, 5:].numpy(), expected[:, 5:], atol=close * 1e-2)
        np.testing.assert_allclose(forces, expected[:, :5], rtol=0.02, atol=0.05)
    else:  # another engine's impacts: of the same size
        largest = torch.stack(found).amax(dim=0).numpy()
        np.testing.assert_allclose(largest, expected.max(axis=0), rtol=0.35, atol=1e-4)
    assert (forces.max(axis=0) >= torch.stack(ends).amax(dim=0).numpy() * 0.8).all()
    assert (forces - torch.stack(ends).numpy()).max() > 0.1  # an impact within a control step


def test_an_object_at_rest_lies_hardly_in_the_table(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=2)
    peaks(sim)
    for _ in range(100):
        sim.step()
    assert not sim.peak_fingertip_forces.any()
    assert ((sim.object_penetrations > 0.0) & (sim.object_penetrations < 2e-4)).all()
    assert not sim.hand_penetrations.any()


def test_reset_and_restoring_forget_them_in_their_worlds_only(backend: Backend) -> None:
    sim = backend.make(WITH_OBJECTS, num_envs=3)
    peaks(sim)
    into_contact(sim, 45)
    before = peaks(sim)
    assert (before.amax(dim=1) > 0.0).all()
    sim.reset(some(sim, 1), torch.zeros(3, 26), torch.tensor(POSES).repeat(3, 1, 1))
    assert not peaks(sim)[1].any()
    backend.assert_same(peaks(sim)[[0, 2]], before[[0, 2]])
    sim.set_state(sim.get_state())
    assert not peaks(sim).any()


def test_worlds_that_are_not_stepped_keep_theirs(backend: Backend) -> None:
    sim, whole = backend.make(WITH_OBJECTS, num_envs=3), backend.make(WITH_OBJECTS, num_envs=3)
    for each in (sim, whole):
        peaks(each)
        into_contact(each, 45)
    before = peaks(sim)
    sim.step(some(sim, 1))
    whole.step()
    backend.assert_same(peaks(sim)[[0, 2]], before[[0, 2]])
    backend.assert_same(peaks(sim)[1], peaks(whole)[1])


def test_watching_changes_no_motion(backend: Backend) -> None:
    watched, unseen = backend.make(WITH_OBJECTS, num_envs=2), backend.make(WITH_OBJECTS, num_envs=2)
    peaks(watched)
    for sim in (watched, unseen):
        into_contact(sim, 45)
        push(sim, sim.joint_targets, 8)
    for name in ("joint_positions", "joint_velocities", "object_positions"):
        backend.assert_same(getattr(watched, name), getattr(unseen, name))


def test_the_hands_depth_is_told_from_the_tables(backend: Backend) -> None:
    """In one world the cube is put onto a fingertip in the air, in the other deep into the table."""
    sim = backend.make(WITH_OBJECTS, num_envs=2)
    peaks(sim)
    begin, poses = joints(2), torch.tensor(POSES).repeat(2, 1, 1)
    sim.reset(every(sim), begin, poses)
    poses[0, 0, :3] = sim.site_poses(["r_f_link2_tip"])[0][0, 0].cpu()
    poses[1, 0, 2] -= 0.01
    sim.reset(every(sim), begin, poses)
    sim.step()
    hand, anything = sim.hand_penetrations[:, 0].cpu(), sim.object_penetrations[:, 0].cpu()
    assert hand[0] > 2e-3
    assert hand[0] == anything[0]
    assert hand[1] == 0.0
    assert anything[1] > 2e-3


def test_contact_acts_ahead_of_the_hands_surface_by_its_margin(backend: Backend) -> None:
    """The thumb comes down on the table: the same force, that much higher; what does not overlap has no depth."""
    felt_at = []
    for margin_m in (0.0, 0.002):
        physics = CONVERGED.model_copy(update={"hand_margin_m": margin_m})
        sim = backend.make(WITH_OBJECTS, num_envs=1, physics=physics)
        peaks(sim)
        targets = thumb_over_the_table(sim, 0.006).repeat(60, 1)
        targets[:, 2] -= 0.0002 * torch.arange(60)
        heights, forces = [], []
        for target in targets:
            sim.set_joint_targets(target[None])
            sim.step()
            heights.append(float(sim.joint_positions[0, 2]))
            forces.append(float(sim.peak_fingertip_forces[0, 0]))
        assert forces[0] == 0.0
        felt_at.append(heights[next(step for step, force in enumerate(forces) if force > 0.5)])
        assert (sim.hand_penetrations >= 0.0).all()
    assert 0.0015 < felt_at[1] - felt_at[0] < 0.0025
