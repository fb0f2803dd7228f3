"""What a rollout's rewards lack where a time limit ended an episode: the value of the state that it ended in."""

from __future__ import annotations

from typing import Callable, Optional

import torch


class TimeLimits:
    """Keeps the last observations of episodes that time out in a rollout, so that they are valued all at once.

    A world times out at most once in ``episode_steps`` steps, so one place for each world is enough for so many steps.
    Nothing of one rollout is needed in the next one.

    Args:
        horizon: steps of a rollout.
        episode_steps: an episode's time limit.
        num_envs: number of worlds.
        size: number of values in what is valued.
        device: where the learner runs.
    """

    def __init__(self, horizon: int, episode_steps: int, num_envs: int, size: int, device: torch.device) -> None:
        self._stretch = min(episode_steps, horizon)
        stretches = -(-horizon // self._stretch)
        self._observations = torch.zeros((stretches, num_envs, size), device=device)
        self._timed_out = torch.zeros((horizon, num_envs, 1), dtype=torch.bool, device=device)

    def note(self, step: int, timed_out: torch.Tensor, observations: Optional[torch.Tensor]) -> None:
        """Take note of a step.

        Args:
            step: its number in the rollout.
            timed_out: worlds whose episode the time limit has ended, (num_envs,) bool.
            observations: of the step's end, before new episodes began, (num_envs, size); None: no episode timed out.
        """
        self._timed_out[step] = timed_out[:, None]
        if observations is not None:
            kept = self._observations[step // self._stretch]
            torch.where(timed_out[:, None], observations, kept, out=kept)

    def values(self, value: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The values of the noted observations at the steps that they were noted for, 0 elsewhere.

        Args:
            value: of observations (num_envs, size), (num_envs, 1).

        Returns:
            (horizon, num_envs, 1).
        """
        found = torch.zeros(self._timed_out.shape, device=self._timed_out.device)
        for observations, timed_out, part in zip(
            self._observations, self._timed_out.split(self._stretch), found.split(self._stretch)
        ):
            if timed_out.device.type != "cpu" or bool(timed_out.any()):  # on a GPU asking would synchronise
                part.copy_(torch.where(timed_out, value(observations), part))
        return found
