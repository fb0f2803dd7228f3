"""Says that MuJoCo Warp's kernels are being compiled, while they are."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import warp

EVERY_S = 5.0


@contextlib.contextmanager
def announced(device: str) -> Iterator[None]:
    """Print a line to stderr every few seconds of the block, which compiles kernels where the cache lacks them.

    Loading them from the cache takes no longer than the first line would.
    """
    warp.config.log_level = warp.LOG_WARNING  # says which module it loads otherwise, fifty times
    warp.init()
    finished = threading.Event()
    reporter = threading.Thread(target=_report, args=(device, finished), daemon=True)
    reporter.start()
    try:
        yield
    finally:
        finished.set()
        reporter.join()


def _report(device: str, finished: threading.Event) -> None:
    cache = Path(str(warp.config.kernel_cache_dir))
    begun, modules = time.perf_counter(), _modules(cache)
    while not finished.wait(EVERY_S):
        new, seconds = _modules(cache) - modules, time.perf_counter() - begun
        if new > 0:
            print(
                f"compiling MuJoCo Warp's kernels for {device}, once on this machine (kept in {cache}): "
                f"{new} modules in {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )


def _modules(cache: Path) -> int:
    return sum(1 for _ in cache.iterdir()) if cache.is_dir() else 0
