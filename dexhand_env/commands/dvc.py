"""`dvc`, as an environment of this project has it: DVC 3.67, mended for killed processes, damaged files and full disks.

    python -m dexhand_env.commands.dvc repro        what the rules of the pipeline call, whatever `dvc` is on PATH

1. DVC writes dvc.lock and .dvc/tmp/rwlock in place, which takes 0.1 s and longer for dvc.lock. A kill in that time
   leaves half a file, and every later `dvc` refuses to start. Here both are replaced in one step.
2. rwlock keeps the number of a killed process, and blocks for as long as any process has that number, which after a
   restart of the machine or the container is often. Here only a `dvc` counts.
3. What DVC says of a stage that another process works on tells to delete a file. Here it tells to wait, or how to end
   that process.
4. DVC takes an object of its cache for whole if it is read-only, and would put a damaged one among the results without
   a word. Here the hash is compared (once, and again when the file's time or size changes).
5. DVC has one message a file for a full disk. Here it has one, which says what to do.
6. `dvc repro --pull` ends where the remote cannot be reached. Here it warns, and computes what it would have pulled.

pyproject.toml installs this as the script `dvc` too; it takes every command and option of DVC.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import dvc.rwlock
import psutil
from dvc.cli import main as dvc_main
from dvc.exceptions import CheckoutError, CollectCacheError, DvcException
from dvc.fs import LocalFileSystem
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage.cache import RunCacheNotSupported
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


class _Damaged(DvcException):
    """An object of the cache was damaged and has been removed."""


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
        raise _Damaged(f"{found}; run the same command again, which pulls it or makes it anew") from None


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


class _Remote:
    """What `dvc repro --pull` pulls from, until that fails: what is not pulled is computed."""

    # DVC has an answer to the first three; the last says what to do.
    ANSWERED = (CheckoutError, CollectCacheError, RunCacheNotSupported, _Damaged)

    def __init__(self) -> None:
        self._failed = False

    def tried(self, pull: Callable[..., Any], instead: Callable[[], Any]) -> Callable[..., Any]:
        """``pull``, and ``instead`` from the first failure on, of which it warns."""

        def attempt(*arguments: Any, **options: Any) -> Any:
            if not self._failed:
                try:
                    return pull(*arguments, **options)
                except self.ANSWERED:
                    raise
                except Exception as error:  # every kind of remote has errors of its own
                    if _full_disk(error):
                        raise
                    words = " ".join(str(error).split()) or type(error).__name__
                    logging.getLogger("dvc").warning(
                        "nothing can be pulled from the remote (%s); going on without it", words
                    )
                    self._failed = True
            return instead()

        return attempt


def _not_pulled() -> None:
    """What `Repo.pull` does where an object is not there: the stage then runs."""
    raise CheckoutError([], {})


def repair() -> None:
    """Put the repairs into the DVC that this process has imported."""
    open_file, check_blockers, reproduce = LocalFileSystem.open, dvc.rwlock._check_blockers, Repo.reproduce

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

    def reproduce_without_remote(self: Repo, *arguments: Any, **options: Any) -> Any:
        remote = _Remote()
        self.stage_cache.pull = remote.tried(self.stage_cache.pull, list)
        self.cloud.pull = remote.tried(self.cloud.pull, list)
        self.pull = remote.tried(self.pull, _not_pulled)
        return reproduce(self, *arguments, **options)

    once = _OneMessageOfAFullDisk()
    for handler in logging.getLogger("dvc").handlers:
        handler.addFilter(once)
    LocalHashFileDB.check = _check_object  # type: ignore[method-assign]
    LocalFileSystem.open = open_or_replace
    Repo.reproduce = reproduce_without_remote
    dvc.rwlock._check_blockers = check
    dvc.rwlock.psutil = _DvcProcesses


def main() -> int:
    """Run DVC on the command line's arguments; returns its exit code."""
    repair()
    os.environ.pop("PYTHONSAFEPATH", None)  # stages are modules of the folder that they run in
    return int(dvc_main())


if __name__ == "__main__":
    sys.exit(main())
