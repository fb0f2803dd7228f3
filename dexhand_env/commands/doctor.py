"""What this machine has for training: versions, cores, memory, GPU, browser; and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from dexhand_env.stages.record import available_cores, machine

COMPUTE = ("torch", "mujoco", "rl-games", "numpy")
PIPELINE = ("snakemake", "dvc", "altair", "viser")


def _installed(name: str) -> tuple[bool, str]:
    try:
        return True, metadata.version(name)
    except metadata.PackageNotFoundError:
        return False, "not installed: make install"


def checks() -> list[tuple[str, bool, str]]:
    """(what, whether it is as needed, what was found)."""
    found = [("Python", sys.version_info >= (3, 11), f"{platform.python_version()} (3.11 or newer is needed)")]
    found += [(name, *_installed(name)) for name in (*COMPUTE, *PIPELINE)]
    memory_gb = machine()["memory_bytes"] / 1e9
    found.append(("cores", True, str(available_cores())))
    found.append(("memory", memory_gb > 2, f"{memory_gb:.1f} GB (BaseTask needs 1 GB)"))
    free_gb = shutil.disk_usage(".").free / 1e9
    found.append(("disk here", free_gb > 1, f"{free_gb:.1f} GB free"))
    found.append(("git", shutil.which("git") is not None, shutil.which("git") or "not found; DVC needs it"))
    for folder in ("results", "runs"):
        existing = Path(folder) if os.path.lexists(folder) else Path(".")
        writable = existing.is_dir() and os.access(existing, os.W_OK)
        found.append((f"{folder}/", writable, "writable" if writable else "cannot be written to"))
    return found


def notes() -> list[str]:
    """What is optional here."""
    import torch

    from dexhand_env.report.browser import find_browser
    from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; physics and learning run on the CPU"
    warp = why_no_warp(find_driver(), 0, warp_installed()) or f"MuJoCo Warp {metadata.version('mujoco-warp')}"
    browser = find_browser() or "none; reports open in any browser"
    return [f"GPU: {gpu}", f"physics on the GPU: {warp}", f"browser for tests and screenshots: {browser}"]


def doctor() -> int:
    """Print the checks; returns 0 where all passed, else 1."""
    results = checks()
    for what, passed, found in results:
        print(f"{'ok     ' if passed else 'MISSING'} {what}: {found}")
    if all(passed for _, passed, _ in results):
        for note in notes():
            print(f"note    {note}")
        return 0
    return 1
