"""A user's mistake is one line on stderr and exit code 2, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from dexhand_env.rl.checkpoint import load_checkpoint, save_checkpoint
from dexhand_env.rl.training import run_training
from tests.rl.runs import params, spec

from .programs import ROOT, dexhand, files, train


def refused(folder: Path, *options: str) -> str:
    """The line that train.py says; it must leave the folder as it was."""
    before = files(folder)
    result = train(folder, *options)
    assert result.returncode == 2, result
    assert files(folder) == before
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("train.py: ")
    return lines[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--task", "BasTask"], "--task: found the task 'BasTask'; allowed: BaseTask"),
        (["--taks", "BaseTask"], "--taks"),
        (["--num-envs", "many"], "--num-envs"),
        (["--num-envs", "0"], "--num-envs"),
        (["--num-envs", "1.5"], "--num-envs"),
        (["--seed", "-2"], "--seed"),
        (["--seed", str(2**31)], "--seed"),
        (["--max-iterations", "0"], "--max-iterations"),
        (["--log-interval", "0"], "--log-interval"),
        (["--headless", "--num-envs"], "--num-envs"),
        (["--test"], "--test: given without --checkpoint"),
        (["--test", "--checkpoint", "none.pth"], "--checkpoint: none.pth is not a file"),
        (
            ["--checkpoint", "."],
            "--checkpoint: . holds no checkpoint; allowed: runs/<name>/nn/checkpoint_<iteration>.pth",
        ),
        (["--checkpoint", "latest"], "--checkpoint: latest, but no run below runs/ has a checkpoint"),
        (["--episodes", "5"], "--episodes: given without --test"),
        (["--sim-device", "gpu"], "--sim-device: found 'gpu'; allowed: auto, cpu, cuda, cuda:0"),
        (["--sim-device", "cuda:0"], "--sim-device: cuda:0: "),
        (["--sim-device", "cuda:0", "sim.backend=mujoco"], "--sim-device: cuda:0: sim.backend mujoco steps physics on"),
        (["sim.backend=mujoco_warp"], "--sim-device: cuda:0: "),
        (["--rl-device", "cuda:x"], "--rl-device: found 'cuda:x'"),
        (["--rl-device", "cuda:99"], "--rl-device: cuda:99: "),
        (["--experiment-name", "../outside"], "--experiment-name"),
        (["--train-config", "missing.yaml"], "missing.yaml"),
        (["rewards.sucess=2"], "rewards.sucess"),
        (["params.config.gamma=2"], "params.config.gamma"),
        (["sim.backend=isaac_gym"], "sim.backend"),
        (["params.config.minibatch_size=3000"], "minibatch_size"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(tmp_path: Path, options: list[str], says: str) -> None:
    assert says in refused(tmp_path, *options)


def test_a_minibatch_that_does_not_divide_names_what_would(tmp_path: Path) -> None:
    line = refused(tmp_path, "--num-envs", "600")  # 16 x 600 samples, minibatches of 8192
    assert "8192 does not divide horizon_length 16 x num_envs 600 = 9600" in line
    assert "num_envs 512 or 1024" in line


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "notes.txt").touch()
    line = refused(tmp_path, "--experiment-name", "mine", "--headless")
    assert "--experiment-name: runs/mine exists; allowed: another name, or --checkpoint runs/mine to go on" in line


def test_a_file_where_the_runs_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way", encoding="utf-8")
    line = refused(tmp_path, "--headless", "--num-envs", "64", "--max-iterations", "1")
    assert "cannot be made: runs is a file; allowed: a folder that you may write to" in line


def test_a_train_config_with_a_mistake_names_file_and_key(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "dexhand_env" / "cfg" / "train" / "BaseTaskPPO.yaml").read_text(encoding="utf-8"))
    values["params"]["config"]["learning_rat"] = 1.0
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    line = refused(tmp_path, "--train-config", "own.yaml", "--headless")
    assert "own.yaml" in line
    assert "params.config.learning_rat" in line


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small network in 8 worlds."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    run_training(spec(params=params(max_epochs=1)), folder)
    return folder / "nn" / "checkpoint_1.pth"


@pytest.mark.parametrize("mode", [["--test"], []], ids=["test", "resume"])
@pytest.mark.parametrize("kind", ["text", "truncated", "partial"])
def test_a_checkpoint_that_is_not_one_is_refused(tmp_path: Path, trained: Path, kind: str, mode: list[str]) -> None:
    path = tmp_path / "checkpoint_1.pth"
    if kind == "text":
        path.write_text("weights", encoding="utf-8")
    elif kind == "truncated":
        path.write_bytes(trained.read_bytes()[:2000])
    else:
        save_checkpoint(path, {"model": {"weight": torch.zeros(2)}})
    before = files(tmp_path)
    result = train(tmp_path, "--checkpoint", path.name, "--headless", "--num-envs", "64", *mode)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("train.py: checkpoint checkpoint_1.pth: ")
    assert ("lacks task" if kind == "partial" else "cannot be read as weights") in line
    assert files(tmp_path) == before


def test_a_checkpoint_of_another_run_is_refused_and_its_folder_untouched(tmp_path: Path, trained: Path) -> None:
    """Its own network, but not its number of worlds."""
    nn = tmp_path / "runs" / "old" / "nn"
    nn.mkdir(parents=True)
    shutil.copy(trained, nn / "checkpoint_1.pth")
    before = files(tmp_path)
    small = [
        "params.network.mlp.units=[32,16]",
        "params.config.horizon_length=8",
        "params.config.minibatch_size=32",
        "episode_length_steps=12",
    ]
    options = ("--headless", "--checkpoint", "runs/old/nn/checkpoint_1.pth", "--num-envs", "16", *small)
    result = train(tmp_path, *options)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "was written with --num-envs 8; allowed: --num-envs 8 to go on from it" in line
    assert files(tmp_path) == before


def test_a_policy_for_other_observations_is_not_tested(tmp_path: Path, trained: Path) -> None:
    shutil.copy(trained, tmp_path / "checkpoint_1.pth")
    options = ("--headless", "--test", "--checkpoint", "checkpoint_1.pth", "observations.policy=[goal_errors]")
    result = train(tmp_path, *options)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "checkpoint_1.pth: observation 1 of the policy: joint_positions (26); allowed: goal_errors (18)" in line
    assert load_checkpoint(trained)["num_actions"] == 18


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate"], "an experiment and a seed are missing; allowed: <Experiment> <seed>, or --policy DexGrasp"),
        (["select"], "Missing argument"),
        (["evaluate", "Tiny", "one"], "seed"),
        (["evaluate", "Tiny", "1"], "run first: python -m dexhand_env.stages.validate Tiny evaluation"),
        (["validate", "Tiny"], "configs/experiments.yaml"),
        (["select", "Tiny", "-1"], "-1"),
        (["report", "Tiny"], "results/Tiny"),
        (["nothing"], "nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_dexhands_commands_answer_in_one_line_too(tmp_path: Path, arguments: list[str], says: str) -> None:
    result = dexhand(tmp_path, *arguments)
    assert result.returncode == 2, result
    (line,) = result.stderr.splitlines()
    assert says in line
    assert files(tmp_path) == {}
