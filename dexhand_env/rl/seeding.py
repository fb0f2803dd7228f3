"""What a training draws its random numbers from, and what it needs to compute the same numbers twice."""

from __future__ import annotations

import hashlib
import os
from typing import MutableMapping

from dexhand_env.config.schema import SEED_LIMIT
from dexhand_env.errors import UserError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
# What torch takes for deterministic, the faster one first.
DETERMINISTIC = (":4096:8", ":16:8")


def process_seed(seed: int, rank: int) -> int:
    """The seed of one of several processes: ``seed`` itself for the first.

    A sum would give two trainings of neighbouring seeds the same episodes. A CPU's generator goes by the last 32 bits
    of a seed alone, so it is in these that the others' seeds are never a seed that can be asked for.
    """
    if rank == 0:
        return seed
    digest = hashlib.sha256(f"{seed} {rank}".encode()).digest()
    return int.from_bytes(digest[:7], "big") | SEED_LIMIT


def make_cublas_deterministic(environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask cuBLAS for workspaces that give the same sums each time; before it is first used.

    Without that torch's deterministic algorithms refuse matrix products on a GPU.

    Raises:
        UserError: the variable is set already, and to something else.
    """
    found = environment.setdefault(CUBLAS, DETERMINISTIC[0])
    if found not in DETERMINISTIC:
        raise UserError(CUBLAS, f"{found} is not deterministic", f"{' or '.join(DETERMINISTIC)}, or unset")
