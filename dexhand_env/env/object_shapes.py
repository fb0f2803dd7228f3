"""Objects whose shape and size differ from world to world: a scene that can have them, and their draws."""

from __future__ import annotations

import dataclasses
from typing import AbstractSet, Dict, Optional, Sequence

import torch

from dexhand_env.config.object_shapes import primitive, proportions
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene


def with_shapes(scene: Scene, names: Optional[Sequence[str]]) -> Scene:
    """The scene with objects that a world may give any of these shapes; as it is for None."""
    if names is None:
        return scene
    shapes = tuple(dict.fromkeys(primitive(name) for name in names))
    objects = (
        dataclasses.replace(item, other_shapes=tuple(shape for shape in shapes if shape != item.shape))
        for item in scene.objects
    )
    return dataclasses.replace(scene, objects=tuple(objects))


class ObjectShapes:
    """Draws the shapes and sizes of objects, each object's by itself.

    Args:
        sim: whose objects, as the scene has them; of a scene :func:`with_shapes`.
        names: of the shapes to draw from; None leaves every object its own.
    """

    def __init__(self, sim: Simulation, names: Optional[Sequence[str]]) -> None:
        own_extents_m = sim.parameters.object_extents_m
        assert own_extents_m is not None
        self._are_drawn = names is not None
        self._own_sizes_m = own_extents_m.amax(dim=-1)
        shapes, extents = [], []
        for own, own_m in zip(sim.object_shapes, own_extents_m[0].tolist()):
            choices = [own[0]] if names is None else names
            shapes.append([own.index(primitive(name)) for name in choices])
            extents.append([proportions(name, own[0], own_m) for name in choices])
        self._objects = torch.arange(len(shapes), device=sim.device)
        self._shapes = torch.tensor(shapes, device=sim.device)  # (objects, choices)
        self._proportions = torch.tensor(extents, device=sim.device)  # (objects, choices, 3)

    @property
    def drawn(self) -> AbstractSet[str]:
        """What :meth:`draw` gives, by its name in ``WorldParameters``."""
        return {"object_shapes", "object_extents_m"} if self._are_drawn else {"object_extents_m"}

    def draw(
        self, worlds: torch.Tensor, randomness: EpisodeRandomness, between_m: Optional[Sequence[float]]
    ) -> Dict[str, torch.Tensor]:
        """What worlds that begin an episode are given, by its name in ``WorldParameters``.

        Args:
            worlds: those, (num_envs,) bool.
            randomness: of the episodes.
            between_m: smallest and largest size, which is an object's largest extent; None leaves every object its own.
        """
        drawn: Dict[str, torch.Tensor] = {}
        choice, sizes_m = torch.zeros_like(self._own_sizes_m).to(torch.int64), self._own_sizes_m
        if self._are_drawn:
            choices = self._shapes.shape[1]
            choice = (randomness.uniform(worlds, len(self._objects)) * choices).to(torch.int64)
            drawn["object_shapes"] = self._shapes[self._objects, choice]
        if between_m is not None:
            low, high = between_m
            sizes_m = low + randomness.uniform(worlds, len(self._objects)) * (high - low)
        drawn["object_extents_m"] = sizes_m[:, :, None] * self._proportions[self._objects, choice]
        return drawn
