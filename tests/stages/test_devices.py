"""Where stages run: the CPU unless an experiment names MuJoCo Warp, then one GPU or several."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dexhand_env.config.registry import load_task
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint
from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp
from dexhand_env.stages.devices import played, training_gpus
from dexhand_env.stages.train import share_of
from dexhand_env.stages.validate import validate

from .pipeline import FOLDER, NAME, ROOT, SEED, write_configs


def task(backend: str) -> Any:
    return load_task("BaseTask", {"sim": {"backend": backend}})


def under_warp(root: Path) -> None:
    """The tiny experiment, trained by MuJoCo Warp."""
    write_configs(root)
    file = root / "configs" / f"{NAME}.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    values["env"]["sim"]["backend"] = "mujoco_warp"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    for section in ("train", "selection", "evaluation"):
        validate(NAME, section, root)


def stage(root: Path, name: str, *launcher: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, "-m", f"dexhand_env.stages.{name}", NAME, str(SEED)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "DEXHAND_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **variables}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("backend", ["auto", "mujoco"])
def test_an_experiment_that_does_not_name_warp_trains_on_the_cpu(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEXHAND_GPUS", "2")
    assert training_gpus(task(backend), "configs/Tiny.yaml") == 0


def test_policies_are_tested_by_mujoco_whatever_they_were_trained_under() -> None:
    for backend in ("auto", "mujoco", "mujoco_warp"):
        assert played(task(backend)) == task("mujoco")


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_of_gpus_that_is_none_is_refused(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEXHAND_GPUS", number)
    with pytest.raises(UserError, match=f"DEXHAND_GPUS: found '{number}'; allowed: a number of GPUs, 1 or more"):
        training_gpus(task("mujoco_warp"), "configs/Tiny.yaml")


@pytest.mark.parametrize("gpus", ["1", "2"])
def test_without_a_gpu_it_is_refused_in_one_line_and_nothing_is_written(tmp_path: Path, gpus: str) -> None:
    under_warp(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = stage(tmp_path, "train", CUDA_VISIBLE_DEVICES="", DEXHAND_GPUS=gpus)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert f"configs/{NAME}.yaml: env.sim.backend: mujoco_warp on {gpus} GPUs: " in line
    assert line.endswith("; allowed: auto, mujoco")
    assert sorted(tmp_path.rglob("*")) == before


def test_environments_and_minibatches_are_shared_out() -> None:
    params = {"params": load_params(), "num_envs": 8}
    shared, num_envs = share_of(params, 2, "configs/Tiny.yaml")
    assert (shared.config.minibatch_size, num_envs) == (16, 4)
    with pytest.raises(UserError, match=r"configs/Tiny\.yaml: train\.num_envs: 8 for 3 GPUs; allowed: a multiple of 3"):
        share_of(params, 3, "configs/Tiny.yaml")


def load_params() -> Any:
    from tests.rl.runs import params

    return params()


def test_several_processes_train_one_experiment(tmp_path: Path) -> None:
    """As torch's launcher starts them, here on the CPU: as many frames as one, one record, one publication."""
    write_configs(tmp_path)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    result = stage(tmp_path, "train", *launcher)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / FOLDER / "stages" / "train.json").read_text(encoding="utf-8"))
    assert (record["processes"], record["iterations"], record["frames"]) == (2, 2, 128)
    with (tmp_path / FOLDER / "history.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["frames"] for row in csv.DictReader(stream)] == ["64", "128"]
    state = load_checkpoint(tmp_path / FOLDER / "checkpoints" / "checkpoint_2.pth", TRAINING_KEYS)
    assert len(state["env_state"]["lengths"]) == 4
    assert len(state["other_processes"]) == 1
    assert stage(tmp_path, "select").returncode == 0


def test_a_training_on_a_gpu_is_tested_on_the_cpu(tmp_path: Path) -> None:
    if why_no_warp(find_driver(), 0, warp_installed()) is not None:
        pytest.skip("no CUDA")
    under_warp(tmp_path)
    for name in ("train", "select", "evaluate"):
        result = stage(tmp_path, name)
        assert result.returncode == 0, result.stderr
    records = {
        name: json.loads((tmp_path / FOLDER / "stages" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("train", "select", "evaluate")
    }
    assert records["train"]["machine"]["gpu"]
    assert records["train"]["versions"]["mujoco-warp"]
    assert records["select"]["machine"]["gpu"] is records["evaluate"]["machine"]["gpu"] is None
