"""The left hand as the right hand's mirror image in the plane y = 0.

A rigid frame cannot be mirrored as it is: the image of a right-handed frame is left-handed. So each body's image frame
has one axis turned round, and a body's frame R becomes M R S, where M mirrors the world in y and S the body's own
frame. Base and palm take S = M. Finger links take S = diag(1, 1, -1), because mirroring turns a rotation by q about an
axis a into one by q about -S a: with that S, a joint about z stays a joint about z with the same sign and range.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from xml.etree import ElementTree

_Y, _Z = 1, 2


def mirrored(right: ElementTree.Element) -> ElementTree.Element:
    """A new ``<mujoco>`` tree: the left hand for the right one, names ``r_`` made ``l_`` and ``right_`` made ``left_``.

    Transforms are read from the elements themselves (pos, quat, fromto), so default classes must not hold any.
    """
    left = copy.deepcopy(right)
    for element in left.iter():
        for key, value in element.attrib.items():
            element.set(key, _left_name(value))
    worldbody = left.find("worldbody")
    for body in worldbody.findall("body") if worldbody is not None else []:
        _mirror_body(body, parent_axis=_Y)
    return left


def mirror_vector(vector: Sequence[float], axis: int) -> list[float]:
    """A vector (3,), or several in one list, with component ``axis`` of each negated."""
    return [(-value if index % 3 == axis else value) + 0.0 for index, value in enumerate(vector)]


def mirror_quaternion(quaternion: Sequence[float], axis: int) -> list[float]:
    """The rotation S R S for the rotation R (w x y z), where S negates coordinate ``axis``."""
    w, *xyz = quaternion
    return [w] + [(value if index == axis else -value) + 0.0 for index, value in enumerate(xyz)]


def _left_name(value: str) -> str:
    if value.startswith("r_f_"):
        return "l_" + value[2:]
    return value.replace("right", "left") if "right" in value else value


def frame_axis(name: str) -> int:
    """The coordinate (1 or 2) that a body's own frame is mirrored in: z for finger links, y for base and palm."""
    return _Z if "_f_link" in name else _Y


def _mirror_body(body: ElementTree.Element, parent_axis: int) -> None:
    axis = frame_axis(body.get("name", ""))
    _mirror_frame(body, parent_axis)
    if axis != parent_axis:
        # From M R M to M R S: M S = diag(1, -1, -1), half a turn about x, whose product is this.
        w, x, y, z = _numbers(body.get("quat", "1 0 0 0"))
        _set(body, "quat", [-x + 0.0, w, z, -y + 0.0])
    for child in body:
        if child.tag == "body":
            _mirror_body(child, axis)
        elif child.tag in ("inertial", "geom", "site"):
            _mirror_frame(child, axis)


def _mirror_frame(element: ElementTree.Element, axis: int) -> None:
    """Mirror what an element says of its place in its parent's frame; its own frame is mirrored in the same axis."""
    for key in ("pos", "fromto"):
        if key in element.attrib:
            _set(element, key, mirror_vector(_numbers(element.attrib[key]), axis))
    if "quat" in element.attrib:
        _set(element, "quat", mirror_quaternion(_numbers(element.attrib["quat"]), axis))


def _numbers(text: str) -> list[float]:
    return [float(token) for token in text.split()]


def _set(element: ElementTree.Element, key: str, values: Sequence[float]) -> None:
    element.set(key, " ".join(f"{value:.17g}" for value in values))
