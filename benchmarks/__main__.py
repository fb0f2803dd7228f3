"""``python -m benchmarks``: measure, print and write docs/benchmarks.md."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import date
from importlib import metadata

from benchmarks import environment, learning, startup, viewer
from benchmarks.table import Row, markdown
from dexhand_env.files import write_text
from dexhand_env.stages.record import machine as this_machine

INTRODUCTION = """Written by `make bench`. Ratios are taken within one run, so they hold on a busy machine;
seconds are this machine's. *wanted* is what the project holds itself to.
Figures of a GPU: [benchmarks_gpu.md](benchmarks_gpu.md).
"""
PACKAGES = ("mujoco", "torch", "rl-games", "gymnasium", "snakemake", "dvc")


def isaac_gym_rows() -> list[Row]:
    """In a process of its own, which imports isaacgym before torch."""
    command = [sys.executable, "-m", "benchmarks.isaac_gym", "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [Row(**row) for row in json.loads(answer.splitlines()[-1])]


def main() -> int:
    """Run every benchmark; returns the exit code."""
    machine = this_machine()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    made = f"{date.today().isoformat()}, commit {commit.stdout.strip() or 'unknown'}"
    where = f"{machine['processor']}, {machine['cores']} cores; Python {platform.python_version()}, {versions}"
    parts = ["# Benchmarks\n", INTRODUCTION, f"{made}; {where}.\n"]
    sections = (
        ("Environment", "Control steps per second; one is 0.02 s of one world.", environment.rows),
        ("Learning", "BaseTask through the whole pipeline, one core.", learning.rows),
        ("Answering", "Medians of five runs.", startup.rows),
        ("Isaac Gym", "The adapter's own part of a control step, physics left out; one core.", isaac_gym_rows),
        ("Viewer", "A training of BaseTask in 64 worlds, watched and left alone by turns.", viewer.rows),
    )
    for title, note, rows in sections:
        print(f"{title} ...", flush=True)
        table = markdown(rows())
        print(table, flush=True)
        parts.append(f"## {title}\n\n{note}\n\n{table}")
    write_text("docs/benchmarks.md", "\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
