"""What the evaluation says of a task's metrics, without playing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dexhand_env.rl.play import EpisodeTable
from dexhand_env.stages.evaluate import summarise


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        ([1.0, 2.0], {"mean": 1.5, "largest": 2.0}),
        ([np.nan, 2.0], {"mean": 2.0, "largest": 2.0}),  # such as force over contacts, where nothing was touched
        ([np.nan, np.inf], {"mean": None, "largest": None}),
    ],
)
def test_a_metric_without_a_value_in_some_episodes_is_of_the_others(
    values: list[float], summary: dict[str, float | None]
) -> None:
    table = EpisodeTable(
        seeds=np.arange(2),
        success=np.array([True, False]),
        outcomes=np.array(["success", "timeout"]),
        returns=np.zeros(2),
        lengths=np.ones(2),
        metrics={"mine": np.array(values)},
        nan_resets=0,
        contact_overflows=0,
    )
    found = summarise(table, {})
    json.dumps(found, allow_nan=False)
    assert found["metrics"] == {"mine": summary}
