"""Rotations as quaternions w x y z, batched."""

from __future__ import annotations

import torch


def quaternion_from_hinges(angles: torch.Tensor) -> torch.Tensor:
    """Orientation of a body behind three hinges about its own x, then y, then z.

    Args:
        angles: (n, 3), rad.

    Returns:
        (n, 4), unit; the product of the three axis rotations, qx * qy * qz.
    """
    half = 0.5 * angles
    cx, cy, cz = torch.cos(half).unbind(-1)
    sx, sy, sz = torch.sin(half).unbind(-1)
    return torch.stack(
        (
            cx * cy * cz - sx * sy * sz,
            sx * cy * cz + cx * sy * sz,
            cx * sy * cz - sx * cy * sz,
            cx * cy * sz + sx * sy * cz,
        ),
        dim=-1,
    )


def angle_between(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Angle of the rotation that takes one orientation to the other, (n,) rad in [0, pi].

    Computed from the sine and cosine of the half angle: an arc cosine alone loses small angles in float32.

    Args:
        first, second: unit quaternions, (n, 4).
    """
    # Vector part of conj(first) * second.
    w1, v1 = first[:, :1], first[:, 1:]
    w2, v2 = second[:, :1], second[:, 1:]
    vector = w1 * v2 - w2 * v1 - torch.linalg.cross(v1, v2)
    cosine = (first * second).sum(dim=-1).abs()
    return 2.0 * torch.atan2(vector.norm(dim=-1), cosine)
