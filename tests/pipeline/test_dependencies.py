"""A stage's dependencies are the files that it reads: all of them, so that no change is missed, and no others."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from .clone import Clone, Run

# Read, but no dependency:
NO_DEPENDENCY = {
    # every stage of an experiment checks the whole of it; the section `report` notices another set of seeds
    "configs/experiments.yaml",
    # written by workflow/plan.py itself
    "dvc.yaml",
}
# The pipeline's and git's own files, and training's folder, in which it goes on after a kill.
NOT_OURS = (".dvc/", ".git/", "runs/")
# Arrow opens its files itself; Python does not see it.
UNSEEN = (".parquet",)
# `plan` checks every config, for it needs the task; `validate-<Experiment>-report` notices when one changes.
CHECKED_BY_PLAN = {"configs/Tiny.yaml", "dexhand_env/cfg/physics.yaml"}
CHECKED_BY_PLAN |= {"dexhand_env/config/base_task.py", "dexhand_env/cfg/task_defaults.yaml"}
CHECKED_BY_PLAN |= {"dexhand_env/tasks/base_task.py"}
CHECKED_BY_PLAN |= {"dexhand_env/cfg/task/BaseTask.yaml", "dexhand_env/cfg/train/BaseTaskPPO.yaml"}

STAGES = ["plan", *(f"validate-Tiny-{section}" for section in ("train", "selection", "evaluation", "report"))]
STAGES += ["train-Tiny-1", "select-Tiny-1", "evaluate-Tiny-1", "report-Tiny", "check-Tiny"]


def declared(clone: Clone, stage: str) -> tuple[set[str], set[str]]:
    """The inputs and the outputs of a stage, as dvc.yaml lists them."""
    entry: dict[str, Any] = yaml.safe_load((clone.path / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    params = {file for item in entry.get("params", []) for file in item}
    return params | set(entry["deps"]), {*entry.get("outs", []), *entry.get("metrics", [])}


def inside(path: str, listed: set[str]) -> str | None:
    """The entry of a list that a file is, or lies in."""
    return next((entry for entry in listed if path == entry or path.startswith(f"{entry}/")), None)


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_what_the_stage_reads(first_run: tuple[Clone, Run, dict[str, set[str]]], stage: str) -> None:
    clone, _, opened = first_run
    inputs, outputs = declared(clone, stage)
    read = {path for path in opened[stage] if (clone.path / path).is_file() and not path.startswith(NOT_OURS)}
    read = {path for path in read if inside(path, outputs) is None}
    used = {inside(path, inputs) or path for path in read}
    allowed = NO_DEPENDENCY | (CHECKED_BY_PLAN if stage == "plan" else set())
    missing = used - inputs - allowed
    superfluous = {path for path in inputs - used if not path.endswith(UNSEEN)}
    assert not missing, f"{stage} reads these: list them in workflow/stages.yaml: {sorted(missing)}"
    assert not superfluous, f"{stage} does not read these: take them out of workflow/stages.yaml: {sorted(superfluous)}"


def test_every_stage_was_looked_at(first_run: tuple[Clone, Run, dict[str, set[str]]]) -> None:
    assert first_run[1].stages == sorted(STAGES)
