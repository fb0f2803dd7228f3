"""Training: reproducible, resumable bit for bit, honest about its best, and strict about what it resumes from."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest
import torch

from dexhand_env.config.registry import load_task
from dexhand_env.errors import UserError
from dexhand_env.rl.agent import DexHandAgent, TrainingDiverged
from dexhand_env.rl.checkpoint import BEST, TRAINING_KEYS, checkpoint_name, load_checkpoint, save_checkpoint
from dexhand_env.rl.statistics import EpisodeMeans
from dexhand_env.rl.training import TrainingSpec, run_lock, run_training

from .runs import ITERATIONS, critic_spec, differences, in_subprocess, params, sha256, spec, task

# Columns that say how long something took.
TIMINGS = ("seconds", "cpu_seconds", "frames_per_second")


def checkpoint(folder: Path, iteration: int) -> Path:
    return folder / "nn" / checkpoint_name(iteration)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as stream:
        return [{k: v for k, v in row.items() if k not in TIMINGS} for row in csv.DictReader(stream)]


def shortened(iterations: int) -> TrainingSpec:
    return spec(params=params(max_epochs=iterations))


def test_a_run_leaves_its_files(straight: Path) -> None:
    names = {path.name for path in (straight / "nn").iterdir()}
    assert names == {BEST, *(checkpoint_name(iteration) for iteration in range(1, ITERATIONS + 1))}
    assert [int(row["iteration"]) for row in rows(straight)] == list(range(1, ITERATIONS + 1))
    assert [int(row["frames"]) for row in rows(straight)] == [64 * i for i in range(1, ITERATIONS + 1)]
    expected = {
        "iteration", "frames", "return", "success_rate", "episode_length", "policy_loss", "value_loss", "entropy",
        "bounds_loss", "kl", "learning_rate", "nan_resets", "contact_overflows", "termination/success",
        "termination/timeout", "termination/nan",
        *(f"{kind}/{name}" for kind in ("reward", "raw_reward") for name in task().rewards),
    }  # fmt: skip
    assert set(rows(straight)[-1]) == expected


def test_checkpoints_hold_plain_values_and_learning_changes_them(straight: Path) -> None:
    first, last = (load_checkpoint(checkpoint(straight, i), TRAINING_KEYS) for i in (1, ITERATIONS))
    assert (first["task"], first["iteration"], first["frames"]) == ("BaseTask", 1, 64)
    assert last["iteration"] == ITERATIONS
    assert differences(first["model"], last["model"]) != []
    assert "running_mean_std.running_mean" in last["model"]
    assert all(torch.isfinite(values).all() for values in last["model"].values())


def test_one_seed_trains_one_policy(straight: Path, tmp_path: Path) -> None:
    """Twice on one thread, once on two: the same bytes."""
    for name, threads in (("again", 1), ("threads", 2)):
        run_training(spec(threads=threads), tmp_path / name)
        for iteration in (1, ITERATIONS):
            assert sha256(checkpoint(tmp_path / name, iteration)) == sha256(checkpoint(straight, iteration))
        assert sha256(tmp_path / name / "nn" / BEST) == sha256(straight / "nn" / BEST)
        assert rows(tmp_path / name) == rows(straight)


def test_another_seed_trains_another_policy(straight: Path, tmp_path: Path) -> None:
    run_training(spec(seed=2, params=params(max_epochs=1)), tmp_path / "run")
    other = load_checkpoint(checkpoint(tmp_path / "run", 1))
    assert differences(other["model"], load_checkpoint(checkpoint(straight, 1))["model"]) != []


RESUME = """
import sys
from pathlib import Path
from dexhand_env.rl.training import run_training
from tests.rl.runs import spec
folder = Path(sys.argv[1])
run_training(spec(), folder, folder / "nn" / "checkpoint_3.pth")
"""


def test_three_and_three_iterations_are_six(straight: Path, tmp_path: Path) -> None:
    """The second half runs in a process of its own, so nothing is left over in memory."""
    folder = tmp_path / "run"
    run_training(shortened(3), folder)
    assert sha256(checkpoint(folder, 3)) == sha256(checkpoint(straight, 3))
    resumed = in_subprocess(RESUME, str(folder))
    assert resumed.returncode == 0, resumed.stderr
    for name in [checkpoint_name(i) for i in range(4, ITERATIONS + 1)] + [BEST]:
        found, expected = (torch.load(each / "nn" / name, weights_only=True) for each in (folder, straight))
        assert differences(found, expected) == []
        assert sha256(folder / "nn" / name) == sha256(straight / "nn" / name)
    assert rows(folder) == rows(straight)


def test_a_randomised_training_goes_on_exactly(tmp_path: Path) -> None:
    """Physics, delays, pushes and noise of every world are where they were."""
    randomisation = {
        "gain_factor": [0.7, 1.4],
        "action_delay_steps": [0, 2],
        "action_noise": 0.1,
        "observation_noise": {"goal": 0.01},
        "pushes": {"every_s": [0.06, 0.2], "base_m_per_s": 0.2},
    }
    settings = spec(task=task(randomisation=randomisation), params=params(max_epochs=4))
    for name in ("straight", "broken"):
        run_training(settings, tmp_path / name)
    for later in (3, 4):
        checkpoint(tmp_path / "broken", later).unlink()
    run_training(settings, tmp_path / "broken", checkpoint(tmp_path / "broken", 2))
    for later in (3, 4):
        assert sha256(checkpoint(tmp_path / "broken", later)) == sha256(checkpoint(tmp_path / "straight", later))


def test_time_goes_on_where_it_was(tmp_path: Path) -> None:
    """The seconds of the history are those of the whole training, breaks left out."""
    folder = tmp_path / "run"
    run_training(shortened(2), folder)
    result = run_training(shortened(4), folder, checkpoint(folder, 2))
    with (folder / "history.csv").open(newline="", encoding="utf-8") as stream:
        seconds = [(float(row["seconds"]), float(row["cpu_seconds"])) for row in csv.DictReader(stream)]
    assert seconds == sorted(seconds)
    assert all(wall > 0.0 for wall, _ in seconds)
    assert result.seconds == pytest.approx(seconds[-1][0], rel=1e-3)
    assert result.cpu_seconds == pytest.approx(seconds[-1][1], rel=1e-3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_ends_its_iteration_and_can_go_on(
    straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:  # these tests run under nohup
        signal.signal(number, signal.SIG_DFL)

    def interrupt(row: Dict[str, float], agent: DexHandAgent) -> None:
        if row["iteration"] == 2:
            os.kill(os.getpid(), number)

    folder, before = tmp_path / "run", signal.getsignal(number)
    wide = params(save_frequency=5)
    result = run_training(spec(params=wide), folder, on_iteration=interrupt)
    assert (result.iterations, result.interrupted) == (2, True)
    assert signal.getsignal(number) is before
    assert {path.name for path in (folder / "nn").iterdir()} - {BEST} == {checkpoint_name(2)}
    assert len(rows(folder)) == 2
    result = run_training(spec(params=wide), folder, checkpoint(folder, 2))
    assert (result.iterations, result.interrupted) == (ITERATIONS, False)
    assert sha256(checkpoint(folder, ITERATIONS)) == sha256(checkpoint(straight, ITERATIONS))


def test_a_finished_run_has_nothing_left_to_do(straight: Path, tmp_path: Path) -> None:
    result = run_training(spec(), tmp_path / "run", checkpoint(straight, ITERATIONS))
    assert (result.iterations, result.frames, result.interrupted) == (ITERATIONS, 64 * ITERATIONS, False)
    assert list((tmp_path / "run" / "nn").glob("*.pth")) == []


def test_saves_follow_the_frequency_and_the_end(tmp_path: Path) -> None:
    run_training(spec(params=params(save_frequency=2, max_epochs=3, save_best_after=100)), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run" / "nn").iterdir()} == {checkpoint_name(2), checkpoint_name(3)}


def test_the_best_is_that_of_enough_episodes(tmp_path: Path) -> None:
    seen: List[Optional[EpisodeMeans]] = []
    saved: List[bool] = []
    best = tmp_path / "run" / "nn" / BEST

    def note(row: Dict[str, float], agent: DexHandAgent) -> None:
        saved.append(best.exists())  # before this iteration's own save
        seen.append(agent.statistics.recent())

    hard = task(success={**load_task("BaseTask").dump()["success"]})  # no episode ends before its time
    run_training(spec(task=hard, params=params(max_epochs=10)), tmp_path / "run", on_iteration=note)
    full = [means for means in seen if means is not None]
    assert seen[0] is None
    assert full
    assert min(means.episodes for means in full) >= 8
    assert not any(saved[: seen.index(full[0]) + 1])
    state = load_checkpoint(best, TRAINING_KEYS)
    assert state["best_return"] == max(means.episode_return for means in full)
    iteration = [means and means.episode_return for means in seen].index(state["best_return"]) + 1
    assert state["iteration"] == iteration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": 16}, "was written with --num-envs 8; allowed: --num-envs 8 to go on from it"),
        (
            {"task": task(observations={"policy": ["goal_errors"]})},
            "observation 1 of the policy: joint_positions (26); allowed: goal_errors (18)",
        ),
        ({"params": "network"}, "another network; allowed: the network of the training configuration"),
        ({"params": "normalize"}, "normalize_input True; allowed: normalize_input False"),
    ],
    ids=["worlds", "observations", "network", "normalisation"],
)
def test_another_runs_checkpoint_is_refused(
    straight: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    if changes.get("params") == "network":
        changes = {"params": params()}
        changes["params"]["network"]["mlp"]["units"] = [16, 16]
    elif changes.get("params") == "normalize":
        changes = {"params": params(normalize_input=False)}
    path = checkpoint(straight, 2)
    with pytest.raises(UserError) as caught:
        run_training(spec(**changes), tmp_path / "run", path)
    assert f"checkpoint {path}: " in str(caught.value)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_tasks_checkpoint_is_refused(straight: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_2.pth"
    save_checkpoint(path, {**load_checkpoint(checkpoint(straight, 2), TRAINING_KEYS), "task": "DexGrasp"})
    with pytest.raises(UserError, match="task DexGrasp; allowed: task BaseTask"):
        run_training(spec(), tmp_path / "run", path)


def test_every_part_of_a_checkpoint_that_is_needed_is_asked_for(straight: Path, tmp_path: Path) -> None:
    """A checkpoint without one of its entries is refused as such, but for those that files of before do not have."""
    whole = load_checkpoint(checkpoint(straight, 2), TRAINING_KEYS)
    path = tmp_path / "checkpoint_2.pth"
    for key in whole:
        save_checkpoint(path, {name: value for name, value in whole.items() if name != key})
        if key in ("first_learning_rate", "interface", "returns_digest"):
            run_training(shortened(3), tmp_path / key, path)
            continue
        with pytest.raises(UserError, match=f"lacks {key};"):
            run_training(spec(), tmp_path / "run", path)


def test_training_ends_where_numbers_do(tmp_path: Path) -> None:
    """One update an iteration: the weights break after the losses were measured."""

    def poison(row: Dict[str, float], agent: DexHandAgent) -> None:
        if row["iteration"] == 2:
            for state in agent.optimizer.state.values():
                state["exp_avg"].fill_(float("nan"))

    folder = tmp_path / "run"
    with pytest.raises(TrainingDiverged, match="iteration 3"):
        run_training(spec(params=params(minibatch_size=64, mini_epochs=1)), folder, on_iteration=poison)
    assert len(rows(folder)) == 2
    for path in (folder / "nn").iterdir():
        weights = load_checkpoint(path)["model"]
        assert all(torch.isfinite(values).all() for values in weights.values()), path.name
    assert not checkpoint(folder, 3).exists()


def test_threads_of_physics_change_no_bit(straight: Path, tmp_path: Path) -> None:
    run_training(spec(threads=3), tmp_path / "run")
    assert sha256(checkpoint(tmp_path / "run", ITERATIONS)) == sha256(checkpoint(straight, ITERATIONS))


def test_one_process_trains_in_a_folder(tmp_path: Path) -> None:
    with run_lock(tmp_path / "run"), pytest.raises(
        UserError, match=f"process {os.getpid()} trains in this folder; wait for it"
    ):
        run_training(shortened(1), tmp_path / "run")
    run_training(shortened(1), tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_a_critic_of_its_own_goes_on_too(tmp_path: Path) -> None:
    run_training(critic_spec(), tmp_path / "straight")
    half = checkpoint(tmp_path / "straight", ITERATIONS // 2)
    run_training(critic_spec(), tmp_path / "resumed", half)
    first, second = (checkpoint(tmp_path / name, ITERATIONS) for name in ("straight", "resumed"))
    assert differences(load_checkpoint(first, TRAINING_KEYS), load_checkpoint(second, TRAINING_KEYS)) == []
    with pytest.raises(UserError, match="was trained with a critic of its own"):
        run_training(spec(), tmp_path / "without", half)
