"""A full disk in each stage: one line, exit code 2, nothing half-written, and the next run goes through."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dexhand_env.stages import report, validate
from dexhand_env.stages.evaluate import evaluate
from dexhand_env.stages.inputs import seed_stage
from dexhand_env.stages.select import select
from dexhand_env.stages.train import train
from tests.disks import SmallDisk, small_disk

from .pipeline import FOLDER, NAME, SEED, digests, inside

SEED_ARGUMENTS = [NAME, str(SEED)]
STAGES: dict[str, Callable[[], int]] = {
    "validate": lambda: validate.main([NAME, "train"]),
    "train": lambda: seed_stage("train", "", train, SEED_ARGUMENTS),
    "select": lambda: seed_stage("select", "", select, SEED_ARGUMENTS),
    "evaluate": lambda: seed_stage("evaluate", "", evaluate, SEED_ARGUMENTS),
    "report": lambda: report.main([NAME]),
}
OUTPUTS = {
    "validate": [f"results/{NAME}/config/train.json"],
    "train": [f"{FOLDER}/checkpoints", f"{FOLDER}/history.csv", f"{FOLDER}/stages/train.json", "runs"],
    "select": [f"{FOLDER}/best.pth", f"{FOLDER}/selection.json", f"{FOLDER}/stages/select.json"],
    "evaluate": [f"{FOLDER}/{name}" for name in ("evaluation.json", "episodes.parquet", "replays.npz")],
    "report": [],
}


@pytest.fixture
def disk(finished: Path, tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk with a copy of the finished experiment."""
    with small_disk(tmp_path / "disk") as mounted:
        shutil.copytree(finished, mounted.path, dirs_exist_ok=True)
        yield mounted


def files(root: Path) -> dict[str, bytes]:
    """All files of the results."""
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "results").rglob("*") if path.is_file()}


FREE_KILOBYTES = {"validate": [0], "train": [0, 16, 120], "select": [0, 16], "evaluate": [0, 16], "report": [16]}


@pytest.mark.parametrize(
    ("stage", "free_kilobytes"), [(stage, free) for stage, amounts in FREE_KILOBYTES.items() for free in amounts]
)
def test_a_full_disk_is_one_line_and_the_next_run_goes_through(
    disk: SmallDisk, capsys: pytest.CaptureFixture[str], stage: str, free_kilobytes: int
) -> None:
    expected = digests(disk.path)
    # As DVC does it before a stage begins.
    for name in OUTPUTS[stage]:
        path = disk.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = files(disk.path)
    disk.fill(free_kilobytes * 1024)
    with inside(disk.path):
        assert STAGES[stage]() == 2
    message = capsys.readouterr().err
    assert "cannot be written (No space left on device)" in message
    assert message.count("\n") == 1
    assert before.items() <= files(disk.path).items()
    assert not [path for path in (disk.path / "results").rglob(".*") if path.name != ".filler"]
    disk.free()
    with inside(disk.path):
        assert STAGES[stage]() == 0
    assert digests(disk.path) == expected
    assert json.loads((disk.path / FOLDER / "stages/train.json").read_text())["stage"] == "train"
