from __future__ import annotations

import numpy as np
import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.hand.joints import body_names
from dexhand_env.sim.kinematics import body_trajectory
from dexhand_env.sim.mujoco_cpu import MujocoCpuSimulation
from dexhand_env.sim.scene import Scene, SceneObject

PHYSICS = load_physics("default")
OBJECTS = (SceneObject("cube", "box", (0.02,) * 3, 0.1, (0.3, 0.3, 0.1)), SceneObject("ball", "sphere", (0.02,), 0.1))


@pytest.mark.parametrize("objects", [(), OBJECTS], ids=["bare", "objects"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_recorded_motion_gives_the_simulated_poses(side: str, objects: tuple[SceneObject, ...]) -> None:
    scene = Scene(side=side, objects=objects)
    sim = MujocoCpuSimulation(scene, PHYSICS, num_envs=1, threads=1)
    names = [*body_names(side), *(item.name for item in objects)]
    joints, poses, positions, quaternions = [], [], [], []
    for step in range(12):
        sim.set_joint_targets(torch.full((1, 26), 0.02 * step))
        sim.step()
        joints.append(sim.joint_positions[0].numpy())
        poses.append(torch.cat((sim.object_positions, sim.object_quaternions), dim=-1)[0].numpy())
        found = sim.body_poses(names)
        positions.append(found[0][0].numpy())
        quaternions.append(found[1][0].numpy())
    found_names, found_positions, found_quaternions = body_trajectory(scene, PHYSICS, np.stack(joints), np.stack(poses))
    assert found_names == names
    assert found_positions.dtype == found_quaternions.dtype == np.float32
    np.testing.assert_allclose(found_positions, np.stack(positions), atol=2e-6)
    np.testing.assert_allclose(found_quaternions, np.stack(quaternions), atol=2e-6)


def test_without_objects_poses_only_the_hand_is_given() -> None:
    scene = Scene(objects=OBJECTS)
    names, positions, quaternions = body_trajectory(scene, PHYSICS, np.zeros((3, 26), dtype=np.float32))
    assert names == list(body_names("right"))
    assert positions.shape == (3, 22, 3)
    assert quaternions.shape == (3, 22, 4)
    np.testing.assert_allclose(positions[:, 0], [[0.0, 0.0, scene.spawn_height_m]] * 3)
