"""`dvc`, as an environment of this project has it: DVC 3.67, mended for killed processes, damaged files and full disks.

1. DVC writes dvc.lock and .dvc/tmp/rwlock in place, which takes 0.1 s and longer for dvc.lock. A kill in that time
   leaves half a file, and every later `dvc` refuses to start. Here both are replaced in one step.
2. rwlock keeps the number of a killed process, and blocks for as long as any process has that number, which after a
   restart of the machine or the container is often. Here only a `dvc` counts.
3. What DVC says of a stage that another process works on tells to delete a file. Here it tells to wait, or how to end
   that process.
4. DVC takes an object of its cache for whole if it is read-only, and would put a damaged one among the results without
   a word. Here the hash is compared (once, and again when the file's time or size changes).
5. DVC has one message a file for a full disk. Here it has one, which says what to do.

pyproject.toml installs this as the script `dvc`; it takes every command and option of DVC, and changes nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import dvc.rwlock
import psutil
from dvc.cli import main as dvc_main
from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem
from dvc.lock import LockError
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.db.local import LocalHashFileDB
from dvc_objects.errors import ObjectFormatError

from dexhand_env.files import no_space, write_text

IN_ONE_STEP = ("dvc.lock", dvc.rwlock.RWLOCK_FILE)
BLOCKER = re.compile(r"^ +\(PID (\d+)\): (.*)$", re.MULTILINE)


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[TextIO]:
    """A stream whose text becomes the file's content when the block ends well."""
    buffer = io.StringIO()
    yield buffer
    write_text(path, buffer.getvalue())


class _DvcProcesses:
    """Stands for psutil where DVC asks whether the holder of a lock is alive."""

    @staticmethod
    def pid_exists(pid: int) -> bool:
        """Whether it is alive, a dvc, and another process: this one's number may have been that of a killed one."""
        try:
            return pid != os.getpid() and any("dvc" in word for word in psutil.Process(pid).cmdline())
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def _check_object(self: LocalHashFileDB, oid: str, check_hash: bool = True, _info: Any = None) -> Any:
    """DVC's check of a cached object, which says so where one that was whole is not; it has removed it then.

    A writable one was never finished; DVC takes that for missing.
    """
    path = self.oid_to_path(oid)
    was_whole = self.is_protected(path)
    try:
        return HashFileDB.check(self, oid, check_hash, _info)
    except ObjectFormatError:
        if not was_whole:
            raise
        found = f"{os.path.relpath(path)}: was damaged, so it has been removed from the cache"
        raise DvcException(f"{found}; run the same command again, which pulls it or makes it anew") from None


def _full_disk(error: BaseException | None) -> OSError | None:
    """The error of a full disk that led to this one, if any did."""
    while error is not None and not (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        error = error.__cause__ or error.__context__
    return error


class _OneMessageOfAFullDisk(logging.Filter):
    """Lets one message of a full disk through, in the words of files.needing_space."""

    _said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print the record."""
        error = _full_disk(record.exc_info[1] if record.exc_info else None)
        if error is None:
            return True
        if self._said:
            return False
        self._said = True
        file = os.path.relpath(error.filename2 or error.filename or os.curdir)
        record.msg, record.args, record.exc_info = str(no_space(file, error)), (), None
        return True


def repair() -> None:
    """Put the repairs into the DVC that this process has imported."""
    open_file, check_blockers = LocalFileSystem.open, dvc.rwlock._check_blockers

    def open_or_replace(self: LocalFileSystem, path: str, mode: str = "r", **options: Any) -> Any:
        if mode in ("w", "w+") and os.path.basename(path) in IN_ONE_STEP:
            return _replacing(path)
        return open_file(self, path, mode, **options)

    def check(*arguments: Any, **options: Any) -> None:
        try:
            check_blockers(*arguments, **options)
        except LockError as error:
            path = os.path.relpath(str(error).partition(" is busy")[0].strip("'"))
            pid, command = BLOCKER.findall(str(error))[0]
            raise LockError(
                f"{path}: process {pid} (`{command}`) still works on it; "
                f"wait for it or end it with `kill {pid}`, then run the same command again"
            ) from None

    once = _OneMessageOfAFullDisk()
    for handler in logging.getLogger("dvc").handlers:
        handler.addFilter(once)
    LocalHashFileDB.check = _check_object  # type: ignore[method-assign]
    LocalFileSystem.open = open_or_replace
    dvc.rwlock._check_blockers = check
    dvc.rwlock.psutil = _DvcProcesses


def main() -> int:
    """Run DVC on the command line's arguments; returns its exit code."""
    repair()
    return int(dvc_main())


if __name__ == "__main__":
    sys.exit(main())
