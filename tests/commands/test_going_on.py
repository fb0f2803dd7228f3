"""A run is gone on with, tested and repeated from what its folder says, without typing its options again."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint

from .programs import files, train

SMALL = ("params.network.mlp.units=[32,16]", "params.config.horizon_length=8", "params.config.minibatch_size=64")
OPTIONS = (
    "--num-envs",
    "16",
    "--headless",
    "--log-interval",
    "3",
    *SMALL,
    "episode_length_steps=12",
    "sim.physics=fast",
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `straight` of four iterations and `half` of two. Not to be changed."""
    folder = tmp_path_factory.mktemp("straight")
    for name, iterations in (("straight", "4"), ("half", "2")):
        result = train(folder, *OPTIONS, "--experiment-name", name, "--max-iterations", iterations, "--seed", "5")
        assert (result.returncode, result.stderr) == (0, "")
    return folder


@pytest.fixture
def folder(straight: Path, tmp_path: Path) -> Path:
    """A copy of one's own of both runs."""
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    return tmp_path


def checkpoint(folder: Path, run: str, iteration: int) -> Path:
    return folder / "runs" / run / "nn" / f"checkpoint_{iteration}.pth"


@pytest.mark.parametrize("named", ["latest", "runs/half", "runs/half/nn", "runs/half/nn/checkpoint_2.pth"])
def test_half_and_half_is_the_whole_run_with_no_option_but_the_total(folder: Path, named: str) -> None:
    os.utime(checkpoint(folder, "half", 2))
    result = train(folder, "--checkpoint", named, "--max-iterations", "4", "--headless")
    assert (result.returncode, result.stderr) == (0, "")
    notice = "checkpoint runs/half/nn/checkpoint_2.pth; what the command line leaves open is as in runs/half/args.yaml"
    assert result.stdout.splitlines()[0] == notice
    assert checkpoint(folder, "half", 4).read_bytes() == checkpoint(folder, "straight", 4).read_bytes()
    args = yaml.safe_load((folder / "runs" / "half" / "args.yaml").read_text(encoding="utf-8"))
    assert (args["num_envs"], args["log_interval"], args["max_iterations"], args["seed"]) == (16, 3, 4, 5)
    assert args["task_config"]["episode_length_steps"] == 12


def test_the_latest_run_is_the_one_whose_checkpoint_was_written_last(folder: Path) -> None:
    os.utime(checkpoint(folder, "straight", 4), (1, 1))
    os.utime(checkpoint(folder, "half", 2))
    (folder / "runs" / "empty").mkdir()
    shutil.copytree(folder / "runs" / "half", folder / "runs" / "going")
    checkpoint(folder, "going", 9).symlink_to("gone")  # listed, and not there any more
    result = train(folder, "--checkpoint", "latest", "--test", "--episodes", "2", "--headless")
    assert result.stdout.startswith("checkpoint runs/half/nn/checkpoint_")


def test_what_is_typed_counts_more_than_what_was_recorded(folder: Path) -> None:
    before = files(folder / "runs" / "half")
    options = ("--experiment-name", "other", "--max-iterations", "3", "--log-interval", "7", "rewards.success=4")
    result = train(folder, "--checkpoint", "runs/half", "--headless", *options, "params.config.gamma=0.5")
    assert (result.returncode, result.stderr) == (0, "")
    args = yaml.safe_load((folder / "runs" / "other" / "args.yaml").read_text(encoding="utf-8"))
    assert (args["log_interval"], args["task_config"]["rewards"]["success"]) == (7, 4)
    assert args["task_config"]["episode_length_steps"] == 12
    config = yaml.safe_load((folder / "runs" / "other" / "train_config.yaml").read_text(encoding="utf-8"))["params"]
    assert (config["config"]["gamma"], config["network"]["mlp"]["units"]) == (0.5, [32, 16])
    assert files(folder / "runs" / "half") == before


def test_a_run_goes_on_under_its_own_name_too(folder: Path) -> None:
    options = ("--checkpoint", "runs/half", "--experiment-name", "half", "--max-iterations", "3", "--headless")
    assert train(folder, *options).returncode == 0
    assert load_checkpoint(checkpoint(folder, "half", 3), TRAINING_KEYS)["iteration"] == 3


def test_the_recorded_command_makes_the_same_run_again(folder: Path) -> None:
    args = yaml.safe_load((folder / "runs" / "straight" / "args.yaml").read_text(encoding="utf-8"))
    program, command, *options = shlex.split(args["command"])
    assert (program, command) == ("dexhand", "train")
    result = train(folder, *options, "--experiment-name", "again")
    assert (result.returncode, result.stderr) == (0, "")
    assert checkpoint(folder, "again", 4).read_bytes() == checkpoint(folder, "straight", 4).read_bytes()


def test_a_folder_is_tested_by_its_best_checkpoint(folder: Path) -> None:
    best = folder / "runs" / "half" / "nn" / "checkpoint_best.pth"
    shutil.copy(checkpoint(folder, "half", 2), best)
    before = files(folder)
    result = train(
        folder, "--checkpoint", "runs/half", "--test", "--episodes", "3", "--headless", "sim.physics=default"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "checkpoint runs/half/nn/checkpoint_best.pth; what the command line" in result.stdout
    assert "length 12," in result.stdout  # the run's own episodes
    assert files(folder) == before


def one_line(folder: Path, *options: str) -> str:
    before = files(folder)
    result = train(folder, "--headless", *options)
    assert (result.returncode, result.stdout) == (2, "")
    assert files(folder) == before
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "observations.policy=[joint_positions,joint_velocities,target_errors,previous_actions,goal_errors,goal]",
            "observation 5 of the policy: goal (18); allowed: goal_errors (18)",
        ),
        ("hand.side=left", "was trained with hand.side right; allowed: hand.side left"),
        ("actions.mode=position", "was trained with actions.mode position_delta; allowed: actions.mode position"),
        (
            "actions.base.policy=false",
            "was trained with actions of the base and the fingers; allowed: actions of the fingers",
        ),
    ],
    ids=["permuted", "left", "position", "fingers"],
)
def test_observations_and_actions_must_mean_the_same(folder: Path, override: str, message: str) -> None:
    """In going on, in the run's folder and in a new one; in a test the notice of where options come from is first."""
    for options in (("--max-iterations", "4"), ("--max-iterations", "4", "--experiment-name", "new")):
        line = one_line(folder, "--checkpoint", "runs/half", *options, override)
        assert line == f"train.py: checkpoint runs/half/nn/checkpoint_2.pth: {message}"
    before = files(folder)
    result = train(folder, "--headless", "--test", "--checkpoint", "runs/half", "--episodes", "2", override)
    (line,) = result.stderr.splitlines()
    assert (result.returncode, line.endswith(f".pth: {message}")) == (2, True)
    assert files(folder) == before


def test_another_task_is_refused(folder: Path) -> None:
    args = folder / "runs" / "half" / "args.yaml"
    args.write_text(args.read_text(encoding="utf-8").replace("task: BaseTask", "task: Other"), encoding="utf-8")
    line = one_line(folder, "--checkpoint", "runs/half", "--task", "BaseTask")
    assert line == "train.py: --task: BaseTask, but runs/half was trained for Other; allowed: Other"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("num_envs: 16", "num_envs: many", "args.yaml:4:1: num_envs: found 'many'; allowed: a whole number at least 1"),
        ("log_interval: 3", "log_intervall: 3", "log_intervall: unknown key"),
        ("seed: 5", "seed: [", "args.yaml:"),
        ("    success: 2.0", "    success: lots", "args.yaml and command line: rewards.success: found 'lots'"),
    ],
)
def test_damaged_arguments_are_named(folder: Path, old: str, new: str, says: str) -> None:
    args = folder / "runs" / "half" / "args.yaml"
    text = args.read_text(encoding="utf-8")
    assert old in text
    args.write_text(text.replace(old, new), encoding="utf-8")
    assert says in one_line(folder, "--checkpoint", "runs/half", "--max-iterations", "3")


def test_a_folder_without_checkpoints_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "runs" / "half" / "nn")
    assert "--checkpoint: runs/half holds no checkpoint" in one_line(folder, "--checkpoint", "runs/half")
