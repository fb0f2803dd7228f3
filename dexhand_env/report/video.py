"""A recorded replay as an mp4, drawn by MuJoCo without a display.

``python -m dexhand_env.report.video <replays.npz> <replay> <video.mp4>``, in a process of its own: MUJOCO_GL chooses
the kind of OpenGL before MuJoCo is imported. ``dexhand video`` tries those that need no display.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from dexhand_env.errors import UserError, exit_code
from dexhand_env.files import write_bytes
from dexhand_env.hand.visual import VisualMesh, visual_meshes
from dexhand_env.report.episodes import Replay, Replays, read_replays
from dexhand_env.report.replay import TARGET_RADIUS_M

WIDTH, HEIGHT, FRAMES_PER_S = 640, 480, 30
TARGET = "/target"  # no body's name has a slash
HOLD_S = 0.8  # the last pose stays this long
GOAL_RGBA = (0.18, 0.53, 0.87, 0.3)
TARGET_RGBA = (0.18, 0.63, 0.26, 0.4)
OBJECT_RGBA = (0.87, 0.53, 0.18, 1.0)
SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
}


def write_video(replays: Replays, name: str, path: Path) -> None:
    """Write one replay.

    Raises:
        UserError: no replay has this name, or the file cannot be written.
    """
    named = {replay.name: replay for replay in replays.episodes}
    if name not in named:
        raise UserError("replay", repr(name), ", ".join(named))
    video = encoded(frames(replays, named[name]))
    try:
        write_bytes(path, video)
    except OSError as error:
        raise UserError(str(path), f"cannot be written ({error.strerror})", "a file that you may write") from error


def encoded(pictures: Iterator[np.ndarray]) -> bytes:
    """Pictures (height, width, 3) uint8 as H.264 in an mp4 that any player takes."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def frames(replays: Replays, replay: Replay) -> Iterator[np.ndarray]:
    """Pictures at :data:`FRAMES_PER_S` in real time, (HEIGHT, WIDTH, 3) uint8."""
    model = scene_model(replays, replay)
    data = mujoco.MjData(model)
    camera = _camera(replay)
    seconds = len(replay.positions_m) * replays.control_dt_s
    with mujoco.Renderer(model, HEIGHT, WIDTH) as renderer:
        for index in range(round((seconds + HOLD_S) * FRAMES_PER_S)):
            step = min(int(index / FRAMES_PER_S / replays.control_dt_s), len(replay.positions_m) - 1)
            for body, name in enumerate(replays.body_names):
                mocap = model.body(name).mocapid[0]
                data.mocap_pos[mocap], data.mocap_quat[mocap] = (
                    replay.positions_m[step, body],
                    replay.quaternions[step, body],
                )
            if replay.target_m is not None:
                data.mocap_pos[model.body(TARGET).mocapid[0]] = replay.target_m[step]
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera)
            yield renderer.render()


def _camera(replay: Replay) -> mujoco.MjvCamera:
    """Frames everything that moves, from the front, right and a little above."""
    low, high = replay.bounds_m
    camera = mujoco.MjvCamera()
    camera.lookat[:] = (low + high) / 2.0
    camera.distance = 0.9 * float(np.linalg.norm(high - low)) + 0.15
    camera.azimuth, camera.elevation = 145.0, -20.0
    return camera


def scene_model(replays: Replays, replay: Replay) -> mujoco.MjModel:
    """The recorded bodies as they look, each put where it was; nothing in it has physics."""
    spec = mujoco.MjSpec()
    spec.visual.global_.offwidth, spec.visual.global_.offheight = WIDTH, HEIGHT
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse = [0.45] * 3, [0.5] * 3
    spec.worldbody.add_light(pos=[0.4, -0.6, 2.0], dir=[-0.2, 0.3, -1.0], diffuse=[0.4] * 3)
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=[0.93, 0.94, 0.95], width=16, height=96,
    )  # fmt: skip
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], rgba=[0.8, 0.81, 0.82, 1.0])
    meshes = visual_meshes(replays.side)
    for name in replays.body_names:
        body = spec.worldbody.add_body(name=name, mocap=True)
        if name in meshes:
            parts = list(coloured_parts(meshes[name]))
            for part, (vertices, faces, rgba) in enumerate(parts):
                _add_mesh(spec, body, f"{name}_{part}", vertices, faces, rgba)
        elif name in replay.objects:
            shape, size = replay.objects[name]
            body.add_geom(type=SHAPES[shape], size=[*size, 0.0, 0.0][:3], rgba=OBJECT_RGBA)
    if replay.goal_positions_m is not None and replay.goal_quaternions is not None:
        poses = zip(replays.body_names, replay.goal_positions_m, replay.goal_quaternions, strict=True)
        _add_goal(spec, meshes, {name: (position, quaternion) for name, position, quaternion in poses})
    if replay.target_m is not None:
        ball = spec.worldbody.add_body(name=TARGET, mocap=True)
        ball.add_geom(type=SHAPES["sphere"], size=[TARGET_RADIUS_M, 0.0, 0.0], rgba=TARGET_RGBA)
    return spec.compile()


def _add_goal(spec: Any, meshes: Mapping[str, VisualMesh], poses: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for name, (position, quaternion) in poses.items():
        if name in meshes:
            body = spec.worldbody.add_body(name=f"goal_{name}", pos=position, quat=quaternion)
            _add_mesh(spec, body, f"goal_{name}", meshes[name].vertices, meshes[name].faces, GOAL_RGBA)


def _add_mesh(spec: Any, body: Any, name: str, vertices: np.ndarray, faces: np.ndarray, rgba: Any) -> None:
    # As a shell, for the pieces of a body are neither closed nor thick enough to have a mass.
    shell = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    spec.add_mesh(name=name, uservert=vertices.ravel(), userface=faces.ravel(), inertia=shell)
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, rgba=rgba, contype=0, conaffinity=0)


def coloured_parts(mesh: VisualMesh) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vertices, faces and rgba (0 to 1) of a mesh's parts of one colour."""
    colours = mesh.vertex_rgba[mesh.faces[:, 0]]  # no vertex is shared between two colours
    for colour in np.unique(colours, axis=0):
        faces = mesh.faces[(colours == colour).all(axis=1)]
        used, index = np.unique(faces, return_inverse=True)
        yield mesh.vertices[used], index.reshape(faces.shape).astype(np.int32), colour / 255.0


def main(arguments: list[str]) -> int:
    """The command line described at the top; 2 for a user's mistake."""
    source, name, target = arguments
    return exit_code(lambda: write_video(read_replays(Path(source)), name, Path(target)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
