"""Files that a reader sees whole, the old one or the new one, and locks that keep a second writer out."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any, Iterator, Union

from dexhand_env.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]


def require_writable(folder: PathLike) -> None:
    """See that files can be written in ``folder``, which need not exist yet, before anything long begins.

    Raises:
        UserError: a file stands in its way, or the nearest folder that exists may not be written.
    """
    path = Path(folder)
    existing = next(parent for parent in (path, *path.absolute().parents) if os.path.lexists(parent))
    if not existing.is_dir():
        what = "a link that leads nowhere" if existing.is_symlink() and not existing.exists() else "a file"
        raise UserError(str(folder), f"cannot be made: {existing.name} is {what}", "a folder that you may write to")
    if not os.access(existing, os.W_OK):
        raise UserError(str(folder), "cannot be written", "a folder that you may write to")


@contextlib.contextmanager
def needing_space(path: PathLike) -> Iterator[None]:
    """Write ``path`` in the block.

    Raises:
        UserError: the disk is full, or the user's share of it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise no_space(path, error) from error


def no_space(path: PathLike, error: OSError) -> UserError:
    """The error of a disk that is too full to write ``path``."""
    remedy = "free space on that disk; then run the same command again"
    return UserError(str(path), f"cannot be written ({error.strerror})", remedy)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step, creating its folder; the content is on disk before the name is.

    Raises:
        UserError: the disk is full; OSError: the folder cannot be made or written. Nothing is left behind then.
    """
    target = Path(path)
    with needing_space(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        # Not by tempfile, whose files are their owner's alone: the umask says who else may read and write this one.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def write_text(path: PathLike, text: str) -> None:
    """Replace ``path`` by UTF-8 ``text`` in one step (see :func:`write_bytes`)."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def exclusive(lock_file: PathLike, where: str, what: str) -> Iterator[None]:
    """Keep every other process out of the block; the system frees the lock of a process that died.

    Args:
        lock_file: exists while the block runs, and holds the number of its process.
        where, what: what is locked, and what its holder does, for the message.

    Raises:
        UserError: another process is in the block; names it, and what to do.
    """
    import filelock  # not for those who only write

    path = Path(lock_file)
    made_folder = not path.parent.exists()
    lock = filelock.FileLock(path)
    try:
        with needing_space(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError(
            where, f"{_holder(path)} {what}; wait for it or end it, then run the same command again"
        ) from error
    try:
        with needing_space(path):
            path.write_text(f"{os.getpid()} {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        # A process that has just opened it notices, and does not lock a file without a name.
        path.unlink(missing_ok=True)
        lock.release()
        if made_folder:
            with contextlib.suppress(OSError):  # something has been written there
                path.parent.rmdir()


def _holder(lock_file: Path) -> str:
    """Who holds a lock, as a message names it."""
    try:
        pid, _, host = lock_file.read_text(encoding="utf-8").partition(" ")
    except OSError:  # freed in this moment
        pid = ""
    if not pid:
        return "another process"
    return f"process {pid}" if host == socket.gethostname() else f"process {pid} on {host}"
