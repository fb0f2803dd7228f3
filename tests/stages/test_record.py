from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import torch

from dexhand_env.errors import UserError
from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp
from dexhand_env.stages.record import given_threads, machine, record_stage


def test_a_stage_that_ends_well_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "stages" / "train.json"
    with record_stage("train", path) as extra:
        extra["iterations"] = 7
        assert not path.exists()
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (record["stage"], record["iterations"]) == ("train", 7)
    assert datetime.strptime(record["started"], "%Y-%m-%dT%H:%M:%SZ")
    assert record["seconds"] >= 0.0
    assert record["cpu_seconds"] > 0.0
    assert record["peak_memory_bytes"] > 10_000_000
    assert set(record["machine"]) == {"processor", "cores", "memory_bytes", "gpu", "system"}
    assert record["machine"]["cores"] == os.cpu_count()
    assert record["dirty"] in (True, False, None)
    assert {"commit", "command", "python", "versions", "threads"} <= set(record)


def test_a_stage_that_fails_is_not(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no"), record_stage("train", tmp_path / "train.json"):
        raise RuntimeError("no")
    assert list(tmp_path.iterdir()) == []


def test_outside_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with record_stage("train", tmp_path / "train.json"):
        pass
    record = json.loads((tmp_path / "train.json").read_text(encoding="utf-8"))
    assert (record["commit"], record["dirty"]) == (None, None)
    assert {"torch", "mujoco", "numpy", "rl-games"} <= set(record["versions"])  # whatever the working directory is


def test_without_a_number_of_threads_all_cores_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEXHAND_THREADS", raising=False)
    assert given_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("DEXHAND_THREADS", "")
    assert given_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("DEXHAND_THREADS", "5")
    assert given_threads() == 5


@pytest.mark.parametrize("text", ["0", "-3", "two", "1.5", "²", "1000000"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DEXHAND_THREADS", text)
    with pytest.raises(UserError, match=f"DEXHAND_THREADS: found '{text}'; allowed: a number of threads"):
        given_threads()


PEAK = """
import json, subprocess, sys
from pathlib import Path
from dexhand_env.stages.record import record_stage
if len(sys.argv) == 3:
    held = bytearray(300_000_000)
    held[::4096] = b"1" * len(held[::4096])
    sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1], "", sys.argv[2], "child"]).returncode)
with record_stage("train", Path(sys.argv[2])):
    pass
"""


def test_peak_memory_is_that_of_the_stage_not_of_what_started_it(tmp_path: Path) -> None:
    """The process that starts it holds 300 MB."""
    path = tmp_path / "train.json"
    subprocess.run([sys.executable, "-c", PEAK, PEAK, str(path)], check=True)
    assert json.loads(path.read_text(encoding="utf-8"))["peak_memory_bytes"] < 150_000_000


WARP = """
import sys
from pathlib import Path
from dexhand_env.config.physics import load_physics
from dexhand_env.sim.factory import simulation_class
from dexhand_env.stages.record import record_stage
with record_stage("train", Path(sys.argv[1])):
    simulation_class(sys.argv[2], "cpu")
"""


@pytest.mark.parametrize("backend", ["mujoco", "mujoco_warp"])
def test_warps_versions_are_recorded_where_it_was_used(tmp_path: Path, backend: str) -> None:
    if not warp_installed():
        pytest.skip("no Warp")
    path = tmp_path / "train.json"
    subprocess.run([sys.executable, "-c", WARP, str(path), backend], check=True)
    record = json.loads(path.read_text(encoding="utf-8"))
    recorded = {"mujoco-warp", "warp-lang"} & set(record["versions"])
    assert recorded == ({"mujoco-warp", "warp-lang"} if backend == "mujoco_warp" else set())
    assert record["machine"]["gpu"] is None


def test_the_gpu_is_recorded_where_it_was_used() -> None:
    if why_no_warp(find_driver(), 0, warp_installed()) is not None:
        pytest.skip("no CUDA")
    torch.zeros(1, device="cuda:0")
    assert machine()["gpu"] == torch.cuda.get_device_name(0)
