"""Meshes of MuJoCo's simple shapes, for drawing what the hand holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    import trimesh


def shape_mesh(shape: str, size_m: Sequence[float]) -> trimesh.Trimesh:
    """The mesh of a ``box``, ``sphere``, ``cylinder`` or ``capsule``, centred and along z.

    Args:
        shape: one of these.
        size_m: MuJoCo's sizes of it (half lengths or radius first), metres.

    Raises:
        KeyError: another shape.
    """
    import trimesh

    create = trimesh.creation
    made = {
        "box": lambda: create.box(extents=[2.0 * half for half in size_m]),
        "sphere": lambda: create.icosphere(subdivisions=3, radius=size_m[0]),
        "cylinder": lambda: create.cylinder(radius=size_m[0], height=2.0 * size_m[1]),
        "capsule": lambda: create.capsule(radius=size_m[0], height=2.0 * size_m[1]),
    }
    return made[shape]()
