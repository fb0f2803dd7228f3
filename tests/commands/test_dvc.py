"""The mends of dexhand_env/commands/dvc.py, each on a DVC repository of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "dexhand_env.commands.dvc"]
ROOT = Path(__file__).resolve().parents[2]
DVC_FILE = "stages: {copy: {cmd: cp in out, deps: [in], outs: [out]}}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose one stage has run."""
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    (tmp_path / "dvc.yaml").write_text(DVC_FILE)
    (tmp_path / "in").write_text("text")
    dvc(tmp_path, "repro")
    return tmp_path


def dvc(root: Path, *arguments: str, code: int = 0) -> str:
    """Run a command of DVC; returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [*COMMAND, *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stdout
    return result.stdout


def test_it_is_what_the_environment_calls_dvc() -> None:
    script = Path(sys.executable).with_name("dvc")
    assert "dexhand_env.commands.dvc" in script.read_text(), "run: make install"
    result = subprocess.run([script, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout.strip() == metadata.version("dvc")


def test_a_kill_while_dvc_lock_is_written_leaves_the_old_one(repository: Path) -> None:
    before = (repository / "dvc.lock").read_bytes()
    (repository / "in").write_text("other")
    killed = """
import os, signal, sys
from ruamel.yaml import YAML
from dexhand_env.commands.dvc import main
dump = YAML.dump
def dump_and_die(self, data, stream, **options):
    dump(self, data, stream, **options)
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
YAML.dump = dump_and_die
main()
"""
    # The run cache is written before, to a name of its own.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", killed, "repro", "--no-run-cache"]
    assert subprocess.run(command, cwd=repository, env=environment, check=False).returncode == -9
    assert (repository / "dvc.lock").read_bytes() == before
    dvc(repository, "repro")
    assert (repository / "out").read_text() == "other"
    assert "up to date" in dvc(repository, "status")


@pytest.mark.parametrize("pid", ["dead", "another program"])
def test_the_lock_of_a_killed_process_does_not_block(repository: Path, pid: str) -> None:
    """Also where another program has its number by now: this one, which is no dvc."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        holder = {"pid": ended.pid if pid == "dead" else sleeper.pid, "cmd": "dvc repro"}
        lock = {"write": {str(repository / "out"): holder}, "read": {}}
        (repository / ".dvc/tmp/rwlock").write_text(json.dumps(lock))
        (repository / "in").write_text("other")
        dvc(repository, "repro")
        assert (repository / "out").read_text() == "other"
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_busy_stage_names_the_process_and_what_to_do(repository: Path) -> None:
    (repository / "dvc.yaml").write_text(DVC_FILE.replace("cp in out", "cp in out; touch began; read line < go"))
    os.mkfifo(repository / "go")
    first = subprocess.Popen([*COMMAND, "repro"], cwd=repository, stdout=subprocess.PIPE, text=True)
    try:
        while not (repository / "began").exists():
            assert first.poll() is None
        output = dvc(repository, "repro", code=255)
        assert f"process {first.pid} (`" in output
        assert f"still works on it; wait for it or end it with `kill {first.pid}`" in output
        assert "remove" not in output
    finally:
        (repository / "go").write_text("on\n")
        first.communicate()
    assert first.returncode == 0
    assert "up to date" in dvc(repository, "status")


@pytest.mark.parametrize("damage", [b"", b"tex", b"text and more", b"texx"])
def test_a_damaged_object_of_the_cache_is_named_and_the_next_run_makes_it_anew(repository: Path, damage: bytes) -> None:
    name = hashlib.md5(b"text", usedforsecurity=False).hexdigest()
    cached = repository / ".dvc/cache/files/md5" / name[:2] / name[2:]
    cached.chmod(0o644)
    cached.write_bytes(damage)
    cached.chmod(0o444)
    (repository / "out").unlink()
    output = dvc(repository, "repro", code=255)
    lines = [line for line in output.splitlines() if "damaged" in line]
    assert len(lines) == 1
    assert f".dvc/cache/files/md5/{name[:2]}/{name[2:]}: was damaged" in lines[0]
    assert lines[0].endswith("run the same command again, which pulls it or makes it anew")
    dvc(repository, "repro")
    assert (repository / "out").read_text() == cached.read_text() == "text"


@pytest.mark.parametrize(
    "remote",
    [
        pytest.param("ssh://me@127.0.0.1:1/x", id="refused"),
        pytest.param("s3://bucket/x", id="an extra that is not installed"),
        pytest.param("/proc/nowhere", id="a folder that is not there"),
        pytest.param("http://127.0.0.1:1/x", id="http"),
    ],
)
def test_a_remote_out_of_reach_is_a_warning_and_the_stage_runs(repository: Path, remote: str) -> None:
    dvc(repository, "remote", "add", "--default", "store", remote)
    (repository / "in").write_text("other")
    told = dvc(repository, "repro", "--pull")
    assert "Running stage 'copy'" in told
    assert "WARNING: " in told or remote.startswith("/")
    assert told.count("going on without it") <= 1
    assert (repository / "out").read_text() == "other"
    # The same where only the output is missing, from here and from the cache.
    (repository / "out").unlink()
    shutil.rmtree(repository / ".dvc/cache")
    dvc(repository, "repro", "--pull")
    assert (repository / "out").read_text() == "other"


def test_who_asks_for_the_remote_alone_is_told_that_it_is_out_of_reach(repository: Path) -> None:
    dvc(repository, "remote", "add", "--default", "store", "ssh://me@127.0.0.1:1/x")
    (repository / "out").unlink()
    shutil.rmtree(repository / ".dvc/cache")
    assert "Connect call failed" in dvc(repository, "pull", code=1)
