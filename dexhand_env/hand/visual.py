"""How the hand looks: procedural shells, joints and pads, one coloured mesh a body.

Sizes follow the bounding boxes and the palm's slices of the maker's meshes (docs/hand.md); the shapes are our own.
Nothing here touches physics, which collides the primitives of the MJCF file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dexhand_env.hand.joints import body_names, side_prefix
from dexhand_env.hand.loft import Surface, cylinder, joined, loft
from dexhand_env.hand.mirror import frame_axis

SHELL_RGBA = (0.88, 0.89, 0.90, 1.0)
JOINT_RGBA = (0.17, 0.18, 0.20, 1.0)
METAL_RGBA = (0.58, 0.60, 0.63, 1.0)
PAD_RGBA = (0.15, 0.45, 0.58, 1.0)

_X, _Z = 0, 2
_FINGER_YZ_M = ((0.0349, 0.1644), (0.0106, 0.1734), (-0.0137, 0.1644), (-0.0380, 0.1504))
"""Where the spread joints of fingers 2 to 5 are, in the palm's frame (the MJCF file's positions)."""


@dataclasses.dataclass(frozen=True)
class VisualMesh:
    """What one body looks like, in the body's own frame.

    Attributes:
        vertices: (V, 3) float32, m.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        rgba: (4,) float32 in 0..1, the body's main colour, for viewers of one colour a mesh.
        vertex_rgba: (V, 4) uint8, the colour of each vertex; no vertex is shared between two colours.
    """

    vertices: np.ndarray
    faces: np.ndarray
    rgba: np.ndarray
    vertex_rgba: np.ndarray


def visual_meshes(side: str = "right") -> dict[str, VisualMesh]:
    """The meshes of the palm and the 20 links by body name; ``floating_base`` has none.

    Raises:
        ValueError: where ``side`` is neither ``right`` nor ``left``.
    """
    prefix = side_prefix(side)
    meshes = {f"{side}_hand_base": _palm()}
    for finger in range(1, 6):
        first = _thumb_base() if finger == 1 else _finger_base()
        lift_m = -0.0013 if finger == 1 else 0.0  # the thumb's shells sit off its joints' plane
        for link, mesh in enumerate((first, _proximal(lift_m), _middle(lift_m), _distal(lift_m)), start=1):
            meshes[f"{prefix}_f_link{finger}_{link}"] = mesh
    if side == "left":
        meshes = {name: _mirrored(mesh, frame_axis(name)) for name, mesh in meshes.items()}
    return {name: meshes[name] for name in body_names(side) if name in meshes}


def _painted(*parts: tuple[tuple[float, ...], Surface]) -> VisualMesh:
    """Coloured surfaces as one mesh; the first part's colour is the main one."""
    surface = joined([part for _, part in parts])
    colours = np.concatenate([np.tile(rgba, (len(part.vertices), 1)) for rgba, part in parts])
    return VisualMesh(
        surface.vertices.astype(np.float32),
        surface.faces.astype(np.int32),
        np.asarray(parts[0][0], dtype=np.float32),
        np.round(colours * 255.0).astype(np.uint8),
    )


def _mirrored(mesh: VisualMesh, axis: int) -> VisualMesh:
    """The mirror image in the body's own frame, its triangles turned to face outwards again."""
    vertices = mesh.vertices.copy()
    vertices[:, axis] *= -1.0
    return dataclasses.replace(mesh, vertices=vertices, faces=np.ascontiguousarray(mesh.faces[:, ::-1]))


def _knuckle(half_width_m: float, lift_m: float) -> list[tuple[tuple[float, ...], Surface]]:
    """The hinge at a link's origin: a dark barrel along the joint's axis (z) between two metal bolts."""
    bolts = [
        cylinder(_Z, 0.0042, 0.0005, sides=12).moved((0.0, 0.0, lift_m + end * (half_width_m + 0.0003)))
        for end in (-1.0, 1.0)
    ]
    barrel = cylinder(_Z, 0.0072, half_width_m, bevel_m=0.0008).moved((0.0, 0.0, lift_m))
    return [(JOINT_RGBA, barrel), (METAL_RGBA, joined(bolts))]


def _phalanx(stations: Sequence[Sequence[float]], reach_m: float, lift_m: float, knuckle_m: float) -> VisualMesh:
    """A tapered shell round a dark core that bridges to the next joint at x = ``reach_m``."""
    shell = loft(_X, stations, rounding_m=0.0035, exponent=3.2)
    core = loft(_X, [(0.0, 0.0, 0.0, 0.0052, 0.0062), (reach_m, 0.0, 0.0, 0.0050, 0.0058)], sides=10)
    lift = (0.0, 0.0, lift_m)
    return _painted((SHELL_RGBA, shell.moved(lift)), (JOINT_RGBA, core.moved(lift)), *_knuckle(knuckle_m, lift_m))


def _finger_base() -> VisualMesh:
    """Links 1 of the four fingers: the spread axle and the fork of the first knuckle."""
    axle = cylinder(_Z, 0.0078, 0.0098, bevel_m=0.001)
    fork = loft(
        _X,
        [(0.0, 0.0, 0.0, 0.0085, 0.0080), (0.0125, 0.0, 0.0, 0.0092, 0.0088), (0.0205, 0.0, 0.0, 0.0088, 0.0062)],
        rounding_m=0.002,
        exponent=4.0,
    )
    return _painted((JOINT_RGBA, joined([axle, fork])))


def _thumb_base() -> VisualMesh:
    """Link 1 of the thumb: the rotation axle, which enters the palm along z, and the fork of its first knuckle."""
    axle = cylinder(_Z, 0.0082, 0.0165, bevel_m=0.0012).moved((0.0, 0.0, 0.0185))
    collar = cylinder(_Z, 0.0088, 0.0020, bevel_m=0.0005).moved((0.0, 0.0, 0.0100))
    fork = loft(
        _X,
        [
            (-0.0085, 0.0, 0.0013, 0.0080, 0.0075),
            (0.0080, 0.0, 0.0013, 0.0086, 0.0075),
            (0.0145, 0.0, 0.0013, 0.0082, 0.0062),
        ],
        rounding_m=0.0025,
        exponent=4.0,
    )
    return _painted((JOINT_RGBA, joined([axle, fork])), (METAL_RGBA, collar))


def _proximal(lift_m: float) -> VisualMesh:
    stations = [
        (0.0050, -0.0014, 0.0, 0.0105, 0.0104),
        (0.0120, -0.0016, 0.0, 0.0116, 0.0111),
        (0.0260, -0.0010, 0.0, 0.0104, 0.0104),
        (0.0385, 0.0000, 0.0, 0.0088, 0.0094),
    ]
    return _phalanx(stations, 0.043, lift_m, knuckle_m=0.0097)


def _middle(lift_m: float) -> VisualMesh:
    stations = [
        (0.0050, 0.0004, 0.0, 0.0088, 0.0088),
        (0.0100, 0.0006, 0.0, 0.0093, 0.0090),
        (0.0205, 0.0002, 0.0, 0.0083, 0.0085),
    ]
    return _phalanx(stations, 0.025, lift_m, knuckle_m=0.0086)


def _distal(lift_m: float) -> VisualMesh:
    """The fingertip: a shell that bends back from the pad, and the pad bulging out of its palmar side (+y)."""
    shell = loft(
        _X,
        [
            (0.0045, -0.0004, 0.0, 0.0080, 0.0084),
            (0.0110, -0.0018, 0.0, 0.0086, 0.0090),
            (0.0200, -0.0044, 0.0, 0.0082, 0.0088),
            (0.0285, -0.0066, 0.0, 0.0068, 0.0078),
            (0.0345, -0.0082, 0.0, 0.0052, 0.0064),
        ],
        rounding_m=0.0035,
        exponent=2.6,
    )
    pad = loft(
        _X,
        [
            (0.0090, 0.0028, 0.0, 0.0044, 0.0060),
            (0.0150, 0.0016, 0.0, 0.0060, 0.0080),
            (0.0230, -0.0010, 0.0, 0.0064, 0.0082),
            (0.0300, -0.0040, 0.0, 0.0058, 0.0074),
            (0.0362, -0.0062, 0.0, 0.0046, 0.0058),
        ],
        rounding_m=0.0035,
        exponent=2.4,
    )
    core = loft(_X, [(0.0, 0.0, 0.0, 0.0052, 0.0062), (0.010, -0.001, 0.0, 0.0050, 0.0058)], sides=10)
    lift = (0.0, 0.0, lift_m)
    return _painted(
        (SHELL_RGBA, shell.moved(lift)),
        (PAD_RGBA, pad.moved(lift)),
        (JOINT_RGBA, core.moved(lift)),
        *_knuckle(0.0084, lift_m),
    )


def _palm() -> VisualMesh:
    """Wrist flange, slab, the thumb's mound, four finger sockets, rubber on the palm, a plate on the back."""
    sockets = [_finger_socket(*place) for place in _FINGER_YZ_M]
    plate = _rubber_plate((-0.0010, 0.0950), (0.0360, 0.0320), (-0.0307, -0.0250))
    flange = cylinder(_Z, 0.0275, 0.0055, bevel_m=0.001, sides=28).moved((0.0, 0.0, 0.0055))
    neck = cylinder(_Z, 0.0235, 0.0090, sides=24).moved((0.0, 0.0, 0.0160))
    heel = _rubber_plate((-0.0300, 0.0780), (0.0230, 0.0230), (0.0230, 0.0282))
    ridge = _rubber_plate((-0.0040, 0.1300), (0.0480, 0.0105), (0.0230, 0.0282))
    return _painted(
        (SHELL_RGBA, joined([_palm_slab(), _thumb_mound(), *sockets])),
        (JOINT_RGBA, joined([neck, plate])),
        (METAL_RGBA, flange),
        (PAD_RGBA, joined([heel, ridge])),
    )


def _palm_slab() -> Surface:
    """The palm's body, from the slices of the maker's mesh."""
    stations = [
        (0.0200, -0.0005, 0.0010, 0.0240, 0.0320),
        (0.0400, -0.0005, 0.0000, 0.0280, 0.0470),
        (0.0600, -0.0014, -0.0008, 0.0282, 0.0555),
        (0.0800, -0.0014, -0.0010, 0.0282, 0.0565),
        (0.1330, -0.0014, -0.0010, 0.0282, 0.0565),
        (0.1500, -0.0014, -0.0005, 0.0262, 0.0550),
    ]
    return loft(_Z, stations, rounding_m=0.007, exponent=4.5, sides=32)


def _thumb_mound() -> Surface:
    """The swelling that the thumb's rotation axle comes out of."""
    stations = [
        (0.0500, 0.0060, 0.0240, 0.0180, 0.0150),
        (0.0700, 0.0120, 0.0260, 0.0250, 0.0195),
        (0.0900, 0.0140, 0.0265, 0.0256, 0.0195),
        (0.1030, 0.0160, 0.0260, 0.0230, 0.0170),
    ]
    return loft(_Z, stations, rounding_m=0.007, exponent=2.6, sides=22)


def _finger_socket(y_m: float, joint_z_m: float) -> Surface:
    """The rounded housing of a finger's spread axle, up to just past the joint."""
    stations = [
        (0.1280, -0.0010, y_m, 0.0255, 0.0116),
        (joint_z_m - 0.012, -0.0010, y_m, 0.0240, 0.0116),
        (joint_z_m + 0.0030, 0.0010, y_m, 0.0165, 0.0108),
    ]
    return loft(_Z, stations, rounding_m=0.004, exponent=4.0, sides=16)


def _rubber_plate(centre_yz_m: Sequence[float], half_yz_m: Sequence[float], x_m: Sequence[float]) -> Surface:
    """A flat plate with rounded corners and edges, between two values of x."""
    return loft(_X, [(x, *centre_yz_m, *half_yz_m) for x in x_m], rounding_m=0.0015, exponent=4.0, sides=20)
