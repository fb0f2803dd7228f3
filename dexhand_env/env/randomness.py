"""Where an episode's random numbers come from: one stream for training, one stream an episode for tests."""

from __future__ import annotations

import abc
from typing import Dict, Sequence

import numpy as np
import torch


class EpisodeRandomness(abc.ABC):
    """Uniform numbers for the episodes that begin."""

    @abc.abstractmethod
    def uniform(self, world_ids: torch.Tensor, size: int) -> torch.Tensor:
        """Numbers in [0, 1) for worlds that begin an episode, (len(world_ids), size) float32."""

    @abc.abstractmethod
    def get_state(self) -> torch.Tensor:
        """The stream's place, for exact resumption."""

    @abc.abstractmethod
    def set_state(self, state: torch.Tensor) -> None:
        """Go on from ``get_state``'s place."""


class TrainingRandomness(EpisodeRandomness):
    """One endless stream, shared by all worlds in the order in which their episodes begin.

    Args:
        seed: of the stream.
        device: where the numbers are made.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator(device=device)
        self._generator.manual_seed(seed)

    def uniform(self, world_ids: torch.Tensor, size: int) -> torch.Tensor:
        shape = (len(world_ids), size)
        return torch.rand(shape, generator=self._generator, device=self._generator.device)

    def get_state(self) -> torch.Tensor:
        return self._generator.get_state()

    def set_state(self, state: torch.Tensor) -> None:
        self._generator.set_state(state)


class NumberedEpisodes(EpisodeRandomness):
    """World ``i`` plays the episode drawn from ``seeds[i]``, whatever other worlds do.

    Args:
        seeds: one for each world; equal seeds give equal episodes.
        device: where the numbers are wanted.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._seeds = list(seeds)
        self._device = device
        self._streams: Dict[int, np.random.Generator] = {}

    def _stream(self, world: int) -> np.random.Generator:
        if world not in self._streams:
            self._streams[world] = np.random.Generator(np.random.PCG64(self._seeds[world]))
        return self._streams[world]

    def uniform(self, world_ids: torch.Tensor, size: int) -> torch.Tensor:
        rows = [self._stream(world).random(size, dtype=np.float32) for world in world_ids.tolist()]
        return torch.from_numpy(np.stack(rows)).to(self._device)

    def get_state(self) -> torch.Tensor:
        raise NotImplementedError("numbered episodes are replayed from their seeds")

    def set_state(self, state: torch.Tensor) -> None:
        raise NotImplementedError("numbered episodes are replayed from their seeds")
