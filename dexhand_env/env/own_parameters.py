"""Resets physical parameters that a restored state brought along when the episodes that had them end."""

from __future__ import annotations

import dataclasses
from typing import AbstractSet, Optional

import torch

from dexhand_env.sim.contract import Simulation, WorldParameters

NAMES = tuple(field.name for field in dataclasses.fields(WorldParameters))


class OwnParameters:
    """Gives worlds that begin an episode the scene's own value of every parameter that is not drawn.

    A simulation keeps its parameters whatever is reset, and a state that was saved under another configuration restores
    those of its running episodes. Where there are none of these nothing is done.

    Args:
        sim: its present parameters are the scene's own.
        drawn: the parameters that are drawn for each episode, by their names in ``WorldParameters``.
    """

    def __init__(self, sim: Simulation, drawn: AbstractSet[str]) -> None:
        self._sim = sim
        self._own = sim.parameters
        self._undrawn = [name for name in NAMES if name not in drawn]
        self._restored: Optional[WorldParameters] = None

    def compare(self) -> None:
        """Note which parameters are not the scene's own in some world; this synchronises with a GPU."""
        now = self._sim.parameters
        names = [name for name in self._undrawn if not torch.equal(getattr(now, name), getattr(self._own, name))]
        self._restored = WorldParameters(**{name: getattr(self._own, name) for name in names}) if names else None

    def put_back(self, worlds: torch.Tensor) -> None:
        """Call for worlds that begin an episode, (num_envs,) bool; never synchronises with a GPU."""
        if self._restored is not None:
            self._sim.set_parameters(worlds, self._restored)
