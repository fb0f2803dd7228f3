"""SIGKILL at random moments: the next run of either tool completes and gives what an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from .clone import Clone, new_clone
from .killing import STAGES, TARGETS, Kill, assert_refused, begins, command, complete, digests, kill
from .killing import processes, stage_seconds, started, trained
from .test_dag import assert_up_to_date

Undisturbed = tuple[dict[str, bytes], dict[str, float]]


def longer(path: Path) -> Clone:
    """A clone whose training takes some seconds, with a checkpoint every tenth of it."""
    clone = new_clone(path, "Tiny: [1]\n")
    clone.edit("configs/Tiny.yaml", "max_iterations: 4", "max_iterations: 80")
    clone.edit("configs/Tiny.yaml", "save_frequency: 1", "save_frequency: 8")
    return clone


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The results of a run without a kill, and how long each stage took."""
    clone = longer(tmp_path_factory.mktemp("undisturbed") / "clone")
    seconds = stage_seconds(clone)
    return digests(clone), seconds


def survive(clone: Clone, kills: Sequence[Kill], undisturbed: Undisturbed) -> None:
    """After each kill let the other tool bring that stage to its end; compare all results in the end."""
    expected, seconds = undisturbed
    for plan in kills:
        victim = kill(clone, plan, seconds[plan.stage])
        kept = trained(clone)
        other = "dvc" if plan.tool == "snakemake" else "snakemake"
        refusals = complete(clone, other, plan.stage)
        print(f"{plan}: killed {victim}; {len(kept)} checkpoints kept; {other} refused {refusals} times")
        assert {name: written for name, written in trained(clone).items() if name in kept} == kept, "trained again"
        if plan.stage.startswith("train") and kept and plan.target != "snakemake":
            record = json.loads((clone.path / "results/Tiny/seed1/stages/train.json").read_text())
            assert record["resumed"] is True
    complete(clone, "dvc")
    found = digests(clone)
    assert {name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)} == set()
    assert_up_to_date(clone)
    assert processes(clone) == []


def test_kills_of_each_kind(undisturbed: Undisturbed, tmp_path: Path) -> None:
    kills = [
        Kill("dvc", "plan", "stage", 0.3),
        Kill("dvc", "train-Tiny-1", "group", 0.75),
        Kill("snakemake", "select-Tiny-1", "snakemake", 0.5),
        Kill("snakemake", "evaluate-Tiny-1", "dvc", 0.8),
        Kill("dvc", "report-Tiny", "dvc", 0.95),
    ]
    survive(longer(tmp_path / "clone"), kills, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1])
def test_twenty_kills_at_random_moments_of_every_stage(undisturbed: Undisturbed, tmp_path: Path, part: int) -> None:
    seed = int(os.environ.get("DEXHAND_KILL_SEED") or secrets.randbelow(2**31)) + part
    print(f"DEXHAND_KILL_SEED={seed - part}")
    draw = random.Random(seed)
    clone = longer(tmp_path / "clone")
    # Each stage once, and the training twice: it is the one that goes on from where it was.
    stages = sorted([*STAGES, "train-Tiny-1"], key=STAGES.index)
    kills = []
    for stage in stages:
        tool = draw.choice(["snakemake", "dvc"])
        target = draw.choice([each for each in TARGETS if each != "snakemake" or tool == "snakemake"])
        kills.append(Kill(tool, stage, target, draw.uniform(0.0, 1.1)))
    survive(clone, kills, undisturbed)
