from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from dexhand_env.errors import UserError
from dexhand_env.stages.record import given_threads, record_stage


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
    assert (record["commit"], record["dirty"], record["versions"]) == (None, None, {})


def test_without_a_number_of_threads_all_cores_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEXHAND_THREADS", raising=False)
    assert given_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("DEXHAND_THREADS", "")
    assert given_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("DEXHAND_THREADS", "5")
    assert given_threads() == 5


@pytest.mark.parametrize("text", ["0", "-3", "two", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DEXHAND_THREADS", text)
    with pytest.raises(UserError, match=f"DEXHAND_THREADS: found '{text}'; allowed: a number of threads"):
        given_threads()
