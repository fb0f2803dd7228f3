"""Rotations as unit quaternions w x y z and as matrices, batched.

Written as products of matrices: spelled out, the same takes several times as many operations.
"""

from __future__ import annotations

import functools

import torch

# Which products a_i b_j of the components of two quaternions make up w, x, y and z of their product.
_PRODUCT = (
    (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1),
    (0, 1, 0, 0), (-1, 0, 0, 0), (0, 0, 0, 1), (0, 0, -1, 0),
    (0, 0, 1, 0), (0, 0, 0, -1), (-1, 0, 0, 0), (0, 1, 0, 0),
    (0, 0, 0, 1), (0, 0, 1, 0), (0, -1, 0, 0), (-1, 0, 0, 0),
)  # fmt: skip
# Which products q_i q_j make up the rotation matrix of a quaternion, row by row.
_MATRIX = (
    (1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 0, 0, 0, -1, 0, 1, 0), (0, 0, 1, 0, 0, 0, -1, 0, 0),
    (0, -1, 0, 1, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, -1, 0, 1, 0), (1, 0, 0, 0, -1, 0, 0, 0, -1),
    (0, 1, 0, 1, 0, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0, 1, 0, 0), (0, 0, 1, 0, 0, 0, -1, 0, 0),
    (0, 1, 0, 1, 0, 0, 0, 0, 0), (-1, 0, 0, 0, 1, 0, 0, 0, -1), (0, 0, 0, 0, 0, 1, 0, 1, 0),
    (0, -1, 0, 1, 0, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 1, 0, 1, 0),
    (-1, 0, 0, 0, -1, 0, 0, 0, 1),
)  # fmt: skip
# Which elements of a rotation matrix make up 4 q_i q_j - (1 where i = j), row by row, for all i and j.
_PRODUCTS_OF_MATRIX = (
    (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1),
    (0, 0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0, -1, 0, 0, 0),
    (0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0),
    (0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0),
    (1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1),
    (0, -1, 0, 0, -1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0),
    (0, 0, -1, 0, 0, 0, 0, 1, -1, 0, 0, 0, 0, 1, 0, 0),
    (0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0),
    (1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1),
)
_TABLES = {"product": _PRODUCT, "matrix": _MATRIX, "products": _PRODUCTS_OF_MATRIX}


@functools.lru_cache(maxsize=None)
def _table(name: str, device: torch.device) -> torch.Tensor:
    """Copied to a GPU once: each copy would wait for it."""
    return torch.tensor(_TABLES[name], dtype=torch.float32, device=device)


def quaternion_product(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The rotation ``second`` followed by ``first``; both (..., 4), broadcast against each other."""
    products = first[..., :, None] * second[..., None, :]
    return products.flatten(-2) @ _table("product", products.device)


def rotation_matrices(quaternions: torch.Tensor) -> torch.Tensor:
    """Matrices (..., 3, 3) of quaternions (..., 4)."""
    products = quaternions[..., :, None] * quaternions[..., None, :]
    return (products.flatten(-2) @ _table("matrix", products.device)).unflatten(-1, (3, 3))


def quaternions_of(matrices: torch.Tensor) -> torch.Tensor:
    """Quaternions (..., 4) of rotation matrices (..., 3, 3), by way of their largest component, to lose no digits."""
    products = (matrices.flatten(-2) @ _table("products", matrices.device)).unflatten(-1, (4, 4))
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)[..., None, None]
    row = products.gather(-2, largest.expand(*largest.shape[:-1], 4))[..., 0, :]
    row = row.scatter_add(-1, largest[..., 0], torch.ones_like(row[..., :1]))
    return row / row.norm(dim=-1, keepdim=True)
