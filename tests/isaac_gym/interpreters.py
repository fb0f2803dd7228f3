"""Pythons with more or less of Isaac Gym, made for tests: small virtual environments that find this one's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Optional

import numpy as np

from tests.commands.programs import LIMIT_S, ROOT

VARIABLE = "DEXHAND_ISAACGYM_PYTHON"
STAND_IN = ROOT / "tests" / "stand_in"
OWN = "{}{}".format(*sys.version_info)
LIBPYTHON = "libpython3.8.so.1.0: cannot open shared object file: No such file or directory"
# In a sitecustomize.py: NVIDIA's library as it would answer; `driver` is (CUDA version, GPUs, capability), or None.
DRIVER = """
import ctypes
real, driver = ctypes.CDLL, {driver}
class Driver:
    def cuDriverGetVersion(self, found):
        found._obj.value = driver[0]
        return 0
    def cuInit(self, flags):
        return 0
    def cuDeviceGetCount(self, found):
        found._obj.value = driver[1]
        return 0
    def cuDeviceGet(self, device, number):
        return 0
    def cuDeviceGetAttribute(self, found, attribute, device):
        found._obj.value = driver[2][attribute - 75]
        return 0
def load(name, *arguments, **options):
    if name != "libcuda.so.1":
        return real(name, *arguments, **options)
    if driver is None:
        raise OSError("libcuda.so.1: cannot open shared object file")
    return Driver()
ctypes.CDLL = load
"""


def interpreter(folder: Path, with_packages: bool = True) -> Path:
    """A virtual environment of this Python in ``folder``; returns its program."""
    venv.create(folder, symlinks=True, with_pip=False)
    if with_packages:
        packages = Path(np.__file__).resolve().parent.parent
        (site_packages(folder) / "these.pth").write_text(f"{packages}\n", encoding="utf-8")
    return folder / "bin" / "python"


def site_packages(folder: Path) -> Path:
    """Where its packages lie."""
    return next((folder / "lib").glob("python3*")) / "site-packages"


def write_isaacgym(place: Path, gymapi: str = "", compiled_for: tuple[str, ...] = ()) -> None:
    """A package isaacgym.

    Args:
        place: the folder to put it into.
        gymapi: its module's code.
        compiled_for: Pythons that it has bindings for, as NVIDIA's has; none for a package without any.
    """
    package = place / "isaacgym"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "gymapi.py").write_text(gymapi, encoding="utf-8")
    for version in compiled_for:
        file = package / "_bindings" / "linux-x86_64" / f"gym_{version}.so"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def environment(folder: Path, python: Optional[Path], **variables: str) -> dict[str, str]:
    """The environment of a program: one thread, and modules of ``folder``, as a sitecustomize, before all others."""
    found = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "DEXHAND_GPUS", "CXX")}
    found.update(DEXHAND_THREADS="1", NO_COLOR="1", PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]))
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found["PATH"]])
    return {**found, **({} if python is None else {VARIABLE: str(python)}), **variables}


def run(folder: Path, environ: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in ``folder`` with an environment."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


def python38() -> Optional[str]:
    """A Python 3.8 of this machine: the one in DEXHAND_TEST_PYTHON38, on PATH, or of pyenv."""
    named = os.environ.get("DEXHAND_TEST_PYTHON38")
    of_pyenv = sorted(map(str, Path.home().glob(".pyenv/versions/3.8.*/bin/python")))
    for program in filter(None, [named, shutil.which("python3.8"), *of_pyenv]):
        answer = subprocess.run(
            [program, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if answer.stdout.strip() == b"(3, 8)":
            return program
    return None
