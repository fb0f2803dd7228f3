"""Weighted sum of named reward terms."""

from __future__ import annotations

import dataclasses
import functools
from typing import Dict, Mapping, Sequence

import torch

from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.task import Task
from dexhand_env.errors import UserError

#: Terms that every task has; no task may have one of its own by these names.
EVERY_TASKS = ("action_rate", "success")


@dataclasses.dataclass(frozen=True)
class RewardTerms:
    """Rewards of one step: terms before and after weighting, and their sum (float32), each (num_envs,).

    A term whose weight is 0 is in ``raw`` as it is, and nothing in ``weighted`` and the sum, whatever its value.
    """

    raw: Dict[str, torch.Tensor]
    weighted: Dict[str, torch.Tensor]
    total: torch.Tensor


class RewardSum:
    """The task's terms and two that every task has: ``action_rate`` and ``success``.

    - ``action_rate``: mean squared change of the action since the last step;
    - ``success``: 1 in the step that ends an episode in success.

    Args:
        weights: one for each term, from the task's YAML.
        task: gives the terms.
        hand: gives the actions.
    """

    def __init__(self, weights: Mapping[str, float], task: Task, hand: RobotHand) -> None:
        self._task = task
        self._hand = hand
        self.use(weights)

    def use(self, weights: Mapping[str, float]) -> None:
        """Weigh by these from now on."""
        self._weights = dict(weights)

    def check(self, terms: Sequence[str]) -> None:
        """Compare the names of the task's terms with the weights.

        Raises:
            UserError: a term without a weight, a weight without a term, or nothing to sum.
        """
        known = {*terms, *EVERY_TASKS}
        for name in sorted(set(self._weights) - known):
            raise UserError(f"rewards.{name}", "no reward term has this name", ", ".join(sorted(known)))
        for name in sorted(known - set(self._weights) - set(EVERY_TASKS)):
            raise UserError(
                f"rewards.{name}", "missing: compute_task_rewards() returns this term", "a weight (a number)"
            )
        if not known & set(self._weights):
            raise UserError("rewards", "no term has a weight", ", ".join(sorted(known)))

    def _terms(self, success: torch.Tensor) -> Dict[str, torch.Tensor]:
        terms = dict(self._task.compute_task_rewards())
        terms["action_rate"] = (self._hand.actions - self._hand.previous_actions).square().mean(dim=-1)
        terms["success"] = success.to(torch.float32)
        return terms

    def compute(self, success: torch.Tensor) -> RewardTerms:
        """Rewards of the last step.

        Args:
            success: worlds whose episode ends in success, (num_envs,) bool.

        Raises:
            UserError: a term that was there when the environment was made and is gone.
        """
        raw = {name: term for name, term in self._terms(success).items() if name in self._weights}
        if len(raw) != len(self._weights):
            gone = ", ".join(sorted(set(self._weights) - set(raw)))
            raise UserError(
                f"rewards.{gone}", "compute_task_rewards() does not return this term any more", "every term"
            )
        # Not 0 * term, which is NaN where the term is not finite.
        weighted = {
            name: self._weights[name] * term if self._weights[name] else torch.zeros_like(term)
            for name, term in raw.items()
        }
        # One after another: the order in which sum() adds the terms depends on the number of worlds.
        total = functools.reduce(torch.add, weighted.values())
        return RewardTerms(raw, weighted, total.to(torch.float32))
