"""Wilson's interval against published values and the properties that any interval must have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.intervals import wilson_interval

counts = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17
        # (1998), table I, method 3 (score without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_agrees_with_published_values(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=5e-5)


@given(counts)
def test_contains_the_proportion_and_stays_in_the_unit_interval(count: tuple[int, int]) -> None:
    successes, episodes = count
    low, high = wilson_interval(successes, episodes)
    assert 0.0 <= low <= successes / episodes <= high <= 1.0
    assert low < high


@given(counts)
def test_failures_mirror_successes(count: tuple[int, int]) -> None:
    successes, episodes = count
    low, high = wilson_interval(successes, episodes)
    mirrored_low, mirrored_high = wilson_interval(episodes - successes, episodes)
    assert (mirrored_low, mirrored_high) == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)


@given(counts)
def test_one_more_success_moves_both_bounds_up(count: tuple[int, int]) -> None:
    successes, episodes = count
    if successes == episodes:
        return
    low, high = wilson_interval(successes, episodes)
    next_low, next_high = wilson_interval(successes + 1, episodes)
    assert next_low > low
    assert next_high > high or next_high == 1.0


@given(counts, st.integers(2, 10))
def test_more_episodes_of_the_same_rate_narrow_it(count: tuple[int, int], factor: int) -> None:
    low, high = wilson_interval(*count)
    narrow_low, narrow_high = wilson_interval(count[0] * factor, count[1] * factor)
    assert narrow_high - narrow_low < high - low


@given(counts)
def test_more_confidence_widens_it(count: tuple[int, int]) -> None:
    low, high = wilson_interval(*count, confidence=0.8)
    wide_low, wide_high = wilson_interval(*count, confidence=0.99)
    assert wide_low <= low
    assert high <= wide_high


@pytest.mark.parametrize(
    ("successes", "episodes", "confidence"), [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1)]
)
def test_nonsense_is_refused(successes: int, episodes: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="must"):
        wilson_interval(successes, episodes, confidence)
