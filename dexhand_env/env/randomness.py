"""Where an episode's random numbers come from: one stream for training, one stream an episode for tests."""

from __future__ import annotations

import abc
import hashlib
from typing import Dict, Sequence

import numpy as np
import torch


class EpisodeRandomness(abc.ABC):
    """Uniform numbers for the episodes that begin."""

    @abc.abstractmethod
    def uniform(self, worlds: torch.Tensor, size: int) -> torch.Tensor:
        """Numbers in [0, 1) for the worlds that begin an episode.

        Args:
            worlds: those that begin one, (num_envs,) bool.
            size: numbers a world.

        Returns:
            (num_envs, size) float32; the rows of the other worlds mean nothing.
        """

    @abc.abstractmethod
    def get_state(self) -> torch.Tensor:
        """The stream's place, for exact resumption."""

    @abc.abstractmethod
    def set_state(self, state: torch.Tensor) -> None:
        """Go on from ``get_state``'s place."""


class TrainingRandomness(EpisodeRandomness):
    """One endless stream, shared by all worlds in the order in which their episodes begin.

    On a GPU, which would have to wait for the worlds that begin one to be counted, numbers are drawn for all.

    Args:
        seed: of the stream.
        device: where the numbers are made.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator(device=device)
        self._generator.manual_seed(seed)

    def uniform(self, worlds: torch.Tensor, size: int) -> torch.Tensor:
        device = self._generator.device
        if device.type != "cpu":
            return torch.rand((len(worlds), size), generator=self._generator, device=device)
        numbers = torch.zeros((len(worlds), size))
        numbers[worlds] = torch.rand((int(worlds.sum()), size), generator=self._generator)
        return numbers

    def get_state(self) -> torch.Tensor:
        return self._generator.get_state()

    def set_state(self, state: torch.Tensor) -> None:
        if state.numel() == self._generator.get_state().numel():
            self._generator.set_state(state)
        else:  # of another kind of device, whose stream cannot go on here: another begins, decided by that one's place
            digest = hashlib.sha256(state.cpu().numpy().tobytes()).digest()
            self._generator.manual_seed(int.from_bytes(digest[:7], "big"))


class NumberedEpisodes(EpisodeRandomness):
    """World ``i`` plays the episode drawn from ``seeds[i]``, whatever other worlds do and on whatever device.

    Args:
        seeds: one for each world; equal seeds give equal episodes.
        device: where the numbers are wanted; they are drawn on the CPU.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._seeds = list(seeds)
        self._device = device
        self._streams: Dict[int, np.random.Generator] = {}

    def _stream(self, world: int) -> np.random.Generator:
        if world not in self._streams:
            self._streams[world] = np.random.Generator(np.random.PCG64(self._seeds[world]))
        return self._streams[world]

    def uniform(self, worlds: torch.Tensor, size: int) -> torch.Tensor:
        numbers = np.zeros((len(worlds), size), dtype=np.float32)
        for world in worlds.cpu().numpy().nonzero()[0].tolist():
            numbers[world] = self._stream(world).random(size, dtype=np.float32)
        return torch.from_numpy(numbers).to(self._device)

    def get_state(self) -> torch.Tensor:
        raise NotImplementedError("numbered episodes are replayed from their seeds")

    def set_state(self, state: torch.Tensor) -> None:
        raise NotImplementedError("numbered episodes are replayed from their seeds")
