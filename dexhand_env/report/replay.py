"""Recorded episodes as viser scenes: the hand moving, the goal's hand translucent, the target a translucent ball."""

from __future__ import annotations

import base64
import contextlib
import io
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dexhand_env.hand.shapes import shape_mesh
from dexhand_env.report.episodes import Replay, Replays

if TYPE_CHECKING:
    import viser

    from dexhand_env.hand.visual import VisualMesh

FRAME_S = 1.0 / 30.0
MOST_FRAMES = 600  # of one replay; longer ones jump, so that the page stays small
HOLD_S = 0.8  # the last pose stays this long before the replay starts again
GOAL_COLOUR = (46, 134, 222)
GOAL_OPACITY = 0.35
TARGET_COLOUR, TARGET_OPACITY = (46, 160, 67), 0.4
TARGET_RADIUS_M = 0.04  # more than half of what is brought there, so that it is seen round it
OBJECT_COLOUR = (222, 134, 46)
GRID_COLOUR = (128, 134, 140)
POSITION_DECIMALS = 4  # 0.1 mm, and 1e-3 of a quaternion: invisible, and the recording compresses far better
QUATERNION_DECIMALS = 3


@dataclass(frozen=True)
class RecordedScene:
    """One replay ready for the page: ``data`` is viser's own recording, base64."""

    replay: Replay
    seconds: float
    data: str


def record_scenes(
    replays: Replays, meshes: Mapping[str, VisualMesh], hand_bodies: Collection[str]
) -> list[RecordedScene]:
    """Every replay as a recording that viser's client plays.

    Objects are drawn by their shapes, other bodies that are not among ``hand_bodies`` as axes; the hand's meshless
    links are left out.
    """
    with _scene_server() as server:
        return [_record(server, replays, replay, meshes, hand_bodies) for replay in replays.episodes]


def client_document() -> str:
    """viser's player as one HTML document without any scene in it; it fetches nothing."""
    import viser

    return (Path(viser.__file__).parent / "client" / "build" / "index.html").read_text(encoding="utf-8")


@contextlib.contextmanager
def _scene_server() -> Iterator[viser.ViserServer]:
    """A viser server nobody connects to: viser records scenes only through one."""
    import viser

    with contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        yield server
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()


def _aim_camera(server: viser.ViserServer, replay: Replay) -> None:
    """Frame everything that moves in ``replay``, from the front, right and a little above."""
    low, high = replay.bounds_m
    centre = (low + high) / 2.0
    # Body origins stop at the joints: a fingertip and the palm reach about 5 cm beyond them.
    distance = 1.0 * float(np.linalg.norm(high - low)) + 0.1
    direction = np.array([0.75, -0.55, 0.35])
    server.initial_camera.look_at = tuple(centre)
    server.initial_camera.position = tuple(centre + distance * direction / np.linalg.norm(direction))
    server.initial_camera.fov = np.deg2rad(45.0)
    server.initial_camera.up = (0.0, 0.0, 1.0)


def _record(
    server: viser.ViserServer,
    replays: Replays,
    replay: Replay,
    meshes: Mapping[str, VisualMesh],
    hand_bodies: Collection[str],
) -> RecordedScene:
    scene = server.scene
    scene.reset()
    _aim_camera(server, replay)
    # One grey that is quiet on the player's white and on its black.
    scene.add_grid(
        "/ground",
        width=2.0,
        height=2.0,
        cell_size=0.1,
        cell_thickness=0.6,
        cell_color=GRID_COLOUR,
        section_color=GRID_COLOUR,
    )
    handles: dict[int, viser.SceneNodeHandle] = {}
    for index, body in enumerate(replays.body_names):
        if body in meshes:
            handles[index] = _add_hand_body(scene, f"/now/{body}", meshes[body])
            if replay.goal_positions_m is not None and replay.goal_quaternions is not None:
                goal = _add_goal_body(scene, f"/goal/{body}", meshes[body])
                goal.position, goal.wxyz = replay.goal_positions_m[index], replay.goal_quaternions[index]
        elif body in replay.objects:
            handles[index] = _add_object(scene, f"/now/{body}", *replay.objects[body])
        elif body not in hand_bodies:
            handles[index] = scene.add_frame(f"/now/{body}", axes_length=0.03, axes_radius=0.002)
    target = None if replay.target_m is None else _add_target(scene)
    serializer = server.get_scene_serializer()
    frames = _frame_indices(len(replay.positions_m), replays.control_dt_s)
    for start, frame in enumerate(frames):
        for index, handle in handles.items():
            handle.position = np.round(replay.positions_m[frame, index], POSITION_DECIMALS)
            handle.wxyz = np.round(replay.quaternions[frame, index], QUATERNION_DECIMALS)
        if target is not None and replay.target_m is not None:
            target.position = np.round(replay.target_m[frame], POSITION_DECIMALS)
        following = frames[start + 1] if start + 1 < len(frames) else frame
        serializer.insert_sleep((following - frame) * replays.control_dt_s)
    serializer.insert_sleep(HOLD_S)
    seconds = len(replay.positions_m) * replays.control_dt_s
    return RecordedScene(replay, seconds, base64.b64encode(serializer.serialize()).decode("ascii"))


def _add_hand_body(scene: viser.SceneApi, name: str, mesh: VisualMesh) -> viser.SceneNodeHandle:
    import trimesh

    body = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.vertex_rgba, process=False)
    return scene.add_mesh_trimesh(name, body)


def _add_object(scene: viser.SceneApi, name: str, shape: str, size_m: tuple[float, ...]) -> viser.SceneNodeHandle:
    mesh = shape_mesh(shape, size_m)
    return scene.add_mesh_simple(
        name, mesh.vertices, mesh.faces.astype(np.uint32), color=OBJECT_COLOUR, flat_shading=True
    )


def _add_goal_body(scene: viser.SceneApi, name: str, mesh: VisualMesh) -> viser.SceneNodeHandle:
    return scene.add_mesh_simple(
        name,
        mesh.vertices,
        mesh.faces.astype(np.uint32),
        color=GOAL_COLOUR,
        opacity=GOAL_OPACITY,
        cast_shadow=False,
        receive_shadow=False,
    )


def _add_target(scene: viser.SceneApi) -> viser.SceneNodeHandle:
    return scene.add_icosphere(
        "/target", TARGET_RADIUS_M, TARGET_COLOUR, opacity=TARGET_OPACITY, cast_shadow=False, receive_shadow=False
    )


def _frame_indices(steps: int, control_dt_s: float) -> list[int]:
    """The recorded steps to show: about 30 a second, but few enough; the first and the last always."""
    stride = max(1, round(FRAME_S / control_dt_s), math.ceil(steps / MOST_FRAMES))
    return sorted({*range(0, steps, stride), steps - 1})
