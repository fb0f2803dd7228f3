"""What learning BaseTask costs: the whole pipeline, run from a fresh clone on one core."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.startup import own_environment
from benchmarks.table import Row

PIPELINE = ["snakemake", "--cores", "1", "results/BaseTask/report.html"]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _timed(folder: Path) -> float:
    """Wall seconds of the pipeline in ``folder``.

    Raises:
        CalledProcessError: it failed; its output goes to the console.
    """
    clock = time.perf_counter()
    # The clone's own packages come first, whatever is installed.
    environment = {**own_environment(), "PYTHONPATH": str(folder)}
    subprocess.run(PIPELINE, cwd=folder, env=environment, stdout=sys.stderr, check=True)
    return time.perf_counter() - clock


def rows() -> list[Row]:
    """The pipeline of HEAD: its whole time, its time with nothing to do, and what its records say."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", os.getcwd(), str(folder)], check=True)
        whole, nothing = _timed(folder), min(_timed(folder) for _ in range(3))
        table = [
            Row(
                "`" + " ".join(PIPELINE) + "`, fresh clone",
                "wall, all tools and imports",
                f"{whole:.0f} s",
                "under 300 s",
            ),
            Row("the same with nothing to do", "wall, best of three", f"{nothing:.1f} s", "under 5 s"),
        ]
        for seed in sorted((folder / "results/BaseTask").glob("seed*")):
            table += _seed_rows(seed)
    return table


def _seed_rows(folder: Path) -> list[Row]:
    selection, evaluation = _json(folder / "selection.json"), _json(folder / "evaluation.json")
    chosen = next(c for c in selection["candidates"] if c["checkpoint"] == selection["chosen"])
    with (folder / "history.csv").open(newline="", encoding="utf-8") as stream:
        history = {int(row["iteration"]): row for row in csv.DictReader(stream)}
    cost = f"{float(history[chosen['iteration']]['cpu_seconds']):.1f} s of CPU"
    stages = [_json(folder / "stages" / f"{name}.json") for name in ("train", "select", "evaluate")]
    memory = max(stage["peak_memory_bytes"] for stage in stages) / 1e6
    table = []
    for condition, result in evaluation["conditions"].items():
        low, high = result["interval"]
        figures = f"{result['successes']} of {result['episodes']} episodes, interval [{low:.4f}, {high:.4f}]"
        wanted = "lower bound 0.96" if condition == "training" else "-"
        table.append(
            Row(f"{folder.name}: success, {condition} physics", figures, f"{result['success_rate']:.4f}", wanted)
        )
    frames = f"{selection['chosen']}, {chosen['frames']:,} frames"
    table.append(Row(f"{folder.name}: training until the chosen checkpoint", frames, cost, "at most 120"))
    table.append(Row(f"{folder.name}: peak memory", "largest stage", f"{memory:.0f} MB", "under 1,000 MB"))
    return table
