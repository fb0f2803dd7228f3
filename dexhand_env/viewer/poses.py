"""Where everything is in a frame, and the forces on the fingertips: MuJoCo's, computed beside the simulation."""

from __future__ import annotations

import dataclasses
import functools

import mujoco
import numpy as np

from dexhand_env.config.physics import Physics
from dexhand_env.hand.joints import body_names, tip_sites
from dexhand_env.sim.mujoco_model import HAND_JOINTS, compile_scene, force_columns
from dexhand_env.sim.scene import Scene, SceneObject
from dexhand_env.viewer.messages import MOST_WORLDS, Frame


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
        self._scene, self._physics = scene, physics
        # Objects may be others in each episode; compiling takes 4 ms.
        self._compiled = functools.lru_cache(maxsize=4 * MOST_WORLDS)(self._compile)
        model, _ = self._compiled(scene.objects)
        self.bodies = [*body_names(scene.side), *(item.name for item in scene.objects)]
        self._body_ids = [model.body(name).id for name in self.bodies]
        self._tip_ids = [model.site(name).id for name in tip_sites(scene.side)]
        self._force_columns = force_columns(model, scene.side)

    def _compile(self, objects: tuple[SceneObject, ...]) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = compile_scene(dataclasses.replace(self._scene, objects=objects), self._physics)
        return model, mujoco.MjData(model)

    def of_frame(self, frame: Frame) -> Poses:
        """Of the worlds as they are; forces follow from positions, velocities and targets, as in the simulation."""
        worlds = []
        for world in range(len(frame.joint_positions)):
            model, data = self._compiled(self._objects(frame, world))
            mujoco.mj_resetData(model, data)
            data.qpos[:HAND_JOINTS] = frame.joint_positions[world]
            data.qpos[HAND_JOINTS:] = frame.objects[world].reshape(-1)
            data.qvel[:HAND_JOINTS] = frame.joint_velocities[world]
            data.qvel[HAND_JOINTS:] = frame.object_velocities[world].reshape(-1)
            data.ctrl[:HAND_JOINTS] = frame.joint_targets[world]
            mujoco.mj_forward(model, data)
            worlds.append(self._read(data))
        return _joined(worlds)

    def _objects(self, frame: Frame, world: int) -> tuple[SceneObject, ...]:
        """Those of a world's episode."""
        keys = (frame.object_shapes, frame.object_extents_m, frame.object_masses_kg, frame.object_frictions)
        values = zip(*(key[world].tolist() for key in keys))
        return tuple(item.changed(*row) for item, row in zip(self._scene.objects, values))

    def of_goal(self, joint_positions: np.ndarray) -> Poses:
        """Of the goal's postures, (n, 26); forces are zero."""
        model, data = self._compiled(self._scene.objects)
        worlds = []
        for joints in joint_positions:
            mujoco.mj_resetData(model, data)
            data.qpos[:HAND_JOINTS] = joints
            mujoco.mj_kinematics(model, data)
            worlds.append(self._read(data))
        return _joined(worlds)

    def _read(self, data: mujoco.MjData) -> Poses:
        forces = -data.sensordata[self._force_columns]
        return Poses(data.xpos[self._body_ids], data.xquat[self._body_ids], data.site_xpos[self._tip_ids], forces)


def _joined(worlds: list[Poses]) -> Poses:
    fields = [field.name for field in dataclasses.fields(Poses)]
    return Poses(**{name: np.stack([getattr(world, name) for world in worlds]) for name in fields})
