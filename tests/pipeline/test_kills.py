"""SIGKILL at random moments: the next run of either tool completes and gives what an undisturbed one does."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from .clone import Clone, new_clone
from .killing import (
    STAGES,
    TARGETS,
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
    for plan, following in zip(kills, [*kills[1:], None], strict=True):
        victim = kill(clone, plan, seconds[plan.stage])
        kept = trained(clone)
        if following and following.stage == plan.stage:
            # Killed once more before it is through; what a killed tool left would be through by then.
            print(f"{plan}: killed {victim}; {len(kept)} checkpoints kept", flush=True)
            for orphan in processes(clone):
                orphan.kill()
            continue
        # `plan` has no output of its own for Snakemake to ask for.
        other = "dvc" if plan.tool == "snakemake" or plan.stage == "plan" else "snakemake"
        refusals = complete(clone, other, plan.stage)
        print(f"{plan}: killed {victim}; {len(kept)} checkpoints kept; {other} refused {refusals} times", flush=True)
        assert {name: written for name, written in trained(clone).items() if name in kept} == kept, "trained again"
    complete(clone, "dvc")
    found = digests(clone)
    assert {name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)} == set()
    assert_up_to_date(clone)
    assert processes(clone) == []


def test_kills_of_each_kind(undisturbed: Undisturbed, tmp_path: Path) -> None:
    kills = [
        Kill("dvc", "train-Tiny-1", "group", 0.75),
        Kill("snakemake", "select-Tiny-1", "snakemake", 0.5),
        Kill("snakemake", "evaluate-Tiny-1", "dvc", 0.8),
        Kill("dvc", "report-Tiny", "stage", 0.5),
    ]
    survive(longer(tmp_path / "clone"), kills, undisturbed)


@pytest.mark.parametrize("killed", ["dvc", "snakemake"])
def test_an_orphan_is_named_until_it_is_gone(undisturbed: Undisturbed, tmp_path: Path, killed: str) -> None:
    """Under `killed`, which dies; what it leaves is stopped, so that it is certainly there when the next runs come."""
    clone, stage = longer(tmp_path / "clone"), "train-Tiny-1"
    with started(clone, killed, stage) as tool:
        begins(clone, tool, stage)
        while not trained(clone):
            time.sleep(0.02)
        tool.kill()
        tool.wait()
    orphans = processes(clone)
    for orphan in orphans:
        orphan.suspend()
    for other in ("snakemake", "dvc"):
        assert_refused(clone.run(*command(other, stage), check=False), orphans)
    for orphan in orphans:
        orphan.resume()
    psutil.wait_procs(orphans, timeout=120)
    kept = trained(clone)
    complete(clone, "snakemake" if killed == "dvc" else "dvc", stage)
    assert trained(clone) == kept
    made = {name for name in undisturbed[0] if "/checkpoints/" in name}
    assert {name: digests(clone)[name] for name in made} == {name: undisturbed[0][name] for name in made}


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1])
def test_twenty_kills_at_random_moments_of_every_stage(undisturbed: Undisturbed, tmp_path: Path, part: int) -> None:
    seed = int(os.environ.get("DEXHAND_KILL_SEED") or secrets.randbelow(2**31))
    print(f"DEXHAND_KILL_SEED={seed}")
    draw = random.Random(seed + part)
    clone = longer(tmp_path / "clone")
    kills = []
    # Each stage once, and the training twice: it is the one that goes on from where it was.
    for stage in [*STAGES[: STAGES.index("train-Tiny-1")], "train-Tiny-1", *STAGES[STAGES.index("train-Tiny-1") :]]:
        tool = "dvc" if stage == "plan" else draw.choice(["snakemake", "dvc"])
        target = draw.choice([each for each in TARGETS if each != "snakemake" or tool == "snakemake"])
        kills.append(Kill(tool, stage, target, draw.uniform(0.0, 1.1)))
    survive(clone, kills, undisturbed)
