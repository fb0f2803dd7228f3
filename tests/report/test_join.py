"""Joining training seeds: one success rate, one interval, and a goal that no mean can hide."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.intervals import wilson_interval
from dexhand_env.report.join import JoinedCondition, joined_interval

count = st.integers(20, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(count)
def test_one_seed_is_wilson(one: tuple[int, int]) -> None:
    assert joined_interval([one]) == wilson_interval(*one)


@settings(max_examples=30, deadline=None)
@given(st.lists(count, min_size=2, max_size=5))
def test_several_seeds_are_never_surer_than_all_episodes_pooled(counts: list[tuple[int, int]]) -> None:
    low, high = joined_interval(counts)
    pooled = wilson_interval(sum(s for s, _ in counts), sum(n for _, n in counts))
    assert 0.0 <= low <= pooled[0]
    assert pooled[1] <= high <= 1.0
    assert joined_interval(counts) == (low, high)


def test_seeds_that_differ_widen_it() -> None:
    alike = joined_interval([(950, 1000), (950, 1000), (950, 1000)])
    apart = joined_interval([(1000, 1000), (950, 1000), (900, 1000)])
    assert apart[1] - apart[0] > 2.0 * (alike[1] - alike[0])


def test_agreement_of_every_episode_is_not_certainty() -> None:
    low, high = joined_interval([(50, 50), (50, 50)])
    assert high == 1.0
    assert low < 0.98


@pytest.mark.parametrize(("lows", "met"), [((0.96, 0.97), True), ((0.95, 0.99), True), ((0.949, 0.999), False)])
def test_the_goal_must_hold_for_every_seed(lows: tuple[float, float], met: bool) -> None:
    per_seed = {seed: {"interval": [low, 1.0]} for seed, low in enumerate(lows)}
    assert JoinedCondition(0.98, (0.97, 0.99), 2048, per_seed).meets(0.95) is met


def test_a_metric_is_joined_over_the_seeds_that_have_it() -> None:
    def joined(*metrics: dict[str, float | None]) -> JoinedCondition:
        return JoinedCondition(
            0.9, (0.8, 1.0), 2, {seed: {"metrics": {"x": each}} for seed, each in enumerate(metrics)}
        )

    nothing: dict[str, float | None] = {"mean": None, "largest": None}
    assert joined({"mean": 1.0, "largest": 2.0}, nothing, {"mean": 3.0, "largest": 5.0}).metric("x") == (2.0, 5.0)
    assert joined(nothing, nothing).metric("x") == (None, None)
