"""Small closed surfaces, in numpy: stacks of rounded cross-sections, and cylinders.

Vertices are shared only where the surface is smooth, so that averaged vertex normals keep the edges of caps and rims.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Surface:
    """A closed triangle surface, normals outwards.

    Attributes:
        vertices: (V, 3) float, m.
        faces: (F, 3) int.
    """

    vertices: np.ndarray
    faces: np.ndarray

    def moved(self, offset_m: Sequence[float]) -> Surface:
        """The surface moved by ``offset_m`` (3,)."""
        return Surface(self.vertices + np.asarray(offset_m, dtype=float), self.faces)


def loft(
    axis: int,
    stations: Sequence[Sequence[float]],
    *,
    rounding_m: float = 0.0,
    exponent: float = 3.0,
    sides: int = 12,
) -> Surface:
    """A skin over superellipse sections along one axis.

    Args:
        axis: 0, 1 or 2, the direction that the sections follow each other in.
        stations: rows (position along the axis, centre u, centre v, half size u, half size v), m, positions ascending;
            u and v are the two axes after ``axis`` in cyclic order. Between rows everything is interpolated linearly.
        rounding_m: radius that both ends are rounded with.
        exponent: 2 is an ellipse, larger is squarer.
        sides: corners of a section.
    """
    keys = np.asarray(stations, dtype=float)
    first, last = keys[0, 0], keys[-1, 0]
    positions, insets = keys[:, 0], np.zeros(len(keys))
    if rounding_m > 0.0:
        angles = np.radians([15.0, 50.0, 90.0])
        depth, inset = rounding_m * (1.0 - np.cos(angles)), rounding_m * (1.0 - np.sin(angles))
        inside = positions[(positions > first + rounding_m) & (positions < last - rounding_m)]
        depth -= depth[0]
        positions = np.concatenate([first + depth, inside, (last - depth)[::-1]])
        insets = np.concatenate([inset, np.zeros(len(inside)), inset[::-1]])
    centre_u, centre_v, half_u, half_v = (np.interp(positions, keys[:, 0], keys[:, column]) for column in (1, 2, 3, 4))
    angle = 2.0 * np.pi * (np.arange(sides) + 0.5) / sides
    unit_u, unit_v = (np.sign(wave) * np.abs(wave) ** (2.0 / exponent) for wave in (np.cos(angle), np.sin(angle)))
    rings = np.empty((len(positions), sides, 3))
    rings[:, :, axis] = positions[:, None]
    rings[:, :, (axis + 1) % 3] = centre_u[:, None] + (half_u - insets)[:, None] * unit_u
    rings[:, :, (axis + 2) % 3] = centre_v[:, None] + (half_v - insets)[:, None] * unit_v
    return _skin(rings, sharp_caps=rounding_m == 0.0)


def cylinder(axis: int, radius_m: float, half_length_m: float, *, bevel_m: float = 0.0, sides: int = 12) -> Surface:
    """A cylinder round the origin along ``axis``, its rims cut at 45 degrees by ``bevel_m``."""
    half, inner = half_length_m, radius_m - bevel_m
    profile = [(-half + bevel_m, radius_m), (half - bevel_m, radius_m)]
    if bevel_m > 0.0:
        profile = [(-half, inner), *profile, (half, inner)]
    return loft(axis, [(at, 0.0, 0.0, radius, radius) for at, radius in profile], exponent=2.0, sides=sides)


def joined(surfaces: Sequence[Surface]) -> Surface:
    """Several surfaces as one, untouched."""
    starts = np.cumsum([0] + [len(surface.vertices) for surface in surfaces[:-1]])
    return Surface(
        np.concatenate([surface.vertices for surface in surfaces]),
        np.concatenate([surface.faces + start for surface, start in zip(surfaces, starts)]),
    )


def _skin(rings: np.ndarray, *, sharp_caps: bool) -> Surface:
    """Triangles between rings (S, N, 3) that turn counter-clockwise about the direction they follow each other in."""
    count, sides, _ = rings.shape
    corner = np.arange(sides)
    lower = (np.arange(count - 1) * sides)[:, None]
    a, b = lower + corner, lower + (corner + 1) % sides
    quads = np.stack([a, b, b + sides, a, b + sides, a + sides], axis=-1).reshape(-1, 3)
    vertices, faces = [rings.reshape(-1, 3)], [quads]
    total = count * sides
    for ring, start, turned in ((rings[0], 0, True), (rings[-1], (count - 1) * sides, False)):
        if sharp_caps:
            vertices.append(ring)
            start, total = total, total + sides
        vertices.append(ring.mean(axis=0, keepdims=True))
        edge = (
            (start + (corner + 1) % sides, start + corner) if turned else (start + corner, start + (corner + 1) % sides)
        )
        faces.append(np.stack([np.full(sides, total), *edge], axis=-1))
        total += 1
    return Surface(np.concatenate(vertices), np.concatenate(faces))
