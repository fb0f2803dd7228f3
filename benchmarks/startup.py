"""How long the commands take to answer."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.table import Row

RUNS = 5
BIN = Path(sys.executable).parent


def own_environment() -> dict[str, str]:
    """The environment with this Python's programs first, for an unactivated virtual environment."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}


def _median_seconds(command: list[str]) -> tuple[float, float]:
    """Medians of processor and wall seconds over a few runs, after one that warms the file cache.

    Raises:
        RuntimeError: the command failed.
    """
    processor, wall = [], []
    for _ in range(RUNS + 1):
        before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True, env=own_environment(), check=False)
        wall.append(time.perf_counter() - clock)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed: {result.stderr[-500:]}")
    return statistics.median(processor[1:]), statistics.median(wall[1:])


def rows() -> list[Row]:
    """Help texts."""
    table = []
    for name, command in (
        ("train.py --help", [sys.executable, "train.py", "--help"]),
        ("dexhand --help", [str(BIN / "dexhand"), "--help"]),
    ):
        processor, wall = _median_seconds(command)
        table.append(Row(f"`{name}`", f"{wall:.2f} s wall", f"{processor:.2f} s of CPU", "under 0.5 s of CPU"))
    return table
