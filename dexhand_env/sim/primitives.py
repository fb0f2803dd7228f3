"""What MuJoCo derives from the extents of a primitive about the origin: sizes, bounding radius, moments of inertia.

Half extents are (..., 3) along x y z; a cylinder and a capsule stand along z. Formulas: those of solid bodies; MuJoCo
4.0.0 compiles the same (tests/contract/test_parameters.py).
"""

from __future__ import annotations

import torch

from dexhand_env.sim.scene import geom_size


def sizes(shape: str, half_extents: torch.Tensor) -> torch.Tensor:
    """MuJoCo's ``geom_size`` (..., 3): half lengths; or radius, and half the length of a cylinder or between caps."""
    given = geom_size(shape, (2.0 * half_extents).unbind(dim=-1))
    return torch.stack((*given, *[torch.zeros_like(given[0])] * (3 - len(given))), dim=-1)


def bounding_radius(shape: str, half_extents: torch.Tensor) -> torch.Tensor:
    """Of the sphere about the origin that holds it, (...,)."""
    x, _, z = half_extents.unbind(dim=-1)
    if shape in ("sphere", "capsule"):
        return z
    return torch.hypot(x, z) if shape == "cylinder" else half_extents.norm(dim=-1)


def unit_inertia(shape: str, half_extents: torch.Tensor) -> torch.Tensor:
    """Moments of inertia about the axes for a mass of 1, (..., 3)."""
    x, y, z = half_extents.unbind(dim=-1)
    if shape == "sphere":
        return (0.4 * x * x)[..., None].expand(half_extents.shape)
    if shape == "box":
        return torch.stack((y * y + z * z, x * x + z * z, x * x + y * y), dim=-1) / 3.0
    # A cylinder of length 2 l between the halves of a sphere, which weigh 4 r / 3 where it weighs 2 l.
    caps = x if shape == "capsule" else torch.zeros_like(x)
    length = 2.0 * (z - caps)
    share = length / (length + 4.0 / 3.0 * caps)
    across = share * (x * x / 4.0 + length * length / 12.0)
    across = across + (1.0 - share) * (0.4 * x * x + length * length / 4.0 + 0.375 * length * x)
    along = share * x * x / 2.0 + (1.0 - share) * 0.4 * x * x
    return torch.stack((across, across, along), dim=-1)
