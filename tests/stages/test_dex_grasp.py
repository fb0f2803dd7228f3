"""A task with an object goes through the stages to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from dexhand_env.report.episodes import read_replays
from dexhand_env.stages.report import write_report

from .pipeline import FOLDER, NAME, SMALL, inside, run_all, write_configs

METRICS = ("target_distance_m", "largest_fingertip_force_n", "deepest_penetration_m", "deepest_hand_penetration_m")
SHAPES = ("sphere", "cylinder")
TINY: dict[str, Any] = {
    "env": {
        "episode_length_steps": 12,
        "success": {"hold_steps": 3},
        "randomisation": {"object_shapes": ["cube", "sphere", "cylinder", "box"], "object_size_m": [0.04, 0.08]},
    },
    "train": SMALL["train"],
    "selection": {"episodes": 4},
    # Its variants of one shape, where the training draws shapes.
    "evaluation": {"episodes": 4, "variants": {name: {"randomisation": {"object_shapes": None}} for name in SHAPES}},
}


def test_an_object_is_trained_with_tested_and_shown(tmp_path: Path) -> None:
    write_configs(tmp_path, "DexGrasp", TINY)
    run_all(tmp_path)
    evaluation = json.loads((tmp_path / FOLDER / "evaluation.json").read_text())
    assert list(evaluation["conditions"]) == ["training", "reference"]
    assert len(evaluation["variants"]) == 8
    episodes = parquet.read_table(tmp_path / FOLDER / "episodes.parquet")
    assert tuple(episodes.schema.names[7:]) == METRICS
    assert episodes.num_rows == 4 * 10
    for test in (*evaluation["conditions"].values(), *evaluation["variants"].values()):
        assert tuple(test["metrics"]) == METRICS
        assert test["metrics"]["deepest_penetration_m"]["mean"] > 0.0
    replays = read_replays(tmp_path / FOLDER / "replays.npz")
    sizes_m = [replay.objects["object"][1] for replay in replays.episodes]
    assert len(set(sizes_m)) == len(sizes_m)  # each replay shows its episode's own object
    for replay, size_m in zip(replays.episodes, sizes_m):
        object_positions = replay.positions_m[:, replays.body_names.index("object")]
        np.testing.assert_allclose(object_positions[:, 2], size_m[-1], atol=2e-3)
        # The marked target is the one that the episode's own distance is from.
        assert replay.target_m is not None
        left_m = np.linalg.norm(object_positions[-1] - replay.target_m[-1])
        assert left_m == pytest.approx(episodes["target_distance_m"][replay.episode].as_py(), abs=1e-6)
    with inside(tmp_path):
        assert write_report(Path("results") / NAME) == []
        page = (Path("results") / NAME / "report.html").read_text(encoding="utf-8")
    assert "the green ball marks the target" in page
    assert "In other circumstances" in page
    for name, variant in evaluation["variants"].items():
        assert name in page
        assert variant["changes"][0]["key"].removeprefix("env.") in page
    assert "deepest penetration (m)" in page
