"""The pipeline of an experiment that trains under Isaac Gym: only its training goes on in another Python."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from .clone import ROOT, TRACER, UP_TO_DATE, Clone
from .test_dependencies import NO_DEPENDENCY, UNSEEN, declared, inside

TRAIN = "train-Tiny-1"
# Of the group `simulation`, which is the same for all backends; a task whose observations are declared nowhere but in
# its code is tried out by MuJoCo.
FOR_A_TRIAL = {f"dexhand_env/sim/{name}.py" for name in ("model_fields", "mujoco_cpu", "mujoco_model")}


def test_what_training_reads_is_a_dependency_and_all_runs_once(fresh: Callable[[str], Clone]) -> None:
    clone = fresh("Tiny: [1]\n")
    clone.edit("configs/Tiny.yaml", "sim: {physics: fast}", "sim: {physics: fast, backend: isaac_gym}")
    clone.run("python", "-m", "workflow.plan")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(TRACER), str(ROOT / "tests" / "stand_in")]),
        "DEXHAND_ISAACGYM_PYTHON": sys.executable,
        "DEXHAND_GPUS": "0",
    }
    run = clone.run("env", *(f"{name}={value}" for name, value in environment.items()), "dvc", "repro", "report-Tiny")
    assert {TRAIN, "select-Tiny-1", "evaluate-Tiny-1", "report-Tiny"} <= set(run.stages)
    for stage, superfluous in ((TRAIN, FOR_A_TRIAL), ("report-Tiny", set())):
        inputs, outputs = declared(clone, stage)
        read = {path for path in clone.opened(stage) if (clone.path / path).is_file() and inside(path, outputs) is None}
        read = {path for path in read if not path.startswith((".dvc/", ".git/", "runs/"))}
        used = {inside(path, inputs) or path for path in read} - NO_DEPENDENCY
        assert used - inputs == set()
        assert {path for path in inputs - used if not path.endswith(UNSEEN)} <= superfluous
    record = json.loads((clone.path / "results/Tiny/seed1/stages/train.json").read_text(encoding="utf-8"))
    assert record["command"] == "-m dexhand_env.stages.train Tiny 1"
    assert "requirements/isaacgym38.txt" in record["files"]
    assert "requirements/compute.txt" not in record["files"]
    again = clone.run("dvc", "repro", "report-Tiny")  # without all that: nothing is trained
    assert (UP_TO_DATE in again.output, again.stages) == (True, [])
    clone.edit("requirements/isaacgym38.txt", "torch==", "torch==0+")
    assert TRAIN in clone.dvc("status", "report-Tiny", "--with-deps").output
    refused = clone.run("dvc", "repro", "report-Tiny", check=False, DEXHAND_GPUS="0")
    assert refused.code != 0
    assert "env.sim.backend: isaac_gym: DEXHAND_ISAACGYM_PYTHON is not set" in refused.output
