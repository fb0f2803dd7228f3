"""What learning BaseTask cost, read from the records of the pipeline's last run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from benchmarks.table import Row

RESULTS = Path("results/BaseTask")


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows() -> list[Row]:
    """One row for each figure; none before the pipeline has run."""
    table = []
    for folder in sorted(RESULTS.glob("seed*")):
        if not (folder / "stages" / "evaluate.json").is_file():
            continue
        selection, evaluation = _json(folder / "selection.json"), _json(folder / "evaluation.json")
        chosen = next(c for c in selection["candidates"] if c["checkpoint"] == selection["chosen"])
        with (folder / "history.csv").open(newline="", encoding="utf-8") as stream:
            history = {int(row["iteration"]): row for row in csv.DictReader(stream)}
        seconds = float(history[chosen["iteration"]]["cpu_seconds"])
        stages = {name: _json(folder / "stages" / f"{name}.json") for name in ("train", "select", "evaluate")}
        threads = stages["train"]["threads"]
        what = f"BaseTask, {folder.name}, {threads} thread{'s' * (threads > 1)}"
        for condition, result in evaluation["conditions"].items():
            low, high = result["interval"]
            figures = f"{result['successes']} of {result['episodes']} episodes, interval [{low:.4f}, {high:.4f}]"
            wanted = "lower bound 0.96" if condition == "training" else "-"
            table.append(Row(f"{what}: success, {condition} physics", figures, f"{result['success_rate']:.4f}", wanted))
        frames = f"{selection['chosen']}, {chosen['frames']:,} frames"
        table.append(
            Row(f"{what}: training until the chosen checkpoint", frames, f"{seconds:.1f} s of CPU", "at most 120")
        )
        memory = max(stage["peak_memory_bytes"] for stage in stages.values()) / 1e6
        table.append(Row(f"{what}: peak memory of a stage", "largest process", f"{memory:.0f} MB", "under 1,000 MB"))
        total = sum(stage["seconds"] for stage in stages.values())
        parts = ", ".join(f"{name} {stage['seconds']:.0f} s" for name, stage in stages.items())
        table.append(Row(f"{what}: train + select + evaluate", parts, f"{total:.0f} s wall", "whole DAG under 300 s"))
    return table
