"""Runs train.py and dexhand as a user does, in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tomllib

LIMIT_S = 900
ROOT = Path(__file__).resolve().parent.parent.parent


def run(folder: Path, *command: str, installed: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with the arguments in ``folder``; no terminal, one thread, no GPU.

    Packages in ``installed`` are found too.
    """
    return _run(folder, [sys.executable, *command], [installed, ROOT])


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line as bash does, with this Python first on PATH and the package of ``folder``, if it has one."""
    return _run(folder, ["bash", "-c", command], [folder, ROOT])


def _run(folder: Path, command: list[str], python_path: list[Path]) -> subprocess.CompletedProcess[str]:
    environment = _environment(python_path)
    # A program that should have been refused, and trains instead, must not stop the other tests.
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )


def _environment(python_path: list[Path]) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(str(path) for path in python_path),
        "DEXHAND_THREADS": "1",
        "NO_COLOR": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def train(folder: Path, *options: str, installed: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """``python train.py <options>``."""
    return run(folder, str(ROOT / "train.py"), *options, installed=installed)


def start_train(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The same in the background."""
    command = [sys.executable, str(ROOT / "train.py"), *options]
    environment, pipe = _environment([ROOT]), subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=pipe, stderr=pipe)


def files(folder: Path) -> dict[str, bytes]:
    """Content of every file below, by its path; folders have a slash and no content."""
    return {
        path.relative_to(folder).as_posix() + ("/" if path.is_dir() else ""): b""
        if path.is_dir()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def dexhand(folder: Path, *arguments: str, installed: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The console script, as pyproject.toml names it."""
    with (ROOT / "pyproject.toml").open("rb") as stream:
        module, function = tomllib.load(stream)["project"]["scripts"]["dexhand"].split(":")
    code = f"import sys; sys.argv[0] = 'dexhand'; from {module} import {function}; sys.exit({function}())"
    return run(folder, "-c", code, *arguments, installed=installed)
