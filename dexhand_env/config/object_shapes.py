"""Shapes of objects by name, and what their extents are to their size."""

from __future__ import annotations

from typing import Literal, Sequence, Tuple

ShapeName = Literal["cube", "sphere", "cylinder", "box"]
BOX_PROPORTIONS = (1.0, 0.8, 0.6)  # of a box that has none of its own
ALIKE = (1.0, 1.0, 1.0)


def primitive(name: str) -> str:
    """The physics' name of a shape: a cube is a box there."""
    return "box" if name == "cube" else name


def proportions(name: str, own_shape: str, own_extents_m: Sequence[float]) -> Tuple[float, ...]:
    """The extents along x y z of an object that is given a shape, over the largest of them, which is its size.

    Args:
        name: of the shape.
        own_shape, own_extents_m: what the object is otherwise; a box or cylinder that is one keeps its proportions.
    """
    largest = max(own_extents_m)
    own = tuple(extent / largest for extent in own_extents_m)
    if name not in ("cube", "sphere") and name == primitive(own_shape) and own != ALIKE:
        return own
    return BOX_PROPORTIONS if name == "box" else ALIKE
