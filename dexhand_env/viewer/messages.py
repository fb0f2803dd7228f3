"""What the process that steps an environment and the one that draws it say to each other; numpy and plain values."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dexhand_env.config.physics import Physics
from dexhand_env.sim.scene import Scene

MOST_WORLDS = 16
FRAME_S = 1.0 / 30.0
TRAINING, PLAYING, BY_HAND = "training", "playing", "by hand"


@dataclasses.dataclass(frozen=True)
class Setup:
    """What the drawing process has to know before it starts.

    Attributes:
        title: of the page.
        mode: ``TRAINING``, ``PLAYING`` or ``BY_HAND``.
        scene, physics: what is simulated.
        num_envs: number of worlds.
        port: to listen on; 0 for any.
        start: positions of the 18 controls at which the sliders start, m and rad; empty without sliders.
        shown: how many worlds are drawn at first; up to :data:`MOST_WORLDS` can be chosen.
    """

    title: str
    mode: str
    scene: Scene
    physics: Physics
    num_envs: int
    port: int
    start: tuple[float, ...] = ()
    shown: int = 4


@dataclasses.dataclass(frozen=True)
class Controls:
    """What the person in front of the browser has chosen.

    Attributes:
        frames: asks for so many more frames, each a :class:`Frame` of the worlds in ``worlds``.
        paused: stand still between two control steps.
        steps: single steps asked for while paused, in all so far.
        speed: simulated time over real time; None is as fast as it goes.
        resets: times that new episodes were asked for, in all so far.
        sliders: positions of the 18 controls, m and rad; empty without sliders.
    """

    frames: int = 0
    worlds: tuple[int, ...] = ()
    paused: bool = False
    steps: int = 0
    speed: float | None = None
    resets: int = 0
    sliders: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Frame:
    """The state of n worlds after one control step; float32, metres, radians, newtons, world frame.

    Attributes:
        joint_positions, joint_velocities, joint_targets: of the hand, (n, 26).
        objects: position and quaternion w x y z, (n, objects, 7).
        object_velocities: linear and angular, (n, objects, 6).
        object_shapes, object_extents_m, object_masses_kg, object_frictions: of the objects of these episodes, as in
            ``WorldParameters``.
        goal_joints: the goal's posture, (n, 26), None where the task has none.
        targets: where the object is to be brought, (n, 3), None where nowhere.
        terms: names of the reward's terms.
        rewards: weighted, (terms, n).
        steps: control steps so far, of each world.
        seconds: when, on this machine's clock.
        finished, successes: episodes that have ended so far in all worlds, and those of them in success.
        rows: the history of a training, iterations since the last frame.
        note: a line to show, such as which checkpoint plays.
    """

    joint_positions: np.ndarray
    joint_velocities: np.ndarray
    joint_targets: np.ndarray
    objects: np.ndarray
    object_velocities: np.ndarray
    object_shapes: np.ndarray
    object_extents_m: np.ndarray
    object_masses_kg: np.ndarray
    object_frictions: np.ndarray
    goal_joints: np.ndarray | None
    targets: np.ndarray | None
    terms: tuple[str, ...]
    rewards: np.ndarray
    steps: int
    seconds: float
    finished: int
    successes: int
    rows: tuple[dict[str, Any], ...]
    note: str
