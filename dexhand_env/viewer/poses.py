"""Where everything is in a frame, and the forces on the fingertips: MuJoCo's, computed beside the simulation."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from dexhand_env.config.physics import Physics
from dexhand_env.hand.joints import body_names, tip_sites
from dexhand_env.sim.mujoco_model import HAND_JOINTS, compile_scene, force_columns
from dexhand_env.sim.scene import Scene
from dexhand_env.viewer.messages import Frame


@dataclasses.dataclass(frozen=True)
class Poses:
    """Of n worlds, in the world's frame.

    Attributes:
        positions, quaternions: of bodies, (n, bodies, 3) in m and (n, bodies, 4) w x y z.
        tips: positions of the fingertips, (n, 5, 3) in m, thumb first.
        forces: contact force on each fingertip, (n, 5, 3) in N.
    """

    positions: np.ndarray
    quaternions: np.ndarray
    tips: np.ndarray
    forces: np.ndarray


class ScenePoses:
    """Poses from joint positions, for one scene.

    Args:
        scene: what is drawn.
        physics: as it is simulated.

    Attributes:
        bodies: names of the hand's bodies, then of the objects.
    """

    def __init__(self, scene: Scene, physics: Physics) -> None:
        self._model = compile_scene(scene, physics)
        self._data = mujoco.MjData(self._model)
        self.bodies = [*body_names(scene.side), *(item.name for item in scene.objects)]
        self._body_ids = [self._model.body(name).id for name in self.bodies]
        self._tip_ids = [self._model.site(name).id for name in tip_sites(scene.side)]
        self._force_columns = force_columns(self._model, scene.side)

    def of_frame(self, frame: Frame) -> Poses:
        """Of the worlds as they are; forces follow from positions, velocities and targets, as in the simulation."""
        data, worlds = self._data, []
        for world in range(len(frame.joint_positions)):
            mujoco.mj_resetData(self._model, data)
            data.qpos[:HAND_JOINTS] = frame.joint_positions[world]
            data.qpos[HAND_JOINTS:] = frame.objects[world].reshape(-1)
            data.qvel[:HAND_JOINTS] = frame.joint_velocities[world]
            data.qvel[HAND_JOINTS:] = frame.object_velocities[world].reshape(-1)
            data.ctrl[:HAND_JOINTS] = frame.joint_targets[world]
            mujoco.mj_forward(self._model, data)
            worlds.append(self._read())
        return _joined(worlds)

    def of_goal(self, joint_positions: np.ndarray) -> Poses:
        """Of the goal's postures, (n, 26); forces are zero."""
        worlds = []
        for joints in joint_positions:
            mujoco.mj_resetData(self._model, self._data)
            self._data.qpos[:HAND_JOINTS] = joints
            mujoco.mj_kinematics(self._model, self._data)
            worlds.append(self._read())
        return _joined(worlds)

    def _read(self) -> Poses:
        data = self._data
        forces = -data.sensordata[self._force_columns]
        return Poses(data.xpos[self._body_ids], data.xquat[self._body_ids], data.site_xpos[self._tip_ids], forces)


def _joined(worlds: list[Poses]) -> Poses:
    fields = [field.name for field in dataclasses.fields(Poses)]
    return Poses(**{name: np.stack([getattr(world, name) for world in worlds]) for name in fields})
