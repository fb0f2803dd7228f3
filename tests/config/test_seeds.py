"""Seeds that serve one purpose only."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.seeds import check_name, first_free, load_seeds
from dexhand_env.errors import UserError

RANGES = st.builds(lambda start, length: range(start, start + length), st.integers(0, 30), st.integers(1, 8))


@given(RANGES, st.lists(RANGES, max_size=5))
def test_the_first_free_start_is_the_smallest_one_that_is_free(seeds: range, taken: List[range]) -> None:
    used = {seed for one in taken for seed in one}
    expected = next(start for start in range(seeds.start, 200) if used.isdisjoint(range(start, start + len(seeds))))
    assert first_free(seeds, taken) == expected


def test_the_map_lists_each_experiments_seeds(tmp_path: Path) -> None:
    (tmp_path / "experiments.yaml").write_text("BaseTask: [42]\nsecond-try_2: [0, 1, 2]\n")
    assert load_seeds(tmp_path) == {"BaseTask": (42,), "second-try_2": (0, 1, 2)}


@pytest.mark.parametrize(
    ("line", "place", "complaint"),
    [
        ("A: []", ":1:1: A", "found a list of 0 items"),
        ("A: 42", ":1:1: A", "found 42"),
        ("A: [1, -1]", ":1:8: A[1]", "found -1"),
        ("A: [1.5]", ":1:5: A[0]", "found 1.5"),
        ("A: [true]", ":1:5: A[0]", "found true"),
        ("A: [1, 2, 1]", ":1:11: A[2]", "found 1 for the second time"),
        ("A: [2147483648]", ":1:5: A[0]", "found 2147483648"),
        ("../A: [1]", ":1:1: ../A", "found '../A'"),
        ("experiments: [1]", ":1:1: experiments", "found 'experiments'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, place: str, complaint: str) -> None:
    (tmp_path / "experiments.yaml").write_text(line)
    with pytest.raises(UserError) as raised:
        load_seeds(tmp_path)
    assert f"experiments.yaml{place}: {complaint}" in str(raised.value)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x\n", "a.b", "é", "x" * 81, "experiments"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="a name of letters, digits"):
        check_name(name, "experiment")
