"""SIGKILL at random moments: the next run of either tool completes and gives what an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from .clone import TOOLS, Clone, assert_up_to_date, new_clone, other
from .killing import (
    STAGES,
    TARGETS,
    TRAINING,
    Kill,
    assert_refused,
    begins,
    command,
    complete,
    digests,
    kill,
    processes,
    stage_seconds,
    started,
    trained,
)

# The training is what goes on from where it was.
STAGES_AND_TRAINING_TWICE = [name for stage in STAGES for name in [stage] * (1 + (stage == TRAINING))]
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


def survive(clone: Clone, kills: Sequence[Kill], undisturbed: Undisturbed) -> list[Kill]:
    """After each kill let the other tool bring that stage to its end; compare all results in the end.

    Returns the kills that came too late to hit a process at work.
    """
    expected, seconds = undisturbed
    late = []
    for plan, following in zip(kills, [*kills[1:], None], strict=True):
        victim = kill(clone, plan, seconds[plan.stage])
        if victim is None:
            late.append(plan)
        kept = trained(clone)
        print(f"{plan}: killed {victim or 'nobody, it was over'}; {len(kept)} checkpoints kept", flush=True)
        if following and following.stage == plan.stage:
            # Killed once more before it is through; what a killed tool left would be through by then.
            for orphan in processes(clone):
                orphan.kill()
            continue
        # `plan` has no output of its own for Snakemake to ask for.
        tool = "dvc" if plan.stage == "plan" else other(plan.tool)
        refusals = complete(clone, tool, plan.stage)
        print(f"  completed by {tool}, which was refused {refusals} times before", flush=True)
        assert {name: written for name, written in trained(clone).items() if name in kept} == kept, "trained again"
        if plan.stage == TRAINING and plan.target in ("group", "stage") and victim:
            assert json.loads((clone.path / "results/Tiny/seed1/stages/train.json").read_text())["resumed"] is bool(
                kept
            )
    complete(clone, "dvc")
    found = digests(clone)
    assert {name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)} == set()
    assert_up_to_date(clone)
    assert processes(clone) == []
    return late


def test_kills_of_each_kind(undisturbed: Undisturbed, tmp_path: Path) -> None:
    kills = [
        Kill("dvc", TRAINING, "group", 0.5, checkpoints=3),
        Kill("snakemake", "select-Tiny-1", "snakemake", 0.5),
        Kill("snakemake", "evaluate-Tiny-1", "dvc", 0.8),
        Kill("dvc", "report-Tiny", "stage", 0.5),
    ]
    for attempt in range(4):
        late = survive(longer(tmp_path / str(attempt)), kills, undisturbed)
        # A stage quicker than when it was timed is over before its kill comes, which is then tried again, earlier.
        kills = [replace(plan, fraction=plan.fraction / 2) for plan in late]
        if not kills:
            return
    raise AssertionError(f"came too late: {kills}")


@pytest.mark.parametrize("killed", TOOLS)
def test_an_orphan_is_named_until_it_is_gone(undisturbed: Undisturbed, tmp_path: Path, killed: str) -> None:
    """Under `killed`, which dies; what it leaves is stopped, so that it is certainly there when the next runs come."""
    clone, stage = longer(tmp_path / "clone"), TRAINING
    with started(clone, killed, stage) as tool:
        begins(clone, tool, stage)
        while not trained(clone):
            time.sleep(0.02)
        tool.kill()
        tool.wait()
    orphans = processes(clone)
    for orphan in orphans:
        orphan.suspend()
    for tool_name in TOOLS:
        assert_refused(clone.run(*command(tool_name, stage), check=False), orphans)
    for orphan in orphans:
        orphan.resume()
    psutil.wait_procs(orphans, timeout=120)
    kept = trained(clone)
    complete(clone, other(killed), stage)
    assert trained(clone) == kept
    made = {name for name in undisturbed[0] if "/checkpoints/" in name}
    assert {name: digests(clone)[name] for name in made} == {name: undisturbed[0][name] for name in made}


@pytest.mark.slow
def test_twenty_kills_at_random_moments_of_every_stage(undisturbed: Undisturbed, tmp_path: Path) -> None:
    seed = int(os.environ.get("DEXHAND_KILL_SEED") or secrets.randbelow(2**31))
    print(f"DEXHAND_KILL_SEED={seed}")
    draw = random.Random(seed)
    hits = rounds = 0
    while hits < 20:
        clone = longer(tmp_path / str(rounds))
        kills = [drawn(draw, stage) for stage in STAGES_AND_TRAINING_TWICE]
        hits += len(kills) - len(survive(clone, kills, undisturbed))
        rounds += 1
    print(f"{hits} kills in {rounds} rounds")


def drawn(draw: random.Random, stage: str) -> Kill:
    """A random kill in a stage; the training is always killed before its last checkpoint."""
    tool = "dvc" if stage == "plan" else draw.choice(["snakemake", "dvc"])
    target = draw.choice([each for each in TARGETS if each != "snakemake" or tool == "snakemake"])
    return Kill(tool, stage, target, draw.random(), draw.randint(0, 4) if stage == TRAINING else 0)
