"""A real small training run as the guide types it; then tested, and gone on with."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint

from .programs import dexhand, files, train

# Small enough to learn in a second; all else is as shipped.
SMALL = ("params.network.mlp.units=[32,16]", "params.config.mini_epochs=2", "episode_length_steps=20")
OPTIONS = ("--num-envs", "64", "--headless", "--max-iterations", "2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with one run in it, and what the program said. Not to be changed."""
    folder = tmp_path_factory.mktemp("guide")
    return folder, train(folder, *OPTIONS, *SMALL)


@pytest.fixture
def mine(trained: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """The run folder in a copy of one's own, below runs/."""
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    (run,) = (tmp_path / "runs").iterdir()
    return run


def test_the_run_leaves_the_guides_files(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, result = trained
    assert (result.returncode, result.stderr) == (0, "")
    (run,) = (folder / "runs").iterdir()
    assert re.fullmatch(r"BaseTask_\d{8}_\d{6}", run.name)
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("summaries/events.out.tfevents.")}
    assert len(events) == 1
    expected = {"args.yaml", "train_config.yaml", "train.log", "history.csv", "nn/checkpoint_2.pth"}
    assert names - events - {"nn/checkpoint_best.pth"} == expected
    assert [path.name for path in folder.iterdir()] == ["runs"]
    assert load_checkpoint(run / "nn" / "checkpoint_2.pth", TRAINING_KEYS)["frames"] == 2 * 16 * 64


def test_it_says_what_it_does(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, result = trained
    (run,) = (folder / "runs").iterdir()
    lines = result.stdout.splitlines()
    assert lines[0] == "minibatch_size 8192 shrinks to 1024: horizon_length 16 x 64 environments"
    assert "devices: physics on cpu, learning on cpu" in lines
    assert f"training BaseTask in runs/{run.name}, seed 42" in lines
    assert any(re.match(r"iteration 2, frames 2048, .*learning rate .*frames/s$", line) for line in lines)
    assert re.match(r"2 iterations, 2048 frames, [\d.]+ s$", lines[-1])
    assert "\x1b" not in result.stdout
    log = (run / "train.log").read_text(encoding="utf-8").splitlines()
    assert [re.sub(r"^\S+ \S+ ", "", line) for line in log] == [line for line in lines if line in "\n".join(log)]


def test_args_and_train_config_say_all_that_was_decided(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    (run,) = (trained[0] / "runs").iterdir()
    args = yaml.safe_load((run / "args.yaml").read_text(encoding="utf-8"))
    assert (args["task"], args["num_envs"], args["seed"], args["headless"], args["max_iterations"]) == (
        "BaseTask", 64, 42, True, 2,
    )  # fmt: skip
    assert args["overrides"] == list(SMALL)
    assert args["task_config"]["episode_length_steps"] == 20
    config = yaml.safe_load((run / "train_config.yaml").read_text(encoding="utf-8"))["params"]
    assert config["network"]["mlp"]["units"] == [32, 16]
    assert (config["config"]["minibatch_size"], config["config"]["max_epochs"]) == (1024, 2)


def test_tensorboard_lists_the_curves(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    (run,) = (trained[0] / "runs").iterdir()
    events = EventAccumulator(str(run / "summaries"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    expected = {
        *(f"losses/{name}" for name in ("policy_loss", "value_loss", "entropy", "bounds_loss")),
        *(f"info/{name}" for name in ("kl", "learning_rate", "nan_resets", "contact_overflows")),
        *(f"episode/{name}" for name in ("return", "success_rate", "episode_length")),
        *(f"performance/{name}" for name in ("seconds", "cpu_seconds", "frames_per_second")),
        *(
            f"reward/{name}"
            for name in ("position_progress", "rotation_progress", "finger_progress", "action_rate", "success")
        ),
        *(f"termination/{name}" for name in ("success", "timeout", "nan")),
    }
    assert expected <= tags
    losses = events.Scalars("losses/policy_loss")
    assert [event.step for event in losses] == [1024, 2048]


def test_its_train_config_trains_the_same_policy(mine: Path) -> None:
    root = mine.parent.parent
    config = f"runs/{mine.name}/train_config.yaml"
    options = ("--train-config", config, "--experiment-name", "again", "episode_length_steps=20")
    result = train(root, *OPTIONS, *options)
    assert (result.returncode, result.stderr) == (0, "")
    again, first = (root / "runs" / name / "nn" / "checkpoint_2.pth" for name in ("again", mine.name))
    assert again.read_bytes() == first.read_bytes()


def test_a_checkpoint_is_tested(mine: Path) -> None:
    root, before = mine.parent.parent, files(mine)
    options = ("--headless", "--test", "--checkpoint", f"runs/{mine.name}/nn/checkpoint_2.pth", "--episodes", "12")
    result = train(root, *options, "episode_length_steps=20")
    assert (result.returncode, result.stderr) == (0, "")
    episodes = re.findall(
        r"^episode (\d+): (\w+), reward (-?[\d.]+), length (\d+), position_error_m [\d.]+, rotation_error_rad [\d.]+, "
        r"finger_error_rad [\d.]+$",
        result.stdout,
        re.MULTILINE,
    )
    assert [int(index) for index, *_ in episodes] == list(range(12))
    last = re.fullmatch(
        r"success (\d+) of 12 = ([\d.]+), 95 % interval \[([\d.]+), ([\d.]+)\]; average reward (-?[\d.]+), "
        r"episode length ([\d.]+)",
        result.stdout.splitlines()[-1],
    )
    assert last is not None
    assert int(last[1]) == sum(outcome == "success" for _, outcome, _, _ in episodes)
    assert float(last[3]) <= float(last[2]) <= float(last[4])
    assert float(last[5]) == pytest.approx(sum(float(reward) for *_, reward, _ in episodes) / 12, abs=2e-3)
    assert files(mine) == before
    assert [path.name for path in (root / "runs").iterdir()] == [mine.name]
    for worlds in ("1", "5"):  # which learn nothing, so no minibatch has to fit
        assert train(root, *options, "episode_length_steps=20", "--num-envs", worlds).stdout == result.stdout


def test_a_checkpoint_is_gone_on_with_in_its_own_folder(mine: Path) -> None:
    root = mine.parent.parent
    first = (mine / "nn" / "checkpoint_2.pth").read_bytes()
    checkpoint = f"runs/{mine.name}/nn/checkpoint_2.pth"
    options = ("--num-envs", "64", "--headless", "--checkpoint", checkpoint, "--max-iterations", "3")
    result = dexhand(root, "train", *options, *SMALL)
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.name for path in (root / "runs").iterdir()] == [mine.name]
    assert load_checkpoint(mine / "nn" / "checkpoint_3.pth", TRAINING_KEYS)["frames"] == 3 * 16 * 64
    assert (mine / "nn" / "checkpoint_2.pth").read_bytes() == first
    history = (mine / "history.csv").read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in history] == ["iteration", "1", "2", "3"]
    assert len((mine / "train.log").read_text(encoding="utf-8").splitlines()) > 3


def test_a_run_that_is_done_has_nothing_to_go_on_with(mine: Path) -> None:
    root, before = mine.parent.parent, files(mine)
    result = train(root, *OPTIONS, "--checkpoint", f"runs/{mine.name}/nn/checkpoint_2.pth", *SMALL)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line == "train.py: --max-iterations: 2, of which the checkpoint has done 2; allowed: 3 or more"
    assert files(mine) == before


def test_without_headless_it_says_where_the_viewer_is(tmp_path: Path) -> None:
    result = train(
        tmp_path,
        *("--num-envs", "8", "--max-iterations", "1", "--seed", "-1", "--experiment-name", "x", "--viewer-port", "0"),
        *SMALL,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "viewer: http://127.0.0.1:" in result.stdout
    args = yaml.safe_load((tmp_path / "runs" / "x" / "args.yaml").read_text(encoding="utf-8"))
    assert 0 <= args["seed"] < 2**31
    assert f"seed {args['seed']}" in result.stdout


def test_a_run_that_diverges_says_so_and_ends_with_1(tmp_path: Path) -> None:
    options = ("--num-envs", "8", "--headless", "--max-iterations", "3", "--experiment-name", "hot", *SMALL)
    result = train(tmp_path, *options, "params.config.learning_rate=1", "params.config.lr_schedule=constant")
    assert (result.returncode, result.stderr) == (1, "")
    last = result.stdout.splitlines()[-1]
    assert last.startswith("training diverged: the update moved the policy by ")
    assert last.endswith(" in iteration 1; no good checkpoint had been written before")
    assert (tmp_path / "runs" / "hot" / "train.log").read_text(encoding="utf-8").endswith(last + "\n")
    assert list((tmp_path / "runs" / "hot" / "nn").iterdir()) == []
