"""Recorded files that are missing, damaged or at odds are named, each in one line, and the rest is read."""

from __future__ import annotations

import json
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

from .synthetic import edit_json, write_results

FILES = [
    "config/report.json",
    "seed42/history.csv",
    "seed42/selection.json",
    "seed42/evaluation.json",
    "seed42/episodes.parquet",
    "seed42/replays.npz",
]


def named(folder: Path) -> list[str]:
    """What is said of each file that cannot be used."""
    try:
        return [str(each) for each in read_results(folder).missing]
    except UserError as error:
        return [str(error)]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_the_command_that_makes_it(recorded: Path, name: str) -> None:
    (recorded / name).unlink()
    (line,) = named(recorded)
    assert f"{name}: file is missing; allowed: " in line
    stage = {"history": "train-BaseTask-42", "selection": "select-BaseTask-42", "report": "first"}
    assert stage.get(Path(name).stem, "evaluate-BaseTask-42") in line


@pytest.mark.parametrize("name", [*FILES, "seed42/stages/train.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00nonsense", b"{"])
def test_a_damaged_file_is_named_in_one_line(recorded: Path, name: str, content: bytes) -> None:
    (recorded / name).write_bytes(content)
    (line,) = named(recorded)
    assert str(recorded / name) in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["seed42/selection.json", "seed42/evaluation.json"])
@pytest.mark.parametrize(
    ("changes", "found"), [({"seed": 7}, "is of BaseTask seed 7"), ({"experiment": "Other"}, "is of Other seed 42")]
)
def test_what_another_seed_or_experiment_left_is_not_counted(
    recorded: Path, name: str, changes: dict[str, object], found: str
) -> None:
    path = recorded / name
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    (line,) = named(recorded)
    assert line.startswith(f"{path}: {found}; allowed: make it by `dvc repro ")


def test_a_number_that_json_does_not_know_is_named(recorded: Path) -> None:
    path = recorded / "seed42/evaluation.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"nan_resets": 0', '"nan_resets": NaN'), encoding="utf-8")
    assert "is not valid JSON (NaN is no number of JSON)" in named(recorded)[0]


@pytest.mark.parametrize("name", ["seed42/replays.npz", "seed42/episodes.parquet"])
def test_a_file_cut_short_is_named(recorded: Path, name: str) -> None:
    content = (recorded / name).read_bytes()
    (recorded / name).write_bytes(content[: len(content) // 2])
    (line,) = named(recorded)
    assert name in line


def _without_array(folder: Path) -> None:
    with np.load(folder / "seed42" / "replays.npz") as archive:
        arrays = {name: archive[name] for name in archive.files if name != "median_quaternions"}
    np.savez(folder / "seed42" / "replays.npz", **arrays)


def _wrong_count(folder: Path) -> None:
    path = folder / "seed42" / "history.csv"
    path.write_text(path.read_text(encoding="utf-8") + "1,2,3\n", encoding="utf-8")


def _variant_without_changes(folder: Path) -> None:
    path = folder / "seed42" / "evaluation.json"
    condition = json.loads(path.read_text(encoding="utf-8"))["conditions"]["training"]
    edit_json(path, variants={"slow": {**condition, "changes": []}})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: edit_json(f / "config/report.json", seeds=[42, 43]), "seed43/history.csv: file is missing"),
        (lambda f: edit_json(f / "config/report.json", report={"success_goal": 95}), "report.success_goal"),
        (lambda f: edit_json(f / "seed42/selection.json", chosen="other.pth"), "other.pth"),
        (lambda f: edit_json(f / "seed42/evaluation.json", conditions={}), "evaluation.json: conditions"),
        (_without_array, "lacks the array median_quaternions"),
        (_wrong_count, "line 122: 3 cells"),
        (_variant_without_changes, "evaluation.json: variants.slow.changes"),
    ],
)
def test_a_wrong_value_names_file_and_key(recorded: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(recorded)
    assert any(message in line for line in named(recorded))


def test_an_evaluation_that_contradicts_its_episodes_is_named(recorded: Path) -> None:
    evaluation = read_results(recorded).evaluations[42]
    conditions = {name: run.model_dump() for name, run in evaluation.conditions.items()}
    conditions["training"]["successes"] -= 1
    edit_json(recorded / "seed42/evaluation.json", conditions=conditions)
    (line,) = named(recorded)
    assert "episodes.parquet: 64 episodes with" in line


def test_a_seed_that_was_tested_otherwise_than_the_others_is_named(tmp_path: Path) -> None:
    folder = write_results(tmp_path, seeds=(1, 2), episodes=64)
    evaluation = read_results(folder).evaluations[2]
    training = {"training": evaluation.conditions["training"].model_dump()}
    edit_json(folder / "seed2/evaluation.json", conditions=training)
    (line,) = named(folder)
    assert "seed2/evaluation.json: tests training; the first of the other seeds reference, training" in line
    assert list(read_results(folder).evaluations) == [1]
    conditions = {name: run.model_dump() for name, run in evaluation.conditions.items()}
    conditions["training"]["metrics"] = {"error_m": {"mean": 0.1, "largest": 0.2}}  # by a later state of the code
    edit_json(folder / "seed2/evaluation.json", conditions=conditions)
    (line,) = named(folder)
    assert "tests reference, training (error_m); the first of the other seeds reference, training" in line


def _stage(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dexhand_env.stages.report", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(dexhand_env.__file__).parents[1])}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["Nothing", "../results", "BaseTask"])
def test_the_stage_ends_with_one_line_and_code_two(recorded: Path, name: str) -> None:
    (recorded / "config" / "report.json").unlink()
    before = sorted(recorded.rglob("*"))
    ended = _stage(recorded.parents[1], name)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""
    assert sorted(recorded.rglob("*")) == before


def test_the_stage_writes_an_incomplete_page_and_says_what_is_missing(recorded: Path) -> None:
    (recorded / "seed42" / "selection.json").unlink()
    ended = _stage(recorded.parents[1], "BaseTask")
    assert ended.returncode == 1
    line = "results/BaseTask/seed42/selection.json: file is missing; allowed: make it by `dvc repro select-BaseTask-42`"
    assert ended.stderr.splitlines() == [line]
    assert "No selection was recorded." in (recorded / "report.html").read_text(encoding="utf-8")


def test_the_stage_writes_page_evaluation_and_its_own_record(recorded: Path) -> None:
    ended = _stage(recorded.parents[1], "BaseTask")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == "results/BaseTask/report.html"
    assert {"report.html", "evaluation.json", "stages"} <= {path.name for path in recorded.iterdir()}
    assert (recorded / "stages" / "report.json").is_file()
