"""The test of difference, against figures worked out by hand or published, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.intervals import wilson_interval
from dexhand_env.report.difference import Counted, difference_of, holm, permutation_p_value, score_p_value

COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def counted(*counts: tuple[int, int]) -> Counted:
    successes, episodes = (sum(column) for column in zip(*counts, strict=True))
    return Counted(successes / episodes, wilson_interval(successes, episodes), counts)


def test_newcombes_example() -> None:
    """Newcombe 1998, table II, example (a), method 10: 56/70 - 48/80 = 0.2, interval 0.0524 to 0.3339."""
    low, high = difference_of(counted((48, 80)), counted((56, 70))).interval
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_pearsons_test_by_hand() -> None:
    """Chi-squared of ((48, 32), (56, 14)) is 7.0312 with one degree of freedom: p = 0.0080."""
    assert score_p_value((48, 80), (56, 70)) == pytest.approx(0.0080, abs=1e-4)


@given(COUNTS, COUNTS)
@settings(deadline=None)
def test_the_other_way_round_it_is_the_negative(a: tuple[int, int], b: tuple[int, int]) -> None:
    there, back = difference_of(counted(a), counted(b)), difference_of(counted(b), counted(a))
    assert there.difference == pytest.approx(-back.difference)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.p_value == pytest.approx(back.p_value)
    assert 0.0 <= there.p_value <= 1.0
    assert there.interval[0] <= there.difference <= there.interval[1]


def test_seeds_are_exchanged_where_there_are_several() -> None:
    good, bad = ((99, 100), (98, 100), (97, 100)), ((60, 100), (50, 100), (70, 100))
    difference = difference_of(counted(*bad), counted(*good))
    assert difference.test == "seeds exchanged"
    assert difference.p_value == pytest.approx(2 / 20)  # of the 20 ways this one and its reverse are as far apart
    assert permutation_p_value([0.5, 0.5], [0.5, 0.5]) == 1.0


def test_many_seeds_are_drawn_and_equal_inputs_give_equal_values() -> None:
    random = np.random.default_rng(1)
    first, second = random.random(12).tolist(), (random.random(12) + 0.5).tolist()
    p = permutation_p_value(first, second)
    assert p == permutation_p_value(first, second)
    assert 0.0 < p < 0.01


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
