"""A scene as MuJoCo's compiled model, which both of its backends step."""

from __future__ import annotations

import mujoco
import numpy as np

from dexhand_env.config.physics import Physics
from dexhand_env.hand.joints import force_sensors
from dexhand_env.sim.scene import Scene, depth_sensor, hand_depth_sensor, scene_mjcf

HAND_JOINTS = 26


def compile_scene(scene: Scene, physics: Physics) -> mujoco.MjModel:
    """The scene as a compiled model."""
    return mujoco.MjModel.from_xml_string(scene_mjcf(scene, physics))


def force_columns(model: mujoco.MjModel, side: str) -> np.ndarray:
    """Columns of ``sensordata`` that hold the forces exerted by the fingertips, (5, 3); those on them are opposite."""
    # The sensor holds (found, force).
    first_columns = [model.sensor(name).adr[0] + 1 for name in force_sensors(side)]
    return np.array(first_columns)[:, None] + np.arange(3)


def distance_columns(model: mujoco.MjModel, scene: Scene) -> np.ndarray:
    """Columns of ``sensordata`` that hold smallest contact distances, (2 x objects,); 0 without contact.

    Those of each object with anything, then those of each with the hand.
    """
    sensors = [sensor(item) for sensor in (depth_sensor, hand_depth_sensor) for item in scene.objects]
    return np.array([model.sensor(name).adr[0] + 1 for name in sensors], dtype=np.int64)
