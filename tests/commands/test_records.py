"""args.yaml and train_config.yaml describe the run that they lie in, whatever else was tried there."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.commands.repeat import changed_values
from dexhand_env.config.layers import merge
from dexhand_env.config.registry import load_task
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint, save_checkpoint

from .programs import files, start_train, train

SMALL = (
    *("--num-envs", "16", "--headless", "--log-interval", "3", "episode_length_steps=12", "sim.physics=fast"),
    *("params.network.mlp.units=[32,16]", "params.config.horizon_length=8", "params.config.minibatch_size=64"),
)
PATIENCE_S = 120
CURRICULUM = {"success_rate": 0.5, "episodes": 100, "widenings": 1, "from": {"success.hold_steps": 1}}


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `half` of two iterations. Not to be changed."""
    folder = tmp_path_factory.mktemp("half")
    result = train(folder, *SMALL, "--experiment-name", "half", "--max-iterations", "2", "rewards.success=50")
    assert (result.returncode, result.stderr) == (0, "")
    return folder


@pytest.fixture
def folder(half: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    shutil.copytree(half, tmp_path, dirs_exist_ok=True)
    return tmp_path


def arguments(folder: Path, run: str) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "runs" / run / "args.yaml").read_text(encoding="utf-8")))


def checkpoint(folder: Path, run: str, iteration: int) -> Path:
    return folder / "runs" / run / "nn" / f"checkpoint_{iteration}.pth"


def wait_for(path: Path, program: subprocess.Popen[str]) -> None:
    """Until a program has written a file."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.is_file():
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Two programs


def test_two_runs_of_one_second_are_two_runs(tmp_path: Path) -> None:
    programs = [start_train(tmp_path, *SMALL, "--max-iterations", "2", "--seed", str(seed)) for seed in (1, 2)]
    for program in programs:
        _, error = program.communicate(timeout=PATIENCE_S)
        assert (program.returncode, error) == (0, "")
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(runs) == 2
    assert all(re.fullmatch(r"BaseTask_\d{8}_\d{6}(_2)?", run) for run in runs)
    seeds = [arguments(tmp_path, run)["seed"] for run in runs]
    assert seeds == [load_checkpoint(checkpoint(tmp_path, run, 2), TRAINING_KEYS)["seed"] for run in runs]
    assert sorted(seeds) == [1, 2]


def test_a_program_that_is_refused_changes_no_byte_of_a_busy_run(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "busy"
    training = start_train(tmp_path, *SMALL, "--max-iterations", "100000", "--experiment-name", "busy")
    try:
        wait_for(run / "nn" / "checkpoint_100.pth", training)
        training.send_signal(signal.SIGSTOP)  # it holds the lock and writes nothing of its own meanwhile
        before = files(run)
        other = ("--max-iterations", "200000", "--headless", "rewards.success=77", "params.config.gamma=0.5")
        for named in ("runs/busy", "latest"):
            result = train(tmp_path, "--checkpoint", named, *other)
            assert result.returncode == 2
            assert "trains in this folder" in result.stderr
            assert files(run) == before
        result = train(tmp_path, *SMALL, "--experiment-name", "busy")
        assert (result.returncode, result.stdout) == (2, "")
        assert files(run) == before
    finally:
        training.send_signal(signal.SIGCONT)
        training.kill()
        training.communicate()


# A resumption that fails


def test_a_resumption_that_fails_can_be_tried_again_as_before(folder: Path) -> None:
    state = load_checkpoint(checkpoint(folder, "half", 2), TRAINING_KEYS)
    state["env_state"]["sim"] = {}  # loads, and cannot be restored
    save_checkpoint(folder / "damaged.pth", state)
    shutil.copyfile(folder / "damaged.pth", checkpoint(folder, "half", 3))
    before = files(folder)
    options = ("--headless", "--max-iterations", "4")
    result = train(folder, "--checkpoint", "runs/half", *options, "rewards.success=7")
    assert result.returncode == 2
    assert result.stderr.startswith("train.py: checkpoint runs/half/nn/checkpoint_3.pth: does not fit: ")
    assert files(folder) == before
    result = train(folder, "--checkpoint", "damaged.pth", *SMALL, *options, "rewards.success=7")
    assert result.returncode == 2
    assert files(folder) == before
    checkpoint(folder, "half", 3).unlink()
    assert train(folder, "--checkpoint", "runs/half", *options).returncode == 0
    assert arguments(folder, "half")["task_config"]["rewards"]["success"] == 50


# The command


def again(folder: Path, run: str, name: str) -> dict[str, Any]:
    """Run a recorded command under another name; returns what that run says of itself."""
    program, command, *options = shlex.split(arguments(folder, run)["command"])
    assert (program, command) == ("dexhand", "train")  # no train.py lies in the folder
    result = train(folder, *options, "--experiment-name", name)
    assert (result.returncode, result.stderr) == (0, "")
    return arguments(folder, name)


def test_after_a_resumption_that_changes_nothing_the_command_begins_from_nothing(folder: Path) -> None:
    assert train(folder, "--checkpoint", "runs/half", "--headless", "--max-iterations", "4").returncode == 0
    recorded = arguments(folder, "half")
    assert (recorded["began_from"], recorded["overrides"]) == (None, [])
    repeated = again(folder, "half", "again")
    assert repeated["task_config"] == recorded["task_config"]
    assert checkpoint(folder, "again", 4).read_bytes() == checkpoint(folder, "half", 4).read_bytes()


@pytest.mark.parametrize("name", [None, "other"])
def test_after_one_that_changes_something_the_command_begins_where_that_did(folder: Path, name: str | None) -> None:
    into = () if name is None else ("--experiment-name", name)
    run = name or "half"
    changed = ("rewards.success=2", "params.config.gamma=0.5")
    options = ("--headless", "--max-iterations", "3")
    assert train(folder, "--checkpoint", "runs/half", *options, *into, *changed).returncode == 0
    assert train(folder, "--checkpoint", f"runs/{run}", "--headless", "--max-iterations", "4").returncode == 0
    recorded = arguments(folder, run)
    kept = folder / recorded["began_from"]
    assert kept.read_bytes() == checkpoint(folder, "half", 2).read_bytes()
    assert kept.parent == folder / "runs" / run
    assert recorded["task_config"]["rewards"]["success"] == 2
    again(folder, run, "again")
    assert checkpoint(folder, "again", 4).read_bytes() == checkpoint(folder, run, 4).read_bytes()


def test_the_command_holds_whatever_becomes_of_the_run_that_it_began_from(folder: Path) -> None:
    go_on = ("--checkpoint", "runs/half", "--headless", "--max-iterations", "3")
    assert train(folder, *go_on, "--experiment-name", "other", "params.config.gamma=0.9").returncode == 0
    before = arguments(folder, "other")
    assert train(folder, *go_on, "rewards.success=99", "--torch-deterministic").returncode == 0
    repeated = again(folder, "other", "again")
    for name in ("task_config", "torch_deterministic", "num_envs"):
        assert repeated[name] == before[name]
    assert checkpoint(folder, "again", 3).read_bytes() == checkpoint(folder, "other", 3).read_bytes()
    shutil.rmtree(folder / "runs" / "half")
    (folder / "runs" / "other").rename(folder / "runs" / "moved")
    resumed = train(folder, "--checkpoint", "runs/moved", "--headless", "--max-iterations", "4")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert Path(arguments(folder, "moved")["began_from"]).parent == Path("runs/moved")
    again(folder, "moved", "once_more")
    assert checkpoint(folder, "once_more", 4).read_bytes() == checkpoint(folder, "moved", 4).read_bytes()


def test_an_abandoned_part_names_its_own_ppo_file(folder: Path) -> None:
    shutil.copyfile(checkpoint(folder, "half", 2), checkpoint(folder, "half", 1))
    state = load_checkpoint(checkpoint(folder, "half", 1), TRAINING_KEYS)
    save_checkpoint(checkpoint(folder, "half", 1), {**state, "iteration": 1})
    options = ("--checkpoint", "runs/half/nn/checkpoint_1.pth", "--headless", "--max-iterations", "2")
    assert train(folder, *options, "params.config.gamma=0.5").returncode == 0
    aside = folder / "runs" / "half" / "abandoned_1"
    assert "--train-config runs/half/abandoned_1/train_config.yaml" in arguments(folder, "half/abandoned_1")["command"]
    assert yaml.safe_load((aside / "train_config.yaml").read_text())["params"]["config"]["gamma"] != 0.5


def test_a_best_that_other_settings_would_not_reach_is_set_aside(folder: Path) -> None:
    state = load_checkpoint(checkpoint(folder, "half", 2), TRAINING_KEYS)
    best = folder / "runs" / "half" / "nn" / "checkpoint_best.pth"
    save_checkpoint(best, {**state, "iteration": 9, "best_return": 1e6})
    options = ("--checkpoint", "runs/half/nn/checkpoint_2.pth", "--headless", "--max-iterations", "3")
    assert train(folder, *options, "params.config.gamma=0.5").returncode == 0
    aside = folder / "runs" / "half" / "abandoned_1" / "nn" / "checkpoint_best.pth"
    assert load_checkpoint(aside, TRAINING_KEYS)["iteration"] == 9


def test_records_of_other_settings_come_with_their_first_checkpoint(folder: Path) -> None:
    """Until then the folder holds the old policy alone."""
    before = arguments(folder, "half")
    options = ("--headless", "--max-iterations", "100000", "rewards.success=7", "params.config.save_best_after=100000")
    training = start_train(folder, "--checkpoint", "runs/half", *options, "params.config.save_frequency=100000")
    try:
        log = folder / "runs" / "half" / "train.log"
        deadline = time.monotonic() + PATIENCE_S
        while "iteration 9," not in log.read_text(encoding="utf-8"):
            assert training.poll() is None, training.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        training.kill()
        training.communicate()
    assert arguments(folder, "half") == before


def test_a_run_without_a_checkpoint_frees_its_name(folder: Path) -> None:
    for path in (folder / "runs" / "half" / "nn").iterdir():
        path.unlink()
    result = train(folder, *SMALL, "--experiment-name", "half", "--max-iterations", "1")
    assert (result.returncode, result.stderr) == (0, "")
    assert len((folder / "runs" / "half" / "history.csv").read_text().splitlines()) == 2


def test_a_number_of_iterations_that_is_typed_as_ppos_counts(folder: Path) -> None:
    options = ("--checkpoint", "runs/half", "--headless", "params.config.max_epochs=3")
    assert train(folder, *options).returncode == 0
    assert checkpoint(folder, "half", 3).is_file()


@pytest.mark.parametrize("name", ["summaries", "nn"])
def test_what_is_in_the_way_in_the_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / name).touch()
    result = train(tmp_path, *SMALL, "--experiment-name", "mine", "--max-iterations", "1")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert re.search(rf"runs/mine/{name}\S*: is in the way", result.stderr)


def test_a_value_that_was_switched_off_stays_off(folder: Path) -> None:
    """What a record leaves out would come back from the task's own YAML."""
    eased = load_task("BaseTask", {"curriculum": CURRICULUM})
    off = load_task("BaseTask", merge(eased.record(), {"curriculum": None}))
    assert eased.curriculum is not None
    assert off.record()["curriculum"] is None
    for config in (eased, off):
        assert load_task("BaseTask", merge(eased.record(), config.record())) == config
    options = ("--checkpoint", "runs/half", "--headless", "--max-iterations", "3")
    assert train(folder, *options).returncode == 0
    assert arguments(folder, "half")["task_config"]["curriculum"] is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1e6, 1e6) | st.sampled_from(["no", "1e5", "a b", "ü"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(base=MAPPINGS, values=MAPPINGS)
def test_the_changed_values_typed_over_the_base_give_the_values(base: dict[str, Any], values: dict[str, Any]) -> None:
    wanted = merge(base, values)
    assert merge(base, parse_overrides(changed_values(base, wanted))) == wanted
