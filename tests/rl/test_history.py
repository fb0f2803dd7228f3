from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dexhand_env.rl.history import History


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def written(path: Path, last: int, **more: float) -> History:
    history = History(path)
    for iteration in range(1, last + 1):
        history.append({"iteration": iteration, "frames": 8 * iteration, "policy_loss": iteration / 3, **more})
    history.write()
    return history


def test_columns_appear_as_they_come_and_gaps_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "run" / "history.csv"
    history = History(path)
    history.append({"iteration": 1, "frames": 8})
    history.append({"iteration": 2, "frames": 16, "return": -1.23456789e-7})
    assert not path.exists()
    history.write()
    assert path.read_text(encoding="utf-8").splitlines()[0] == "iteration,frames,return"
    assert rows(path) == [
        {"iteration": "1", "frames": "8", "return": ""},
        {"iteration": "2", "frames": "16", "return": "-1.23457e-07"},
    ]


@pytest.mark.parametrize("last", [1, 3, 5, 9])
def test_a_resumed_history_keeps_what_came_before(tmp_path: Path, last: int) -> None:
    path = tmp_path / "history.csv"
    written(path, 5)
    before = rows(path)
    history = History(path, last)
    history.append({"iteration": last + 1, "frames": 0})
    history.write()
    assert rows(path)[:-1] == before[:last]
    assert rows(path)[-1]["iteration"] == str(last + 1)


def test_a_fresh_run_begins_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    written(path, 5)
    written(path, 2, entropy=1.0)
    assert [row["iteration"] for row in rows(path)] == ["1", "2"]
    assert rows(path)[0]["entropy"] == "1"


def test_large_numbers_of_frames_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    history = History(path)
    history.append({"iteration": 1, "frames": 123_456_789_012})
    history.write()
    assert rows(path)[0]["frames"] == "123456789012"
