"""Which packages a stage computes with, and their versions."""

from __future__ import annotations

import contextlib
import re
import sys
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# What starts this package in the Python that has Isaac Gym; see sim/isaac_gym/setup.py.
LAUNCH = PACKAGE / "sim" / "isaac_gym" / "launch.py"


def is_launched() -> bool:
    """Whether this process has gone on in the Python that has Isaac Gym."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return main is not None and Path(main).resolve() == LAUNCH


# What pins packages; beside the package in a checkout, and not in an installed one. The first is for the Python that
# has Isaac Gym, the second for this one: `make lock` writes compute.txt.
ISAAC_GYM_LOCK = PACKAGE.parent / "requirements" / "isaacgym38.txt"
COMPUTE_LOCK = ISAAC_GYM_LOCK if is_launched() else PACKAGE.parent / "requirements" / "compute.txt"
COMPUTE_PACKAGES = ("gymnasium", "mujoco", "numpy", "pyarrow", "pydantic", "pyyaml", "rl-games", "torch")
# What else decides a result, by the module whose import says that it was used.
SIMULATORS = {"mujoco_warp": "mujoco-warp", "warp": "warp-lang", "isaacgym": "isaacgym"}


def computing_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on, and of Warp and Isaac Gym where they were used."""
    names = [package for module, package in SIMULATORS.items() if module in sys.modules]
    names += locked_versions() or _required(COMPUTE_PACKAGES)
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def locked_versions(lock: Path | None = None) -> dict[str, str]:
    """The versions of a lock file, else of this Python's, in its order; none without one."""
    file = lock or COMPUTE_LOCK
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
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
