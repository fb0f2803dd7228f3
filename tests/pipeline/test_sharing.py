"""Results that travel: remotes, clones, and comparisons with a commit."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .clone import Clone, assert_up_to_date
from .conftest import REPORT

SERVER = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SERVER_SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


@contextmanager
def ssh_server(folder: Path) -> Iterator[int]:
    """A server on this machine that lets in the holder of folder/user_key; gives its port."""
    folder.mkdir()
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (folder / "sshd_config").write_text(SERVER_SETTINGS.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)
    assert SERVER
    server = subprocess.Popen([SERVER, "-D", "-e", "-f", folder / "sshd_config"])
    try:
        while True:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


def commit(clone: Clone) -> None:
    """Commit everything."""
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "Results")


WAYS = {"pull": ["dvc", "pull"], "snakemake": ["snakemake", "--cores", "1"], "repro": ["dvc", "repro", "--pull"]}


def share(done: Clone, tmp_path: Path, ways: Iterable[str]) -> None:
    """Push, make a clone for each way of getting the results there, and find nothing left to do in it."""
    commit(done)
    done.dvc("push", "--run-cache")
    for way in ways:
        done.git("clone", "--quiet", str(done.path), str(tmp_path / way))
        clone = Clone(tmp_path / way, tmp_path / f"{way}-trace")
        assert clone.run(*WAYS[way]).stages == []
        assert_up_to_date(clone)
        assert clone.git("status", "--porcelain") == ""
        assert (clone.path / REPORT).read_bytes() == (done.path / REPORT).read_bytes()


def test_a_clone_gets_the_results_from_a_folder(done: Clone, tmp_path: Path) -> None:
    done.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    share(done, tmp_path, WAYS)


@pytest.mark.skipif(SERVER is None, reason="no ssh server")
def test_a_clone_gets_the_results_over_ssh(done: Clone, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "ssh") as port:
        store = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/store"
        done.dvc("remote", "add", "--default", "store", store)
        done.dvc("remote", "modify", "store", "keyfile", str(tmp_path / "ssh/user_key"))
        share(done, tmp_path, ["snakemake"])


def test_a_remote_out_of_reach_is_a_warning(done: Clone) -> None:
    done.dvc("remote", "add", "--default", "store", "ssh://me@127.0.0.1:1/x")
    done.edit("configs/Tiny.yaml", "success_goal: 0.5", "success_goal: 0.6")
    run = done.snakemake()
    assert run.stages == ["check-Tiny", "report-Tiny", "validate-Tiny-report"]
    assert "WARNING: nothing can be pulled from the remote" in run.output


def test_a_remote_of_the_users_own_settings_is_pulled_from(done: Clone, tmp_path: Path) -> None:
    settings = {"XDG_CONFIG_HOME": str(tmp_path / "settings")}
    done.run("dvc", "remote", "add", "--global", "--default", "store", str(tmp_path / "store"), check=True, **settings)
    commit(done)
    done.run("dvc", "push", "--run-cache", check=True, **settings)
    done.git("clone", "--quiet", str(done.path), str(tmp_path / "theirs"))
    clone = Clone(tmp_path / "theirs", tmp_path / "theirs-trace")
    assert clone.run("snakemake", "--cores", "1", check=True, **settings).stages == []
    assert (clone.path / REPORT).read_bytes() == (done.path / REPORT).read_bytes()


def test_an_older_result_comes_from_the_remote(done: Clone, tmp_path: Path) -> None:
    """What was committed before travels too: going back to an earlier config tests nothing anew."""
    done.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    commit(done)
    done.edit("configs/Tiny.yaml", "episodes: 12", "episodes: 13")
    done.snakemake()
    commit(done)
    done.dvc("push", "--run-cache", "--all-commits")
    done.git("clone", "--quiet", str(done.path), str(tmp_path / "theirs"))
    clone = Clone(tmp_path / "theirs", tmp_path / "theirs-trace")
    clone.edit("configs/Tiny.yaml", "episodes: 13", "episodes: 12")
    assert clone.snakemake().stages == []
    evaluation = json.loads((clone.path / "results/Tiny/evaluation.json").read_text())
    assert evaluation["conditions"]["training"]["episodes"] == 12


def test_metrics_parameters_and_curves_are_compared_with_a_commit(done: Clone) -> None:
    commit(done)
    shown = json.loads(done.dvc("metrics", "show", "--json").output)
    metrics = shown[""]["data"]["results/Tiny/evaluation.json"]["data"]
    recorded = json.loads((done.path / "results/Tiny/evaluation.json").read_text())
    assert metrics["conditions"]["training"]["success_rate"] == recorded["conditions"]["training"]["success_rate"]
    done.edit("configs/Tiny.yaml", "num_envs: 16", "num_envs: 32")
    done.repro()
    parameters = json.loads(done.dvc("params", "diff", "--json").output)
    assert parameters["configs/Tiny.yaml"]["train.num_envs"] == {"old": 16, "new": 32, "diff": 16}
    changes = json.loads(done.dvc("metrics", "diff", "--json").output)["results/Tiny/evaluation.json"]
    # Untrained hands do the same, but for the return, whose mean no two policies share.
    assert any("return" in key for key in changes)
    curves = done.dvc("plots", "diff", "--json").output
    points = [point for plot in plots(curves) for point in plot]
    frames = {(point["rev"], int(point["frames"])) for point in points}
    assert {("HEAD", 16 * 16), ("workspace", 32 * 16)} <= frames


def plots(output: str) -> list[list[dict[str, str]]]:
    """The points of each picture."""
    groups = json.loads(output)["data"].values()
    return [each["content"]["data"]["values"] for group in groups for each in group]
