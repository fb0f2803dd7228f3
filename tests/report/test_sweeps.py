"""Tests of one policy grouped by what they vary, and the colours of the heat map."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.report.charts import sweep_curve
from dexhand_env.report.heat import CIVIDIS, heat_style, luminance
from dexhand_env.report.join import JoinedCondition
from dexhand_env.report.records import Difference
from dexhand_env.report.sweeps import Sweep, sweeps

CONDITIONS = {
    "training": JoinedCondition(0.9, (0.85, 0.95), 100, {}),
    "reference": JoinedCondition(0.8, (0.7, 0.9), 100, {}),
}


def grouped(**changes: dict[str, tuple[Any, Any]]) -> list[Sweep]:
    """The rows for variants that change keys from a default to a value, (default, value)."""
    recorded = {
        name: [Difference(key=f"env.{key}", default=old, value=new) for key, (old, new) in each.items()]
        for name, each in changes.items()
    }
    joined = {name: JoinedCondition(0.5, (0.4, 0.6), 100, {}) for name in changes}
    return sweeps(CONDITIONS, joined, recorded, "training")


def labels(sweep: Sweep) -> list[str]:
    return [test.label + "*" * test.trained for test in sweep.tests]


def test_one_changed_setting_is_a_row_in_the_order_of_its_numbers() -> None:
    rows = grouped(rough={"object.friction": (1.0, 1.5)}, slippery={"object.friction": (1.0, 0.3)})
    assert [row.key for row in rows] == ["physics", "object.friction"]
    assert labels(rows[0]) == ["training*", "reference"]
    assert labels(rows[1]) == ["0.3", "1*", "1.5"]
    assert rows[1].trained == (1.0, 1.0)
    assert rows[1].is_curve


def test_a_range_that_is_one_number_is_that_number_and_a_trained_range_a_band() -> None:
    key = "randomisation.object_size_m"
    rows = grouped(small={key: ([0.04, 0.07], [0.03, 0.03])}, large={key: ([0.04, 0.07], [0.08, 0.08])})
    assert labels(rows[1]) == ["0.03", "0.04–0.07*", "0.08"]
    assert rows[1].trained == (0.04, 0.07)
    assert [test.value for test in rows[1].tests] == [0.03, None, 0.08]


def test_what_is_no_number_goes_by_its_name_and_what_changes_more_stands_apart() -> None:
    rows = grouped(
        ball={"object.shape": ("cube", "sphere")},
        calm={"randomisation.pushes.every_s": ([1, 2], None), "randomisation.pushes.base_m_per_s": (0.1, None)},
        heavy={"object.mass_kg": (0.1, 0.3), "object.friction": (1.0, 0.5)},
    )
    assert {row.key: labels(row) for row in rows[1:]} == {
        "object.shape": ["cube*", "ball"],
        "randomisation.pushes": ["as trained*", "calm"],
        "several settings": ["heavy"],
    }
    assert not any(row.is_curve for row in rows)
    assert all(sweep_curve(row, 0.9) is None for row in rows)


@pytest.mark.parametrize("default", [1.0, [0.8, 1.2], None])
def test_a_curve_has_every_number_with_its_interval_and_marks_what_was_trained(default: Any) -> None:
    rows = grouped(low={"friction": (default, 0.2)}, high={"friction": (default, 2)})
    chart = sweep_curve(rows[1], 0.95)
    assert chart is not None
    points = [row for rows in chart.spec["datasets"].values() for row in rows] if "datasets" in chart.spec else []
    text = str(chart.spec) + str(points)
    assert "'low': 0.4" in text
    assert "'high': 0.6" in text
    assert ("'low': 0.8, 'high': 1.2" in text) == (default == [0.8, 1.2])
    assert "0.2: 50\u00a0%" in chart.summary


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.95))
def test_text_is_readable_on_every_colour_of_the_heat_map(rate: float, lowest: float) -> None:
    style = heat_style(rate, lowest)
    found = re.fullmatch(r"background:rgb\((\d+) (\d+) (\d+)\);color:#(000|fff)", style)
    assert found
    behind = luminance([float(part) for part in found.groups()[:3]])
    light, dark = (1.0, behind) if found[4] == "fff" else (behind, 0.0)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_the_heat_map_grows_lighter_with_success() -> None:
    lightness = [luminance(colour) for colour in CIVIDIS]
    assert lightness == sorted(lightness)
