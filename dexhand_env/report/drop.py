"""Success lost between two simulations: from the physics of training to the finer reference physics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TRAINING, REFERENCE = "training", "reference"
ROUNDING = 1e-9  # a drop as large as the allowed one is allowed


@dataclass(frozen=True)
class Drop:
    """What one training seed loses.

    Args:
        seed: the training seed.
        training, reference: its success rates under these conditions.
        allowed: how much of the rate may be lost, as a fraction.
    """

    seed: int
    training: float
    reference: float
    allowed: float

    @property
    def lost(self) -> float:
        """The fraction of all episodes; negative where the reference physics is the easier one."""
        return self.training - self.reference

    @property
    def is_allowed(self) -> bool:
        """Whether no more is lost than may be."""
        return self.lost <= self.allowed + ROUNDING


def largest_drop(rates: Mapping[str, Mapping[int, float]], allowed: float) -> Drop | None:
    """The drop of the seed that loses most, so that a good mean does not hide a bad seed.

    Args:
        rates: success rates by condition and training seed.
        allowed: see :class:`Drop`.

    Returns:
        None where the policy was not tested under both conditions.
    """
    if not {TRAINING, REFERENCE} <= rates.keys():
        return None
    drops = [Drop(seed, rate, rates[REFERENCE][seed], allowed) for seed, rate in rates[TRAINING].items()]
    return max(drops, key=lambda drop: drop.lost)
