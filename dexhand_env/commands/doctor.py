"""What this machine has for training: versions, cores, memory, GPU, browser; and what is missing."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from dexhand_env.errors import UserError
from dexhand_env.files import require_writable
from dexhand_env.sim.isaac_gym.setup import PYTHON_VARIABLE, diagnose, is_set_up, isaac_gym_python
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
        found.append((f"{folder}/", *_writable(Path(folder))))
    found.append(("cache of snakemake", *_cache()))
    found.append(("user name", *_user()))
    return found + _isaac_gym()


def _isaac_gym() -> list[tuple[str, bool, str]]:
    """What is wrong with Isaac Gym, each with its remedy, or where it is; nothing where it is not set up."""
    if not is_set_up():
        return []
    python = isaac_gym_python()
    problems = diagnose(python, 0)
    rows = [(f"Isaac Gym: {problem.what}", False, str(problem)) for problem in problems]
    return rows or [("Isaac Gym", True, f"in {python}")]


def _writable(folder: Path) -> tuple[bool, str]:
    try:
        require_writable(folder)
    except UserError as error:
        return False, str(error.args[1])
    return True, "writable"


def _cache() -> tuple[bool, str]:
    """Whether Snakemake can keep its own files where it does, which depends on the home folder."""
    remedy = "run: export HOME=<a folder that you may write to>"
    try:
        home = Path.home()
    except RuntimeError:
        return False, f"user {os.getuid()} has no home folder; {remedy}"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    passed, found = _writable(folder)
    return passed, f"{folder}: {found}" if passed else f"{folder}: {found}; {remedy}"


def _user() -> tuple[bool, str]:
    """Whether this user has a name, which DVC writes into its locks."""
    try:
        return True, getpass.getuser()
    except (KeyError, OSError):
        return False, f"user {os.getuid()} has none, and DVC asks for one; run: export USER=me LOGNAME=me"


def which_dvc() -> str:
    """Which `dvc` the shell finds, and whose it is."""
    path = shutil.which("dvc")
    if path is None:
        return "none on PATH; `. .venv/bin/activate` puts this project's there"
    if b"dexhand_env.commands.dvc" in Path(path).read_bytes():
        return f"{path} (this project's)"
    again = "python -m pip install --no-deps --force-reinstall --editable ."
    return (
        f"{path} (not this project's: without its repairs, which `snakemake` has all the same; to replace it: {again})"
    )


def repository() -> str:
    """Whether DVC works in this folder."""
    if not Path(".dvc").is_dir():
        return "none of DVC's; the pipeline runs in the folder of the Snakefile"
    from dvc.config import Config, ConfigError
    from dvc.scm import SCM, SCMError

    try:
        if Config(".dvc")["core"].get("no_scm"):
            return "DVC's alone, as core.no_scm says"
        SCM(".")
    except ConfigError as error:
        return " ".join(str(error).split())
    except SCMError:
        return "not git's; the pipeline needs `git init`, or `dvc config core.no_scm true` to work without"
    return "git's and DVC's"


def notes() -> list[str]:
    """What is optional here."""
    import torch

    from dexhand_env.report.browser import find_browser
    from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; physics and learning run on the CPU"
    warp = why_no_warp(find_driver(), 0, warp_installed()) or f"MuJoCo Warp {metadata.version('mujoco-warp')}"
    browser = find_browser() or "none; reports open in any browser"
    rows = [f"GPU: {gpu}", f"physics on the GPU: {warp}", f"browser for tests and screenshots: {browser}"]
    isaac_gym = f"Isaac Gym: not set up ({PYTHON_VARIABLE} is not set; docs/isaac_gym.md)"
    return [*rows, *([] if is_set_up() else [isaac_gym])]


def doctor() -> int:
    """Print the checks; returns 0 where all passed, else 1."""
    results = checks()
    for what, passed, found in results:
        print(f"{'ok     ' if passed else 'MISSING'} {what}: {found}")
    complete = all(passed for _, passed, _ in results)
    for note in [f"dvc on PATH: {which_dvc()}", *([f"repository: {repository()}", *notes()] if complete else [])]:
        print(f"note    {note}")
    return 0 if complete else 1
