"""Runs train.py and dexhand as a user does, in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent.parent


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments in ``folder``; no terminal, one thread, no GPU."""
    settings = {"PYTHONPATH": str(ROOT), "DEXHAND_THREADS": "1", "NO_COLOR": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = {**os.environ, **settings}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """``python train.py <options>``."""
    return run(folder, str(ROOT / "train.py"), *options)


def files(folder: Path) -> dict[str, bytes]:
    """Content of every file below, by its path; folders have a slash and no content."""
    return {
        path.relative_to(folder).as_posix() + ("/" if path.is_dir() else ""): b""
        if path.is_dir()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def dexhand(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The console script, as pyproject.toml names it."""
    with (ROOT / "pyproject.toml").open("rb") as stream:
        module, function = tomllib.load(stream)["project"]["scripts"]["dexhand"].split(":")
    code = f"import sys; sys.argv[0] = 'dexhand'; from {module} import {function}; sys.exit({function}())"
    return run(folder, "-c", code, *arguments)
