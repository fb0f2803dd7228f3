"""Tells a training that has diverged: a number that is none any more, or an update that threw the policy far away."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

import torch
from rl_games.algos_torch.torch_ext import policy_kl

from dexhand_env.rl.checkpoint import good_iteration, last_good_checkpoint

# How far an iteration may move the policy: KL divergence from the one that acted to the updated one, in nats. Measured
# on BaseTask: at most 0.25 in the training of configs/BaseTask.yaml, and 6.6 with ten times its learning rate. With a
# learning rate of 1, 1e4 to 1e14.
MAX_POLICY_SHIFT = 1e3
# Mean square of the values where they are normalised. rl_games cuts normalised returns to [-5, 5], so 25 is what values
# could reach that are all as large as returns can be.
MAX_SQUARED_VALUE = 1e4
# What a rollout holds, in the order in which one thing follows from another within a step.
ROLLOUT = {
    "obses": "an observation",
    "states": "an observation of the critic",
    "mus": "the policy's mean",
    "sigmas": "the policy's standard deviation",
    "actions": "an action",
    "rewards": "a reward",
}


class TrainingDiverged(Exception):
    """A number is not finite or out of all bounds; no checkpoint holds it.

    Args:
        what: is wrong, e.g. ``policy_loss is nan``.
        iteration: in which it was found; checkpoints of earlier ones are good.
    """

    def __init__(self, what: str, iteration: int) -> None:
        super().__init__(what, iteration)
        self.iteration = iteration

    def __str__(self) -> str:
        return f"{self.args[0]} in iteration {self.iteration}"


def divergence_message(error: TrainingDiverged, folder: Path, resumed_from: Optional[Path]) -> str:
    """The line for the user, with the last checkpoint of the run, or the one it went on from, that is good.

    Args:
        error: what happened.
        folder: the run folder.
        resumed_from: the checkpoint that the run went on from.
    """
    good = last_good_checkpoint(folder / "nn", error.iteration)
    if good is None and resumed_from is not None and good_iteration(resumed_from) is not None:
        good = resumed_from
    where = f"last good checkpoint: {good}" if good else "no good checkpoint had been written before"
    return f"training diverged: {error}; {where}"


def first_not_finite(tensors: Iterable[Tuple[str, torch.Tensor]]) -> Optional[str]:
    """The name of the first tensor with a NaN or infinity in it, None where all numbers are finite."""
    finite = [(name, torch.isfinite(values).all()) for name, values in tensors]
    if not finite:
        return None
    # Asked for at once, since a GPU is waited for each time.
    answers = torch.stack([answer for _, answer in finite]).tolist()
    return next((name for (name, _), answer in zip(finite, answers) if not answer), None)


def not_finite(
    losses: Mapping[str, float],
    rollout: Mapping[str, torch.Tensor],
    learned: Iterable[Tuple[str, torch.Tensor]],
    terms: Sequence[str] = (),
) -> Optional[str]:
    """What an iteration made NaN or infinite, as near to the cause as can be told; None where nothing.

    Args:
        losses: of the iteration, by name.
        rollout: rl_games' tensors by name, each (steps, worlds, ...).
        learned: weights, normalisers and the optimizer's moments by name, after the last update.
        terms: of the reward that are not finite, see :func:`terms_not_finite`.
    """
    for name, loss in losses.items():
        if not isfinite(loss):
            return first_in_rollout(rollout, terms) or f"{name} is {loss}"
    # The losses are those before the last update, which may have broken the weights all the same.
    broken = first_not_finite(learned)
    return broken and f"{broken} is not finite"


def first_in_rollout(rollout: Mapping[str, torch.Tensor], terms: Sequence[str] = ()) -> Optional[str]:
    """What became NaN or infinite first in a rollout, None where nothing did; arguments as of :func:`not_finite`."""
    found = []
    for order, (name, words) in enumerate(ROLLOUT.items()):
        if name in rollout:
            broken = (~torch.isfinite(rollout[name])).flatten(start_dim=2).any(dim=2).nonzero()
            if len(broken):
                step, world = broken[0].tolist()
                cause = f"the term {' and '.join(terms)}: " if name == "rewards" and terms else ""
                found.append((step, order, f"{cause}{words} is not finite (step {step}, world {world})"))
    return min(found)[2] if found else None


def terms_not_finite(row: Mapping[str, float]) -> List[str]:
    """The terms of the reward whose weighted mean in a row of the history is NaN or infinite."""
    means = ((*name.partition("/"), value) for name, value in row.items())
    return [term for column, _, term, value in means if column == "reward" and not isfinite(value)]


def explosion(model: Any, rollout: Mapping[str, torch.Tensor], normalised: bool) -> Optional[str]:
    """What an update has thrown out of all bounds though it is finite, None where nothing.

    The updated network is asked about the rollout's last step; no random numbers are drawn, so training goes on as it
    would have.

    Args:
        model: rl_games' model after the update.
        rollout: what the model before the update did.
        normalised: whether values are.
    """
    model.eval()
    with torch.no_grad():
        seen = model.norm_obs(rollout["obses"][-1])
        mean, log_deviation, values, _ = model.a2c_network({"obs": seen, "is_train": False})
    shift = float(policy_kl(mean, torch.exp(log_deviation), rollout["mus"][-1], rollout["sigmas"][-1]))
    if not shift < MAX_POLICY_SHIFT:
        return f"the update moved the policy by {shift:.1e} nats (KL divergence, at most {MAX_POLICY_SHIFT:g})"
    squared = float(values.square().mean())
    if normalised and not squared < MAX_SQUARED_VALUE:
        return f"the mean square of the values is {squared:.1e} (normalised, at most {MAX_SQUARED_VALUE:g})"
    return None
