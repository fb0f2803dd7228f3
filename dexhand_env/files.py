"""Atomic file writing: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Union

from dexhand_env.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]


def require_writable(folder: PathLike) -> None:
    """See that files can be written in ``folder``, which need not exist yet, before anything long begins.

    Raises:
        UserError: a file stands in its way, or the nearest folder that exists may not be written.
    """
    path = Path(folder)
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise UserError(str(folder), f"cannot be made: {existing.name} is a file", "a folder that you may write to")
    if not os.access(existing, os.W_OK):
        raise UserError(str(folder), "cannot be written", "a folder that you may write to")


def write_bytes(path: PathLike, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step, creating its folder; the content is on disk before the name is.

    Raises:
        OSError: where the folder cannot be made or written; nothing is left behind then.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
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
