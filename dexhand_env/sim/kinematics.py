"""Where a scene's bodies are, for recorded joint positions."""

from __future__ import annotations

from typing import List, Optional, Tuple

import mujoco
import numpy as np

from dexhand_env.config.physics import Physics
from dexhand_env.hand.joints import body_names
from dexhand_env.sim.mujoco_model import HAND_JOINTS, compile_scene
from dexhand_env.sim.scene import Scene


def body_trajectory(
    scene: Scene, physics: Physics, joint_positions: np.ndarray, object_poses: Optional[np.ndarray] = None
) -> Tuple[List[str], np.ndarray, np.ndarray]:
    """Forward kinematics of a motion.

    Args:
        scene: what moves.
        physics: only needed to compile the scene.
        joint_positions: of the hand, (steps, 26).
        object_poses: (steps, objects, 7); only the hand's bodies are given where left out.

    Returns:
        Names of the hand's bodies, then of the objects (bodies); positions (steps, bodies, 3) in m;
        quaternions w x y z (steps, bodies, 4); both float32, world frame.
    """
    model = compile_scene(scene, physics)
    data = mujoco.MjData(model)
    names = list(body_names(scene.side))
    if object_poses is not None:
        names += [item.name for item in scene.objects]
    ids = [model.body(name).id for name in names]
    positions = np.empty((len(joint_positions), len(ids), 3), dtype=np.float32)
    quaternions = np.empty((len(joint_positions), len(ids), 4), dtype=np.float32)
    for index, joints in enumerate(joint_positions):
        data.qpos[:HAND_JOINTS] = joints
        if object_poses is not None:
            data.qpos[HAND_JOINTS:] = object_poses[index].reshape(-1)
        mujoco.mj_kinematics(model, data)
        positions[index], quaternions[index] = data.xpos[ids], data.xquat[ids]
    return names, positions, quaternions
