"""What happened in an iteration of training, counted by episode and by step."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Deque, Dict, List, Optional, Sequence, Tuple

import torch

from dexhand_env.env.vec_env import SUCCESS, Step
from dexhand_env.rl.distributed import ALONE, Processes

EPISODE_SUMS = ("episodes", "returns", "lengths", "successes")


@dataclasses.dataclass(frozen=True)
class EpisodeMeans:
    """Means over finished episodes: return, length in control steps; and how many episodes and successes there were."""

    episodes: int
    episode_return: float
    length_steps: float
    successes: int

    @property
    def success_rate(self) -> float:
        """The share of successes."""
        return self.successes / self.episodes


class TrainingStatistics:
    """Adds up steps on the device and is read once an iteration, so that a GPU is not made to wait.

    Episodes that began part-way (staggered starts) are left out: they are shorter than real ones.

    Attributes:
        finished_episodes: in all iterations so far.
        latest: means over the episodes of the latest iteration; None where none ended.

    Args:
        num_envs: number of worlds of a process; all worlds together are the episodes in the window of :meth:`recent`.
        outcome_names: the environment's.
        device: the environment's.
        processes: whose steps are counted together.
    """

    def __init__(
        self, num_envs: int, outcome_names: Sequence[str], device: torch.device, processes: Processes = ALONE
    ) -> None:
        self._num_envs = num_envs * processes.size
        self._processes = processes
        self._outcome_names = tuple(outcome_names)
        self._device = device
        self._outcome_ids = torch.arange(len(self._outcome_names), device=device)
        # The EPISODE_SUMS of past iterations, latest last.
        self._window: Deque[Tuple[float, ...]] = deque()
        self._wait_steps = 0  # control steps until episodes that end enter the window
        self.finished_episodes = 0
        self.latest: Optional[EpisodeMeans] = None
        self._clear()

    def _clear(self) -> None:
        self._steps = 0
        self._sums = torch.zeros(4, dtype=torch.float64, device=self._device)
        self._outcomes = torch.zeros(len(self._outcome_names), dtype=torch.int64, device=self._device)
        self._raw: Dict[str, torch.Tensor] = {}
        self._weighted: Dict[str, torch.Tensor] = {}

    def add(self, step: Step) -> None:
        """Count one step of all worlds."""
        self._steps += 1
        counted = step.dones & step.whole_episodes
        sums = torch.stack(
            (
                torch.ones_like(step.rewards),
                step.episode_returns,
                step.episode_lengths.to(step.rewards.dtype),
                (step.outcomes == SUCCESS).to(step.rewards.dtype),
            )
        )
        self._sums += (sums * counted).sum(dim=1, dtype=torch.float64)
        ended = torch.where(counted, step.outcomes, torch.zeros_like(step.outcomes))
        # Not bincount, which makes a GPU wait for the largest value.
        self._outcomes += (ended == self._outcome_ids[:, None]).sum(dim=1)
        for sums_by_name, terms in ((self._raw, step.terms.raw), (self._weighted, step.terms.weighted)):
            for name, term in terms.items():
                mean = term.mean()
                sums_by_name[name] = sums_by_name[name] + mean if name in sums_by_name else mean

    def finish_iteration(self) -> Dict[str, float]:
        """Columns of the history for the steps of all processes since the last call; no episodes give no columns."""
        totals = self._processes.total(self._own_sums())
        sums = tuple(totals.pop(name) for name in EPISODE_SUMS)
        row: Dict[str, float] = {}
        means = self.latest = self._means([sums])
        comparable, self._wait_steps = self._wait_steps <= 0, max(self._wait_steps - self._steps, 0)
        if means is not None:
            row["return"] = means.episode_return
            row["success_rate"] = means.success_rate
            row["episode_length"] = means.length_steps
            self.finished_episodes += means.episodes
            if comparable:
                self._remember(sums)
        for name, total in totals.items():
            if not name.startswith("termination/"):
                row[name] = total / self._processes.size / self._steps
            elif means is not None:
                row[name] = total / means.episodes
        self._clear()
        return row

    def _own_sums(self) -> Dict[str, float]:
        """What this process has counted: sums over episodes, endings, and sums over steps of each term's mean."""
        sums = dict(zip(EPISODE_SUMS, self._sums.tolist()))
        for name, count in zip(self._outcome_names[1:], self._outcomes.tolist()[1:]):
            sums[f"termination/{name}"] = count
        for prefix, terms in (("reward", self._weighted), ("raw_reward", self._raw)):
            sums.update({f"{prefix}/{name}": float(total) for name, total in terms.items()})
        return sums

    def _remember(self, sums: Tuple[float, ...]) -> None:
        self._window.append(sums)
        while sum(entry[0] for entry in self._window) - self._window[0][0] >= self._num_envs:
            self._window.popleft()

    @staticmethod
    def _means(entries: Sequence[Tuple[float, ...]]) -> Optional[EpisodeMeans]:
        episodes, returns, lengths, successes = (sum(column) for column in zip(*entries)) if entries else (0,) * 4
        if not episodes:
            return None
        return EpisodeMeans(int(episodes), returns / episodes, lengths / episodes, int(successes))

    def recent(self) -> Optional[EpisodeMeans]:
        """Means over the latest num_envs finished episodes or a few more; None before there are that many.

        Right after the start the short episodes finish first, so fewer would flatter or malign the policy.
        """
        means = self._means(self._window)
        return means if means is not None and means.episodes >= self._num_envs else None

    def forget_recent(self, episode_steps: int) -> None:
        """Let :meth:`recent` begin anew, since returns to come mean something else than those so far.

        Args:
            episode_steps: the most control steps of an episode. Those that run now end within as many, and count as
                little as those that have ended.
        """
        self._window.clear()
        self._wait_steps = episode_steps

    def get_state(self) -> Dict[str, List]:
        """Plain values for a checkpoint; call between iterations."""
        return {
            "window": [list(entry) for entry in self._window],
            "finished_episodes": [self.finished_episodes],
            "wait_steps": [self._wait_steps],
        }

    def set_state(self, state: Dict[str, List]) -> None:
        """Restore what ``get_state`` gave."""
        self._window = deque(tuple(entry) for entry in state["window"])
        self.finished_episodes = int(state["finished_episodes"][0])
        self._wait_steps = int(state.get("wait_steps", [0])[0])
