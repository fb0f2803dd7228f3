"""The hand as an MJCF tree; whoever simulates it adds options and surroundings."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from dexhand_env.hand.joints import side_prefix
from dexhand_env.hand.mirror import mirrored

RIGHT_HAND_MJCF = Path(__file__).with_name("dexhand021_right.xml")
"""The hand-written model that both hands come from."""


def hand_element(side: str = "right") -> ElementTree.Element:
    """A fresh ``<mujoco>`` tree of the hand only: no option, table or light; the root body ``floating_base`` at 0.

    Raises:
        ValueError: where ``side`` is neither ``right`` nor ``left``.
    """
    side_prefix(side)
    right = ElementTree.parse(RIGHT_HAND_MJCF).getroot()  # noqa: S314 (our own file)
    return right if side == "right" else mirrored(right)
