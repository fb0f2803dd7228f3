"""Files that are replaced in one step, full disks, and locks that end with their process."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dexhand_env.errors import UserError
from dexhand_env.files import exclusive, needing_space, require_writable, write_text

HOLD = """
import sys, time
from dexhand_env.files import exclusive
with exclusive(sys.argv[1], "the folder", "trains"):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(lock: Path) -> subprocess.Popen[str]:
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_lock_names_its_process_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    lock = tmp_path / "new" / ".lock"
    process = holder(lock)
    try:
        for _ in range(2):  # being refused does not harm the lock
            with pytest.raises(UserError) as caught, exclusive(lock, "the folder", "trains"):
                raise AssertionError
            words = f"the folder: process {process.pid} trains; wait for it or end it, then run the same command again"
            assert str(caught.value) == words
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with exclusive(lock, "the folder", "trains"):
        assert lock.read_text() == f"{os.getpid()} {socket.gethostname()}"
    assert not lock.exists()


def test_a_lock_of_another_machine_says_so(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with exclusive(lock, "x", "trains"):
        lock.write_text("71 node7")
        with pytest.raises(UserError, match="process 71 on node7 trains"), exclusive(lock, "x", "trains"):
            raise AssertionError
        lock.write_text("")
        with pytest.raises(UserError, match="another process trains"), exclusive(lock, "x", "trains"):
            raise AssertionError


def test_a_block_that_fails_frees_the_lock(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="no"), exclusive(tmp_path / ".lock", "x", "trains"):
            raise ValueError("no")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError) as caught:
        write_text(path, "new")
    assert str(caught.value).startswith(f"{path}: cannot be written ({os.strerror(number)}); allowed: free space")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_other_trouble_with_a_file_is_not_taken_for_a_full_disk() -> None:
    with pytest.raises(PermissionError), needing_space("file"):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002, 0o027])
def test_the_umask_says_who_may_read_a_written_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):  # a new one, and one in the place of another
            write_text(tmp_path / "new" / "file.txt", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "file.txt").stat().st_mode & 0o777 == 0o666 & ~umask
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.txt"]


def test_what_stands_in_a_folders_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for folder, what in (("file", "file is a file"), ("file/x", "file is a file"), ("link/x", "link is a link that")):
        with pytest.raises(UserError, match=f"cannot be made: {what}"):
            require_writable(tmp_path / folder)
