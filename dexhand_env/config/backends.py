"""The physics backends by name, and what each of them cannot do."""

from __future__ import annotations

import dataclasses
from typing import Dict, Tuple

from typing_extensions import Literal

BackendName = Literal["auto", "mujoco", "mujoco_warp", "isaac_gym"]
BACKENDS: Tuple[str, ...] = ("auto", "mujoco", "mujoco_warp", "isaac_gym")
"""``auto`` is MuJoCo on the CPU, and MuJoCo Warp on a GPU."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a backend cannot do.

    Attributes:
        not_randomised: keys of ``randomisation`` that it cannot change from episode to episode.
        lowest_friction: of objects.
        resumes_exactly: whether a training that goes on from a checkpoint computes what it would have without a stop.
    """

    not_randomised: Tuple[str, ...] = ()
    lowest_friction: float = 0.0
    resumes_exactly: bool = True


LIMITS: Dict[str, Limits] = {name: Limits() for name in BACKENDS}
LIMITS["isaac_gym"] = Limits(("object_shapes", "object_size_m"), 0.25, resumes_exactly=False)


def able_to_change(key: str) -> str:
    """The backends that can change a key of ``randomisation`` from episode to episode, as an error names them."""
    return ", ".join(name for name, limits in LIMITS.items() if key not in limits.not_randomised)


def able_to_slide(friction: float) -> str:
    """The backends that can have an object of that friction."""
    return ", ".join(name for name, limits in LIMITS.items() if limits.lowest_friction <= friction)
