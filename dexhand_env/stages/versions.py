"""Which packages a stage computes with, and their versions."""

from __future__ import annotations

import contextlib
import re
import sys
from importlib import metadata
from pathlib import Path

# What `make lock` writes; beside the package in a checkout, and not in an installed one.
COMPUTE_LOCK = Path(__file__).resolve().parents[2] / "requirements" / "compute.txt"
COMPUTE_PACKAGES = ("gymnasium", "mujoco", "numpy", "pyarrow", "pydantic", "pyyaml", "rl-games", "torch")
# What else decides a result, by the module whose import says that it was used.
GPU_PACKAGES = {"mujoco_warp": "mujoco-warp", "warp": "warp-lang"}


def computing_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on, and of Warp where it was used."""
    names = [package for module, package in GPU_PACKAGES.items() if module in sys.modules]
    names += locked_versions() or _required(COMPUTE_PACKAGES)
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def locked_versions() -> dict[str, str]:
    """The versions of the lock file, in its order; none without one."""
    lines = COMPUTE_LOCK.read_text(encoding="utf-8").splitlines() if COMPUTE_LOCK.is_file() else []
    pins = (line.partition("#")[0].partition(";")[0].partition("==") for line in lines)
    return {name.strip(): version.strip() for name, _, version in pins if name.strip()}


def _required(packages: tuple[str, ...]) -> list[str]:
    """These packages and all that they require and find installed, without what is for an extra alone; sorted."""
    found: dict[str, str] = {}
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        found[key] = name
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines = metadata.requires(name) or []
            plain = (line for line in lines if "extra" not in line.partition(";")[2])
            waiting += [re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0] for line in plain]
    return [found[key] for key in sorted(found)]
