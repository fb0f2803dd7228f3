"""Whether two experiments differ: the difference of their success rates with an interval, and a test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

MOST_SPLITS = 20_000


@dataclass(frozen=True)
class Counted:
    """One experiment under one condition: joined rate and 95 % interval, and (successes, episodes) of each seed."""

    success_rate: float
    interval: tuple[float, float]
    counts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Difference:
    """Second minus first: the difference, its 95 % interval, the p-value, and which test gave that."""

    difference: float
    interval: tuple[float, float]
    p_value: float
    test: str


def difference_of(first: Counted, second: Counted) -> Difference:
    """How much more often the second succeeds.

    The interval is made of those of the two rates, by squaring and adding the distances to their bounds: R. G.
    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), pp. 873-890, method 10. Where each has several seeds their intervals hold the spread between
    seeds, and so does it.
    """
    p, q = first.success_rate, second.success_rate
    low = q - p - math.hypot(q - second.interval[0], first.interval[1] - p)
    high = q - p + math.hypot(second.interval[1] - q, p - first.interval[0])
    if len(first.counts) > 1 and len(second.counts) > 1:
        p_value = permutation_p_value(_rates(first), _rates(second))
        return Difference(q - p, (low, high), p_value, "seeds exchanged")
    return Difference(
        q - p, (low, high), score_p_value(_pooled(first), _pooled(second)), "episodes, of these seeds alone"
    )


def _rates(tested: Counted) -> list[float]:
    return [successes / episodes for successes, episodes in tested.counts]


def _pooled(tested: Counted) -> tuple[int, int]:
    return sum(successes for successes, _ in tested.counts), sum(episodes for _, episodes in tested.counts)


def score_p_value(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Two-sided p-value of Pearson's test that two success rates are equal, from (successes, episodes) of each."""
    (a, n), (b, m) = first, second
    rate = (a + b) / (n + m)
    if rate in (0.0, 1.0):
        return 1.0
    z = (b / m - a / n) / math.sqrt(rate * (1.0 - rate) * (1.0 / n + 1.0 / m))
    return 2.0 * NormalDist().cdf(-abs(z))


def permutation_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value of the difference of means of seeds, over the ways of dividing all seeds into such groups.

    All ways where there are at most :data:`MOST_SPLITS`, so that the p-value is exact; else as many drawn ones. Few
    seeds cannot give a small one: 3 and 3 give 0.1 at least.
    """
    values, size = np.array([*first, *second]), len(first)
    observed = abs(values[size:].mean() - values[:size].mean()) - 1e-12
    if math.comb(len(values), size) <= MOST_SPLITS:
        chosen = np.array(list(itertools.combinations(range(len(values)), size)))
    else:
        random = np.random.default_rng(0)
        drawn = [random.permutation(len(values))[:size] for _ in range(MOST_SPLITS - 1)]
        chosen = np.array([np.arange(size), *drawn])
    sums = values[chosen].sum(axis=1)
    gaps = np.abs((values.sum() - sums) / (len(values) - size) - sums / size)
    return float((gaps >= observed).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, adjusted so that 5 % is the risk of any false one: S. Holm, 1979."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
