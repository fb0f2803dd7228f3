"""How a stage ran: when, how long, on what, from which commit; kept apart from results, which must not depend on it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dexhand_env.errors import UserError
from dexhand_env.files import exclusive, write_json
from dexhand_env.stages.repository import checkout, loaded_sources
from dexhand_env.stages.versions import COMPUTE_LOCK, computing_versions

THREADS_VARIABLE = "DEXHAND_THREADS"
MOST_THREADS = 4096


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
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise UserError(THREADS_VARIABLE, f"found {text!r}", f"a number of threads, 1 to {MOST_THREADS}")
    return int(text)


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
def record_stage(stage: str, path: Path, files: Iterable[Path] = ()) -> Iterator[dict[str, Any]]:
    """Measure the block and write ``path`` when it ends well; what the block adds to the dictionary is kept too.

    Processor seconds and peak memory are those of the whole process, imports included. A stage whose DVC was killed may
    still be at work; it would write among the outputs of the next one, so that one is refused.

    Args:
        stage: its name.
        path: the record.
        files: what decides the result beside the sources of this package that the process loads: where one is in no
            commit, the record says ``dirty``.

    Raises:
        UserError: another process is in the same stage of the same results.
    """
    with exclusive(path.with_suffix(".lock"), str(path.parent.parent), f"is in the {stage} stage"):
        yield from _measure(stage, path, files)


def _measure(stage: str, path: Path, files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    files = list(files)
    code = checkout(files)  # before the block: by its end somebody may have gone on editing
    extra: dict[str, Any] = {}
    yield extra
    used = [*loaded_sources(), *files, *([COMPUTE_LOCK] if COMPUTE_LOCK.is_file() else [])]
    record = {
        "stage": stage,
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round(time.perf_counter() - clock, 3),
        "cpu_seconds": round(_cpu_seconds(), 3),
        "peak_memory_bytes": _peak_memory_bytes(),
        "commit": code and code.commit,
        "dirty": code and code.is_dirty(used),
        "files": code and sorted(set(map(code.name, used))),
        "command": " ".join(sys.orig_argv[1:]),
        "python": platform.python_version(),
        "versions": computing_versions(),
        "machine": machine(),
        "threads": given_threads(),
        **extra,
    }
    write_json(path, record)
