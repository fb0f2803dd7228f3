"""How sure a counted success rate is.

The formula is Wilson's score interval: E. B. Wilson, "Probable inference, the law of succession, and statistical
inference", Journal of the American Statistical Association 22 (1927), pp. 209-212. Unlike the textbook interval it
keeps its coverage near 0 and 1, where success rates live, and never leaves [0, 1].
"""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided Wilson score interval of a success rate, as (low, high) with 0 <= low <= rate <= high <= 1.

    Args:
        successes: episodes that succeeded, 0 to ``episodes``.
        episodes: episodes played, at least 1.
        confidence: coverage asked for, strictly between 0 and 1.

    Raises:
        ValueError: an argument outside the range above.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, not {episodes}")
    if not 0 <= successes <= episodes:
        raise ValueError(f"successes must lie in 0..{episodes}, not {successes}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    rate = successes / episodes
    shrink = 1.0 + z * z / episodes
    centre = (rate + z * z / (2.0 * episodes)) / shrink
    half_width = z / shrink * math.sqrt(rate * (1.0 - rate) / episodes + (z / (2.0 * episodes)) ** 2)
    # The formula meets 0 and 1 exactly at the ends; rounding must not push a bound past them or past the rate.
    low = 0.0 if successes == 0 else min(rate, max(0.0, centre - half_width))
    high = 1.0 if successes == episodes else max(rate, min(1.0, centre + half_width))
    return low, high
