"""Bad input and damaged files: both tools say the same, leave the rest alone, and go on when the cause is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.disks import small_disk

from .clone import TOOLS, Clone, assert_up_to_date, other

SEED_1 = "results/Tiny/seed1"


def errors(output: str) -> set[str]:
    """The lines that say what is wrong."""
    return {line for line in output.splitlines() if line.startswith("error: ")}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("configs/experiments.yaml", "[1]", "[1, one]"),
        ("configs/Tiny.yaml", "task: BaseTask", "task: NoTask"),
        ("configs/Tiny.yaml", "num_envs: 16", "num_envs: many"),
        ("configs/Tiny.yaml", "first_seed: 2000", "first_seed: 1000"),
    ],
)
def test_both_tools_refuse_a_mistake_in_the_same_words(done: Clone, file: str, old: str, new: str) -> None:
    before, original = done.contents(), (done.path / file).read_text()
    done.edit(file, old, new)
    snakemake, dvc = done.snakemake(check=False), done.repro(check=False)
    assert errors(snakemake.output) == errors(dvc.output)
    assert len(errors(dvc.output)) == 1
    assert snakemake.code == 2
    assert dvc.code != 0
    assert set(dvc.stages) <= {"plan", "validate-Tiny-report"}
    done.write(file, original)
    assert done.snakemake().stages == []
    assert_up_to_date(done)
    assert done.contents() == before


@pytest.mark.parametrize("tool", TOOLS)
def test_damaged_and_deleted_results_come_back_from_the_cache(done: Clone, tool: str) -> None:
    before = done.contents()
    best = done.path / SEED_1 / "best.pth"
    best.write_bytes(best.read_bytes()[:100])
    (done.path / SEED_1 / "checkpoints/checkpoint_2.pth").unlink()
    (done.path / "results/Tiny/config/train.json").unlink()
    assert done.everything(tool).stages == []
    assert done.contents() == before
    assert_up_to_date(done)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_damaged_object_of_the_cache_is_named_and_the_next_run_makes_it_anew(done: Clone, tool: str) -> None:
    before = done.contents()
    # A file that no other stage wrote too, as best.pth is one of the checkpoints.
    damaged = f"{SEED_1}/selection.json"
    entry = next(part for part in (done.path / "dvc.lock").read_text().split("- path: ") if part.startswith(damaged))
    digest = entry.partition("md5: ")[2].split()[0]
    cached = done.path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cached.chmod(0o644)
    cached.write_bytes(cached.read_bytes()[:-1])
    cached.chmod(0o444)
    (done.path / damaged).unlink()
    refused = done.everything(tool, check=False)
    assert refused.code != 0
    assert len({line for line in refused.output.splitlines() if "was damaged, so it has been removed" in line}) == 1
    # Snakemake takes what a failed stage made away.
    own = {f"{SEED_1}/{name}" for name in ("best.pth", "selection.json", "stages/select.json")}
    kept = done.contents()
    assert {name for name in before.keys() - own if kept[name] != before[name]} == set()
    # The report shows when and where the selection ran.
    assert done.everything(other(tool)).stages == ["report-Tiny", "select-Tiny-1"]
    assert done.contents()[damaged] == before[damaged]
    assert_up_to_date(done)


@pytest.mark.parametrize("tool", [pytest.param("snakemake", marks=pytest.mark.slow), "dvc"])
def test_results_of_another_version_are_made_anew(done: Clone, tool: str) -> None:
    """A folder that was copied here: no dvc.lock knows it, and its files have another form."""
    before = done.contents()
    shutil.rmtree(done.path / ".dvc/cache")
    (done.path / "dvc.lock").unlink()
    shutil.rmtree(done.path / "runs")
    done.write(f"{SEED_1}/selection.json", json.dumps({"version": 0, "best": "checkpoint_3.pth"}))
    done.write(f"{SEED_1}/checkpoints/model_0003.pt", "another form")
    done.write(f"{SEED_1}/notes.txt", "mine")
    run = done.everything(tool)
    assert {"train-Tiny-1", "select-Tiny-1", "evaluate-Tiny-1", "report-Tiny"} <= set(run.stages)
    untimed = [name for name in before if name.endswith((".pth", "selection.json", "episodes.parquet"))]
    found = done.contents()
    assert {name for name in untimed if found[name] != before[name]} == set()
    assert f"{SEED_1}/checkpoints/model_0003.pt" not in found
    assert found[f"{SEED_1}/notes.txt"] == b"mine"
    assert_up_to_date(done)


@pytest.mark.parametrize(
    ("tool", "free_bytes", "where"),
    [
        ("snakemake", 0, "before any stage"),
        pytest.param("dvc", 0, "before any stage", marks=pytest.mark.slow),
        ("snakemake", 300_000, "train"),  # between what Snakemake writes first and what a training writes
        ("dvc", 600_000, "train"),  # what DVC keeps in its cache
        pytest.param("snakemake", 1_150_000, "evaluate", marks=pytest.mark.slow),  # the same
    ],
)
def test_a_full_disk_is_one_line_and_the_next_run_goes_through(
    first_run: tuple[Clone, object, object], tmp_path: Path, tool: str, free_bytes: int, where: str
) -> None:
    with small_disk(tmp_path / "disk", megabytes=40) as disk:
        clone = Clone(disk.path / "clone", tmp_path / "trace")
        shutil.copytree(first_run[0].path, clone.path, symlinks=True)
        clone.edit("configs/Tiny.yaml", "num_envs: 16", "num_envs: 32")
        before = clone.contents()
        disk.fill(free_bytes)
        run = clone.everything(tool, check=False)
        assert run.code != 0
        jobs = run.output.count("Error in rule ")  # Snakemake goes on with what does not need the failed one
        lines = [line for line in run.output.splitlines() if "No space left on device" in line]
        assert len(lines) == max(jobs, 1), run.output
        assert "Traceback" not in run.output
        done = [stage for stage in run.stages if not stage.startswith("validate")]
        assert [stage.partition("-")[0] for stage in done[:1]] == ([] if where == "before any stage" else [where])
        untouched = {name for name in before if f"/{where}" not in name and "config/" not in name}
        assert {name for name in untouched if not done and clone.contents()[name] != before[name]} == set()
        disk.free()
        clone.everything(other(tool))
        assert_up_to_date(clone)
