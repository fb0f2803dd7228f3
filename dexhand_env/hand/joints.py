"""Names, order and coupling of the DexHand021's joints and controls.

Every list is in the order of the MJCF file: six base joints, then the fingers from the thumb (1) to the little finger
(5), each from the palm outwards (1 to 4). Ranges and coupling: DexRobot dexrobot_mujoco, commit 9ab1423 (docs/hand.md).
"""

from __future__ import annotations

SIDES: tuple[str, ...] = ("right", "left")
"""The two hands."""

FINGERS: tuple[str, ...] = ("thumb", "index", "middle", "ring", "little")
"""Fingers in the order of their numbers 1 to 5."""

BASE_JOINTS: tuple[str, ...] = ("ARTx", "ARTy", "ARTz", "ARRx", "ARRy", "ARRz")
"""Slides (m) and hinges (rad) that carry the hand; the hinges turn as intrinsic x, then y, then z."""

_LINKS = (1, 2, 3, 4)
_BASE_SLIDE_RANGE_M = (-1.0, 1.0)
_BASE_HINGE_RANGE_RAD = (-3.14, 3.14)
_FLEXION_RANGE_RAD = (0.0, 1.3)

_FINGER_CONTROLS: tuple[tuple[str, tuple[float, float], dict[str, float]], ...] = (
    ("thumb_rotation", (0.0, 2.2), {"1_1": 1.0}),
    ("thumb_mcp", _FLEXION_RANGE_RAD, {"1_2": 1.0}),
    ("thumb_dip", _FLEXION_RANGE_RAD, {"1_3": 1.0, "1_4": 1.0}),
    ("spread", (0.0, 0.3), {"2_1": 1.0, "4_1": 1.0, "5_1": 2.0}),
    ("index_mcp", _FLEXION_RANGE_RAD, {"2_2": 1.0}),
    ("index_dip", _FLEXION_RANGE_RAD, {"2_3": 1.0, "2_4": 1.0}),
    ("middle_mcp", _FLEXION_RANGE_RAD, {"3_2": 1.0}),
    ("middle_dip", _FLEXION_RANGE_RAD, {"3_3": 1.0, "3_4": 1.0}),
    ("ring_mcp", _FLEXION_RANGE_RAD, {"4_2": 1.0}),
    ("ring_dip", _FLEXION_RANGE_RAD, {"4_3": 1.0, "4_4": 1.0}),
    ("little_mcp", _FLEXION_RANGE_RAD, {"5_2": 1.0}),
    ("little_dip", _FLEXION_RANGE_RAD, {"5_3": 1.0, "5_4": 1.0}),
)
"""Name, range in rad, and the joints that a finger control drives with their ratios."""

CONTROL_NAMES: tuple[str, ...] = BASE_JOINTS + tuple(name for name, _, _ in _FINGER_CONTROLS)
"""The 18 controls: 6 base, 12 fingers."""

CONTROL_RANGES: tuple[tuple[float, float], ...] = (
    (_BASE_SLIDE_RANGE_M,) * 3 + (_BASE_HINGE_RANGE_RAD,) * 3 + tuple(limits for _, limits, _ in _FINGER_CONTROLS)
)
"""(low, high) of the 18 controls, m for the slides and rad for the rest."""


def side_prefix(side: str) -> str:
    """``r`` or ``l``, which the names of a hand's joints, bodies and sites begin with.

    Raises:
        ValueError: where ``side`` is neither ``right`` nor ``left``.
    """
    if side not in SIDES:
        raise ValueError(f"side: {side!r}; allowed: {', '.join(SIDES)}")
    return side[0]


def finger_joint_names(side: str = "right") -> tuple[str, ...]:
    """The 20 finger joints, ``r_f_joint1_1`` to ``r_f_joint5_4``."""
    prefix = side_prefix(side)
    return tuple(f"{prefix}_f_joint{finger}_{link}" for finger in range(1, 6) for link in _LINKS)


def joint_names(side: str = "right") -> tuple[str, ...]:
    """The 26 joints in MJCF order, which are also the names and the order of the actuators."""
    return BASE_JOINTS + finger_joint_names(side)


def body_names(side: str = "right") -> tuple[str, ...]:
    """The 22 bodies in MJCF order: the base, the palm, 20 links."""
    prefix = side_prefix(side)
    links = tuple(f"{prefix}_f_link{finger}_{link}" for finger in range(1, 6) for link in _LINKS)
    return ("floating_base", f"{side}_hand_base", *links)


def fingertip_bodies(side: str = "right") -> tuple[str, ...]:
    """The five distal links, thumb first."""
    return tuple(f"{side_prefix(side)}_f_link{finger}_4" for finger in range(1, 6))


def tip_sites(side: str = "right") -> tuple[str, ...]:
    """The five sites at the ends of the fingers, thumb first."""
    return tuple(f"{side_prefix(side)}_f_link{finger}_tip" for finger in range(1, 6))


def pad_sites(side: str = "right") -> tuple[str, ...]:
    """The five sites on the fingertips' pads, thumb first; their y axis is the pad's outward normal."""
    return tuple(f"{side_prefix(side)}_f_link{finger}_pad" for finger in range(1, 6))


def force_sensors(side: str = "right") -> tuple[str, ...]:
    """The five fingertip contact sensors, thumb first.

    Each reads (found, fx, fy, fz): the number of contacts, and the net force in N in the world frame that the fingertip
    exerts; the force on the fingertip is its negative.
    """
    return tuple(f"{side_prefix(side)}_f_force{finger}" for finger in range(1, 6))


def control_to_joint_matrix() -> list[list[float]]:
    """26 rows (joints) of 18 ratios (controls): joint targets = matrix @ control targets.

    The row of the middle finger's spread (joint 3_1) is zero: the hand holds that joint still.
    """
    names = joint_names("right")
    matrix = [[0.0] * len(CONTROL_NAMES) for _ in names]
    for base in range(len(BASE_JOINTS)):
        matrix[base][base] = 1.0
    for column, (_, _, ratios) in enumerate(_FINGER_CONTROLS, start=len(BASE_JOINTS)):
        for joint, ratio in ratios.items():
            matrix[names.index(f"r_f_joint{joint}")][column] = ratio
    return matrix
