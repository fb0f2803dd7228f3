"""How a stage ran: when, how long, on what, from which commit; kept apart from results, which must not depend on it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from dexhand_env.errors import UserError
from dexhand_env.files import exclusive, write_json

THREADS_VARIABLE = "DEXHAND_THREADS"
COMPUTE_LOCK = Path("requirements/compute.txt")
# What else decides a result, by the module whose import says that it was used.
GPU_PACKAGES = {"mujoco_warp": "mujoco-warp", "warp": "warp-lang"}


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def given_threads(processes: int = 1) -> int:
    """CPU threads that the stage was given: DEXHAND_THREADS, else every core that the process may use.

    Args:
        processes: how many share the cores.

    Raises:
        UserError: DEXHAND_THREADS is not a number of threads.
    """
    text = os.environ.get(THREADS_VARIABLE, "")
    if not text:
        return max(available_cores() // processes, 1)
    if not text.isdigit() or int(text) < 1:
        raise UserError(THREADS_VARIABLE, f"found {text!r}", "a number of threads, 1 or more")
    return int(text)


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1) if match else platform.machine()


def _used_gpu() -> str | None:
    """The GPU that this process works on, None where it has not used one."""
    torch = sys.modules.get("torch")  # never imported for this: it takes seconds
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda.get_device_name()


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system of this machine, and its GPU where this process has used one."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": _used_gpu(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _versions() -> dict[str, str]:
    """Installed versions of the packages that the lock file pins for computing, and of Warp where it was used."""
    names = [package for module, package in GPU_PACKAGES.items() if module in sys.modules]
    if COMPUTE_LOCK.is_file():
        lines = COMPUTE_LOCK.read_text(encoding="utf-8").splitlines()
        pinned = (line.partition("==")[0].strip() for line in lines)
        names += [name for name in pinned if name and not name.startswith("#")]
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_memory_bytes() -> int:
    """The largest resident set of this process."""
    with contextlib.suppress(OSError):
        # Not getrusage: on Linux that begins with the peak of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


@contextlib.contextmanager
def record_stage(stage: str, path: Path) -> Iterator[dict[str, Any]]:
    """Measure the block and write ``path`` when it ends well; what the block adds to the dictionary is kept too.

    Processor seconds and peak memory are those of the whole process, imports included. A stage whose DVC was killed may
    still be at work; it would write among the outputs of the next one, so that one is refused.

    Raises:
        UserError: another process is in the same stage of the same results.
    """
    with exclusive(path.with_suffix(".lock"), str(path.parent.parent), f"is in the {stage} stage"):
        yield from _measure(stage, path)


def _measure(stage: str, path: Path) -> Iterator[dict[str, Any]]:
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    commit = _git("rev-parse", "HEAD")
    # dvc.lock changes while a pipeline runs; it does not make the code dirty.
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    extra: dict[str, Any] = {}
    yield extra
    record = {
        "stage": stage,
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round(time.perf_counter() - clock, 3),
        "cpu_seconds": round(_cpu_seconds(), 3),
        "peak_memory_bytes": _peak_memory_bytes(),
        "commit": commit,
        "dirty": None if changes is None else bool(changes),
        "command": " ".join(sys.orig_argv[1:]),
        "python": platform.python_version(),
        "versions": _versions(),
        "machine": machine(),
        "threads": given_threads(),
        **extra,
    }
    write_json(path, record)
