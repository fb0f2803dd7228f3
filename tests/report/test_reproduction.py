"""What the page says of how to make it again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dexhand_env.report.records import StageRun
from dexhand_env.report.reproduction import PageCode, reproduction
from dexhand_env.stages.report import write_report

from .synthetic import edit_json, write_results

A, B, C = "a" * 40, "b" * 40, "c" * 40


def run(stage: str, commit: str | None, hour: int, dirty: bool | None = False, seed: int | None = 1) -> StageRun:
    started = f"2026-11-23T{hour:02}:00:00Z"
    return StageRun(stage=stage, started=started, seconds=1.0, commit=commit, dirty=dirty, seed=seed)


def page(commit: str = B, dirty: bool = False, changed: Any = ()) -> PageCode:
    return PageCode(commit, dirty, lambda run: changed if changed is None else list(changed))


def test_the_pages_own_commit_is_named() -> None:
    found = reproduction([run("train", A, 5), run("evaluate", B, 6)], page(C))
    assert (found.commit, found.doubts) == (C, [])


def test_without_one_the_latest_stages_is_named() -> None:
    found = reproduction([run("evaluate", B, 6), run("train", A, 5), run("select", None, 7, None)], None)
    assert found.commit == B
    assert found.doubts == [
        "select of seed 1, this page: made by code of no known commit.",
    ]
    assert reproduction([], None).commit is None


def test_every_stage_of_every_seed_is_looked_at() -> None:
    runs = [run("train", B, 5), run("train", B, 5, dirty=True, seed=2), run("evaluate", B, 6, dirty=True)]
    (doubt,) = reproduction(runs, page()).doubts
    assert doubt == "train of seed 2, evaluate of seed 1: made with files that are in no commit or not as there."
    assert "this page: made with files" in reproduction([], page(dirty=True)).doubts[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("x.py",), f"train of seed 1: made at {A[:10]}, after which x.py changed."),
        (("a", "b", "c", "d", "e"), f"train of seed 1: made at {A[:10]}, after which a, b, c and 2 more changed."),
        (None, f"train of seed 1: made at {A[:10]}, which is not in the repository."),
    ],
)
def test_a_stage_whose_files_changed_since_is_named(changed: Any, says: str) -> None:
    runs = [run("train", A, 5), run("evaluate", B, 6)]
    assert reproduction(runs, page(changed=changed)).doubts == [says]


def test_other_packages_and_several_gpus_are_named() -> None:
    code = dataclasses.replace(page(), versions={"torch": "2.13.0", "numpy": "2.0"})
    same = run("select", B, 5).model_copy(update={"versions": {"torch": "2.13.0+cpu", "own": "1"}})
    other = run("train", B, 5).model_copy(update={"versions": {"torch": "2.11.0+cu130"}, "processes": 2})
    assert reproduction([same, other], code).doubts == [
        "train of seed 1: ran on 2 GPUs, which takes `--set-resources train:gpu=2`.",
        "train of seed 1: ran with torch 2.11.0+cu130, which are not the versions that `make install` gives.",
    ]


def test_training_under_isaac_gym_is_held_against_the_packages_of_its_own_python() -> None:
    code = dataclasses.replace(
        page(), versions={"torch": "2.13.0"}, versions_for_isaac_gym=lambda: {"torch": "2.4.1", "numpy": "1.24.4"}
    )
    files = ["dexhand_env/stages/train.py", "requirements/isaacgym38.txt"]
    same = run("train", B, 5).model_copy(update={"versions": {"torch": "2.4.1+cu121"}, "files": files})
    other = run("train", B, 5, seed=2).model_copy(update={"versions": {"numpy": "1.23.5"}, "files": files})
    assert reproduction([same, run("select", B, 6), other], code).doubts == [
        "train of seed 2: ran with numpy 1.23.5, which are not the versions that `make isaacgym38` gives.",
    ]


def test_the_page_says_it(tmp_path: Path) -> None:
    folder = write_results(tmp_path, seeds=(1, 2), episodes=64)
    edit_json(folder / "seed2/stages/select.json", dirty=True)
    write_report(folder, lambda: page(C))
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert f"git checkout {C}" in text
    assert "<li>select of seed 2: made with files that are in no commit or not as there.</li>" in text
