"""Rotations as quaternions w x y z, batched."""

from __future__ import annotations

import functools

import torch

# Which products of (cosine, sine) of the half angles about x, y and z make up w, x, y and z, from ccc, ccs, csc to sss.
# As one product of matrices: written out, the same takes four times as many operations.
_SIGNS = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 1.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, -1.0, 0.0),
    (0.0, 0.0, 0.0, 1.0),
    (-1.0, 0.0, 0.0, 0.0),
)


@functools.lru_cache(maxsize=None)
def _signs(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Copied to a GPU once: each copy would wait for it."""
    return torch.tensor(_SIGNS, dtype=dtype, device=device)


def quaternion_from_hinges(angles: torch.Tensor) -> torch.Tensor:
    """Orientation of a body behind three hinges about its own x, then y, then z.

    Args:
        angles: (n, 3), rad.

    Returns:
        (n, 4), unit; the product of the three axis rotations, qx * qy * qz.
    """
    half = 0.5 * angles
    x, y, z = torch.stack((torch.cos(half), torch.sin(half)), dim=-1).unbind(-2)
    products = x[:, :, None, None] * (y[:, None, :, None] * z[:, None, None, :])
    return products.reshape(-1, 8) @ _signs(angles.dtype, angles.device)


def turned_back(vectors: torch.Tensor, quaternions: torch.Tensor) -> torch.Tensor:
    """Vectors of the world in the axes of turned bodies.

    Args:
        vectors: (n, k, 3), k of each body.
        quaternions: orientations of the bodies, unit, (n, 4).

    Returns:
        (n, k, 3): by the inverse rotation, v - 2 w (u x v) + 2 u x (u x v) with u the vector part.
    """
    w, u = quaternions[:, None, :1], quaternions[:, None, 1:].expand_as(vectors)
    across = torch.linalg.cross(u, vectors)
    return vectors + 2.0 * (torch.linalg.cross(u, across) - w * across)


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
