"""Curves over several training seeds."""

from __future__ import annotations

from typing import Any

from dexhand_env.report.charts import MEAN, compared_curve, learning_curve
from dexhand_env.report.records import History

FRAMES: list[float | None] = [100.0, 200.0, 300.0]
SEEDS = {
    seed: History({"frames": FRAMES, "seconds": [1.0, 2.0, 3.0], "return": [float(seed), 2.0 * seed, None]})
    for seed in (1, 2, 6)
}


def drawn(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows of a chart's data."""
    return [row for rows in spec["datasets"].values() for row in rows]


def test_several_seeds_are_thin_lines_under_their_mean_with_a_band() -> None:
    chart = learning_curve(SEEDS, "return", "Return")
    assert chart is not None
    assert [name for name, _ in chart.legend] == [MEAN, "seed 1", "seed 2", "seed 6"]
    rows = [row for row in drawn(chart.spec) if row.get("series") == MEAN]
    found = {(row["frames"], row["value"], row["low"], row["high"]) for row in rows}
    assert found == {(100, 3.0, 1.0, 6.0), (200, 6.0, 2.0, 12.0)}
    assert "area" in str(chart.spec)


def test_where_a_seed_has_no_value_there_is_no_mean() -> None:
    shorter = History({"frames": FRAMES, "return": [5.0, None, None]})
    chart = learning_curve({**SEEDS, 9: shorter}, "return", "Return")
    assert chart is not None
    assert [row["frames"] for row in drawn(chart.spec) if row["series"] == MEAN] == [100]


def test_one_seed_is_a_line_alone() -> None:
    chart = learning_curve({1: SEEDS[1]}, "return", "Return")
    assert chart is not None
    assert chart.legend == []
    assert "area" not in str(chart.spec)


def test_experiments_side_by_side_have_bands_of_their_seeds() -> None:
    chart = compared_curve({"A": SEEDS, "B": {1: SEEDS[1]}}, "return", "Return")
    assert chart is not None
    rows = drawn(chart.spec)
    assert {row["series"] for row in rows if "low" in row} == {"A"}
