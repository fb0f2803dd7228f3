"""Recorded files that are missing, damaged or at odds end the stage in one line and leave nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dexhand_env
from dexhand_env.errors import UserError
from dexhand_env.report.results import read_results

from .synthetic import edit_json

FILES = [
    "config/report.json",
    "seed42/history.csv",
    "seed42/selection.json",
    "seed42/evaluation.json",
    "seed42/episodes.parquet",
    "seed42/replays.npz",
]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(recorded: Path, name: str) -> None:
    (recorded / name).unlink()
    with pytest.raises(UserError, match=f"{name}: file is missing"):
        read_results(recorded)


@pytest.mark.parametrize("name", [*FILES, "seed42/stages/train.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00nonsense", b"{"])
def test_a_damaged_file_is_named_in_one_line(recorded: Path, name: str, content: bytes) -> None:
    (recorded / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_results(recorded)
    assert str(recorded / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["seed42/replays.npz", "seed42/episodes.parquet"])
def test_a_file_cut_short_is_named(recorded: Path, name: str) -> None:
    content = (recorded / name).read_bytes()
    (recorded / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=name):
        read_results(recorded)


def _without_array(folder: Path) -> None:
    with np.load(folder / "seed42" / "replays.npz") as archive:
        arrays = {name: archive[name] for name in archive.files if name != "median_quaternions"}
    np.savez(folder / "seed42" / "replays.npz", **arrays)


def _wrong_count(folder: Path) -> None:
    path = folder / "seed42" / "history.csv"
    path.write_text(path.read_text(encoding="utf-8") + "1,2,3\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: edit_json(f / "config/report.json", seeds=[42, 43]), "seed43/history.csv: file is missing"),
        (lambda f: edit_json(f / "config/report.json", report={"success_goal": 95}), "report.success_goal"),
        (lambda f: edit_json(f / "seed42/selection.json", chosen="other.pth"), "other.pth"),
        (lambda f: edit_json(f / "seed42/evaluation.json", conditions={}), "evaluation.json: conditions"),
        (_without_array, "lacks the array median_quaternions"),
        (_wrong_count, "line 122: 3 cells"),
    ],
)
def test_a_wrong_value_names_file_and_key(recorded: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(recorded)
    with pytest.raises(UserError) as caught:
        read_results(recorded)
    assert message in str(caught.value)


def test_an_evaluation_that_contradicts_its_episodes_is_refused(recorded: Path) -> None:
    results = read_results(recorded)
    conditions = {name: run.model_dump() for name, run in results.seeds[0].evaluation.conditions.items()}
    conditions["training"]["successes"] -= 1
    edit_json(recorded / "seed42/evaluation.json", conditions=conditions)
    with pytest.raises(UserError, match=r"episodes\.parquet"):
        read_results(recorded)


def _stage(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dexhand_env.stages.report", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(dexhand_env.__file__).parents[1])}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["Nothing", "../results", "BaseTask"])
def test_the_stage_ends_with_one_line_and_code_two(recorded: Path, name: str) -> None:
    (recorded / "seed42" / "selection.json").unlink()
    before = sorted(recorded.rglob("*"))
    ended = _stage(recorded.parents[1], name)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""
    assert sorted(recorded.rglob("*")) == before


def test_the_stage_writes_page_evaluation_and_its_own_record(recorded: Path) -> None:
    ended = _stage(recorded.parents[1], "BaseTask")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == "results/BaseTask/report.html"
    assert {"report.html", "evaluation.json", "stages"} <= {path.name for path in recorded.iterdir()}
    assert (recorded / "stages" / "report.json").is_file()
