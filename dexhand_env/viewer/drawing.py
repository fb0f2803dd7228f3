"""The worlds of a frame as nodes of a viser scene: hands, goals, objects, targets, forces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dexhand_env.hand.shapes import shape_mesh
from dexhand_env.hand.visual import visual_meshes
from dexhand_env.sim.scene import Scene, SceneObject, geom_size
from dexhand_env.viewer.messages import Frame
from dexhand_env.viewer.poses import Poses, ScenePoses

if TYPE_CHECKING:
    import trimesh
    import viser

SPACING_M = 0.7
GOAL_RGB, GOAL_OPACITY = (46, 134, 222), 0.3
TARGET_RGB, TARGET_RADIUS_M = (46, 160, 67), 0.02
OBJECT_RGBA = (217, 119, 6, 255)
NOTHING = 1e-6  # the scale of what is not there
FORCE_RGB, FORCE_M_PER_N = (214, 69, 69), 0.02
LONGEST_ARROW_M = 0.3
GRID_RGB = (128, 134, 140)
# A quaternion of 1e-3 and a position of 0.1 mm are invisible.
POSITION_DECIMALS, QUATERNION_DECIMALS = 4, 4


def world_origins(count: int) -> np.ndarray:
    """Where ``count`` worlds are drawn, (count, 3) in m: rows of a square."""
    columns = int(np.ceil(np.sqrt(count)))
    index = np.arange(count)
    place = np.stack((-(index // columns), index % columns, np.zeros(count)), axis=1).astype(np.float64)
    return (place - place.mean(axis=0)) * SPACING_M


class Drawing:
    """Nodes for ``count`` worlds, moved by :meth:`show`.

    Args:
        scene: viser's.
        simulated: what is simulated.
        poses: of that.
        count: number of worlds drawn.
    """

    def __init__(self, scene: viser.SceneApi, simulated: Scene, poses: ScenePoses, count: int) -> None:
        self._scene = scene
        self._poses = poses
        self._origins = world_origins(count)
        self._nodes: dict[str, Any] = {}
        self._last: dict[str, np.ndarray] = {}
        self._meshes = visual_meshes(simulated.side)
        self._objects = simulated.objects
        scene.reset()
        extent = float(np.ptp(self._origins[:, :2], axis=0).max()) + 2.0 * SPACING_M
        scene.add_grid(
            "/table", width=extent, height=extent, cell_size=0.1, cell_color=GRID_RGB, section_color=GRID_RGB
        )

    def show(self, frame: Frame, forces: bool, goals: bool) -> None:
        """Draw a frame; forces on the fingertips, and goals and targets, where wanted."""
        poses = self._poses.of_frame(frame)
        self._move("hand", poses, list(self._meshes))
        self._show_objects(poses, frame)
        if frame.goal_joints is not None:
            self._show_goals(frame.goal_joints, goals)
        if frame.targets is not None:
            self._place("target", np.asarray(frame.targets) + self._origins, None, goals)
        self._show_forces(poses, forces)

    def _show_objects(self, poses: Poses, frame: Frame) -> None:
        """Of each object a node for each of its shapes, of no size where a world's object has another."""
        for place, item in enumerate(self._objects):
            index = self._poses.bodies.index(item.name)
            positions, quaternions = poses.positions[:, index] + self._origins, poses.quaternions[:, index]
            for number, shape in enumerate(item.shapes):
                scales = frame.object_extents_m[:, place] / drawn_extents_m(item, shape)
                scales = np.where(frame.object_shapes[:, place, None] == number, scales, NOTHING)
                self._place(f"object/{item.geom_name(shape)}", positions, quaternions, True, scales)

    def _move(self, kind: str, poses: Poses, bodies: list[str], visible: bool = True) -> None:
        for body in bodies:
            index = self._poses.bodies.index(body)
            positions = poses.positions[:, index] + self._origins
            self._place(f"{kind}/{body}", positions, poses.quaternions[:, index], visible)

    def _show_goals(self, joints: np.ndarray, visible: bool) -> None:
        if not np.array_equal(self._last.get("goal", np.empty(0)), joints):  # it changes with the episode only
            self._last["goal"] = joints
            self._move("goal", self._poses.of_goal(joints), list(self._meshes), visible)
        for name, node in self._nodes.items():
            if name.startswith("goal/") and node.visible != visible:
                node.visible = visible

    def _show_forces(self, poses: Poses, visible: bool) -> None:
        begin = (poses.tips + self._origins[:, None]).reshape(-1, 3)
        force = poses.forces.reshape(-1, 3)
        length = np.linalg.norm(force, axis=1, keepdims=True) * FORCE_M_PER_N
        shown = force / np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        arrows = np.stack((begin, begin + shown * np.minimum(length, LONGEST_ARROW_M)), axis=1)
        arrows = np.round(arrows[length[:, 0] > 0.002], POSITION_DECIMALS).astype(np.float32)
        self._show_arrows(arrows if visible else arrows[:0])

    def _show_arrows(self, arrows: np.ndarray) -> None:
        node = self._nodes.get("forces")
        if node is None and len(arrows):
            self._nodes["forces"] = self._scene.add_arrows(
                "/forces", arrows, FORCE_RGB, shaft_radius=0.004, head_radius=0.009, head_length=0.02
            )
        elif node is not None:
            if len(arrows):
                node.points = arrows
            if node.visible != bool(len(arrows)):
                node.visible = bool(len(arrows))

    def _place(
        self,
        name: str,
        positions: np.ndarray,
        quaternions: np.ndarray | None,
        visible: bool,
        scales: np.ndarray | None = None,
    ) -> None:
        positions = np.round(positions, POSITION_DECIMALS).astype(np.float32)
        if quaternions is None:
            quaternions = np.tile([1.0, 0.0, 0.0, 0.0], (len(positions), 1))
        quaternions = np.round(quaternions, QUATERNION_DECIMALS).astype(np.float32)
        scales = None if scales is None else scales.astype(np.float32)
        node = self._nodes.get(name)
        if node is None:
            self._nodes[name] = self._add(name, positions, quaternions, scales)
            self._nodes[name].visible = visible
            return
        node.batched_positions, node.batched_wxyzs = positions, quaternions
        if scales is not None and not np.array_equal(node.batched_scales, scales):  # they change with the episode only
            node.batched_scales = scales
        if node.visible != visible:
            node.visible = visible

    def _add(self, name: str, positions: np.ndarray, quaternions: np.ndarray, scales: np.ndarray | None) -> Any:
        import trimesh

        kind, _, body = name.partition("/")
        batch: dict[str, Any] = {"batched_wxyzs": quaternions, "batched_positions": positions, "lod": "off"}
        if kind == "hand":
            mesh = self._meshes[body]
            shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.vertex_rgba, process=False)
            return self._scene.add_batched_meshes_trimesh("/" + name, shape, **batch)
        if kind == "object":
            meshes = {item.geom_name(name): (item, name) for item in self._objects for name in item.shapes}
            shape = object_mesh(*meshes[body])
            return self._scene.add_batched_meshes_trimesh("/" + name, shape, batched_scales=scales, **batch)
        if kind == "goal":
            mesh, colour, opacity = self._meshes[body], GOAL_RGB, GOAL_OPACITY
        else:
            mesh, colour, opacity = trimesh.creation.icosphere(2, TARGET_RADIUS_M), TARGET_RGB, 0.6
        return self._scene.add_batched_meshes_simple(
            "/" + name,
            np.asarray(mesh.vertices, dtype=np.float32),
            np.asarray(mesh.faces, dtype=np.uint32),
            batched_colors=colour,
            opacity=opacity,
            cast_shadow=False,
            receive_shadow=False,
            **batch,
        )


def drawn_extents_m(item: SceneObject, shape: str) -> np.ndarray:
    """The extents of :func:`object_mesh`, (3,)."""
    return np.array(item.extents_m if shape == item.shape else (1.0, 1.0, 1.0))


def object_mesh(item: SceneObject, shape: str) -> trimesh.Trimesh:
    """One of an object's shapes; its own as it is in the scene."""
    import trimesh

    mesh = shape_mesh(shape, geom_size(shape, drawn_extents_m(item, shape).tolist()))
    colours = np.tile(np.array(OBJECT_RGBA, dtype=np.uint8), (len(mesh.vertices), 1))
    return trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colours, process=False)
