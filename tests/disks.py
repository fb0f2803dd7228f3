"""A small disk that fills up, for tests of what happens then."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

BLOCK_BYTES = 4096


class SmallDisk:
    """A file system in memory, mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / ".filler"

    def fill(self, free_bytes: int = 0) -> None:
        """Leave as much free as given, rounded down to whole blocks."""
        with contextlib.suppress(OSError), open(self._filler, "ab", buffering=0) as filler:
            while self._free() > free_bytes:
                filler.write(bytes(BLOCK_BYTES))

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()

    def _free(self) -> int:
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_bsize


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int = 8) -> Iterator[SmallDisk]:
    """Mount one for the block. Only root can; elsewhere than on CI, where everything is root, the test is skipped."""
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        pytest.skip("no root: a small disk cannot be mounted")
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
