"""A resumption is what its configuration says, and what fails to begin changes nothing of the run."""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest

from dexhand_env.config.registry import load_task
from dexhand_env.env.vec_env import DexHandEnv, Step, Watcher
from dexhand_env.errors import UserError
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.checkpoint import BEST, TRAINING_KEYS, checkpoint_name, load_checkpoint, save_checkpoint
from dexhand_env.rl.divergence import TrainingDiverged
from dexhand_env.rl.statistics import EpisodeMeans
from dexhand_env.rl.training import TrainingSpec, run_lock, run_training

from .runs import ITERATIONS, critic_spec, curriculum_spec, differences, in_subprocess, params, sha256, spec, task

SUCCESS_WEIGHT = 50.0


def checkpoint(folder: Path, iteration: int) -> Path:
    return folder / "nn" / checkpoint_name(iteration)


def state_of(path: Path) -> Dict[str, Any]:
    return load_checkpoint(path, TRAINING_KEYS)


def iterations(folder: Path) -> List[int]:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as stream:
        return [int(row["iteration"]) for row in csv.DictReader(stream)]


def bytes_of(folder: Path) -> Dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rewarded(weight: float) -> Any:
    """The task with another weight of success, which changes returns and no observation."""
    return task(rewards={"success": weight})


@pytest.fixture
def folder(straight: Path, tmp_path: Path) -> Path:
    """A copy of one's own of a run of six iterations, with the records that train.py leaves."""
    copied = tmp_path / "run"
    shutil.copytree(straight, copied)
    (copied / "args.yaml").write_text("seed: 1\n", encoding="utf-8")
    (copied / "train_config.yaml").write_text("params: {}\n", encoding="utf-8")
    return copied


# What is left behind


def test_an_earlier_checkpoint_makes_the_later_ones_a_run_of_their_own(folder: Path) -> None:
    before = bytes_of(folder)
    run_training(spec(params=params(max_epochs=4)), folder, checkpoint(folder, 3))
    assert {path.name for path in (folder / "nn").glob("checkpoint_?.pth")} == {
        checkpoint_name(i) for i in (1, 2, 3, 4)
    }
    assert iterations(folder) == [1, 2, 3, 4]
    aside = folder / "abandoned_1"
    kept = bytes_of(aside)
    expected = ["args.yaml", "history.csv", "train_config.yaml", *(f"nn/{checkpoint_name(i)}" for i in (4, 5, 6))]
    assert set(kept) - {f"nn/{BEST}"} == set(expected)
    assert all(kept[name] == before[name] for name in kept)
    run_training(spec(params=params(max_epochs=7)), aside, checkpoint(aside, 6))
    assert iterations(aside) == [1, 2, 3, 4, 5, 6, 7]
    run_training(spec(params=params(max_epochs=3)), folder, checkpoint(folder, 2))
    assert (folder / "abandoned_2" / "nn" / checkpoint_name(4)).is_file()


def test_a_best_checkpoint_of_the_abandoned_course_is_no_candidate(folder: Path) -> None:
    shutil.copyfile(checkpoint(folder, 5), folder / "nn" / BEST)
    run_training(spec(params=params(max_epochs=4, save_best_after=100)), folder, checkpoint(folder, 3))
    assert not (folder / "nn" / BEST).exists()
    assert state_of(folder / "abandoned_1" / "nn" / BEST)["iteration"] == 5


def test_the_best_of_the_course_that_goes_on_stays(folder: Path) -> None:
    shutil.copyfile(checkpoint(folder, 2), folder / "nn" / BEST)
    run_training(spec(params=params(max_epochs=4, save_best_after=100)), folder, checkpoint(folder, 3))
    assert state_of(folder / "nn" / BEST)["iteration"] == 2


def test_a_training_that_begins_anew_mixes_with_no_other(folder: Path) -> None:
    run_training(spec(seed=2, params=params(max_epochs=1)), folder)
    assert {path.name for path in (folder / "nn").iterdir()} - {BEST} == {checkpoint_name(1)}
    assert checkpoint(folder / "abandoned_1", ITERATIONS).is_file()


@pytest.mark.parametrize("change", ["rewards", "physics", "episode_length"])
def test_best_returns_belong_to_what_they_were_counted_with(folder: Path, change: str) -> None:
    best = {**state_of(checkpoint(folder, 3)), "best_return": 1e6}
    save_checkpoint(folder / "nn" / BEST, best)
    save_checkpoint(checkpoint(folder, ITERATIONS), {**state_of(checkpoint(folder, ITERATIONS)), "best_return": 1e6})
    changes: Dict[str, Any] = {
        "rewards": {"task": rewarded(SUCCESS_WEIGHT)},
        "physics": {"physics": spec().physics.model_copy(update={"iterations": 7})},
        "episode_length": {"task": task(episode_length_steps=9)},
    }[change]
    recent: List[Any] = []
    run_training(
        spec(params=params(max_epochs=12), **changes),
        folder,
        checkpoint(folder, ITERATIONS),
        lambda row, agent: recent.append(agent.statistics.recent()),
    )
    assert recent[0] is None  # only episodes that began under the old settings had ended
    returns = [means.episode_return for means in recent if means is not None]
    assert state_of(folder / "nn" / BEST)["best_return"] == max(returns) < 1e6
    assert state_of(folder / "abandoned_1" / "nn" / BEST)["best_return"] == 1e6


def test_learning_differently_keeps_the_best_return(folder: Path) -> None:
    save_checkpoint(checkpoint(folder, ITERATIONS), {**state_of(checkpoint(folder, ITERATIONS)), "best_return": 1e6})
    changed = params(max_epochs=7, gamma=0.9, mini_epochs=1)
    run_training(spec(params=changed), folder, checkpoint(folder, ITERATIONS))
    assert state_of(checkpoint(folder, 7))["best_return"] == 1e6
    assert not (folder / "abandoned_1").exists()


# What counts, and what is refused


def test_a_constant_learning_rate_is_the_configurations(folder: Path) -> None:
    for run, rate in (("first", 1e-3), ("second", 1e-5)):
        settings = spec(params=params(max_epochs=8, lr_schedule="constant", learning_rate=rate))
        run_training(settings, folder.parent / run, checkpoint(folder, ITERATIONS))
        state = state_of(checkpoint(folder.parent / run, 8))
        assert state["learning_rate"] == rate
        assert state["optimizer"]["param_groups"][0]["lr"] == rate


def test_an_adaptive_learning_rate_goes_on_and_another_start_is_refused(folder: Path) -> None:
    changed = spec(params=params(max_epochs=7, learning_rate=1e-5))
    before = bytes_of(folder)
    with pytest.raises(UserError) as caught:
        run_training(changed, folder, checkpoint(folder, ITERATIONS))
    message = str(caught.value)
    assert message.startswith(
        "params.config.learning_rate: 1e-05, but lr_schedule adaptive goes on from the checkpoint's"
    )
    assert message.endswith("which it began with, or lr_schedule constant")
    assert bytes_of(folder) == before


@pytest.mark.parametrize("key", ["entropy_coef", "weight_decay"])
def test_every_other_number_of_the_learner_is_the_configurations(folder: Path, key: str) -> None:
    run_training(spec(params=params(max_epochs=7)), folder.parent / "as_before", checkpoint(folder, ITERATIONS))
    run_training(spec(params=params(max_epochs=7, **{key: 0.5})), folder.parent / key, checkpoint(folder, ITERATIONS))
    found, expected = (state_of(checkpoint(folder.parent / name, 7)) for name in (key, "as_before"))
    assert differences(found["model"], expected["model"]) != []


def test_a_critics_constant_learning_rate_is_the_configurations(tmp_path: Path) -> None:
    first = critic_spec()
    config = first.params["config"]["central_value_config"]
    config["lr_schedule"] = "constant"
    run_training(first, tmp_path / "run")
    changed = copy.deepcopy(first.params)
    changed["config"].update(max_epochs=ITERATIONS + 1)
    changed["config"]["central_value_config"]["learning_rate"] = 1e-5
    run_training(dataclasses.replace(first, params=changed), tmp_path / "run", checkpoint(tmp_path / "run", ITERATIONS))
    state = state_of(checkpoint(tmp_path / "run", ITERATIONS + 1))
    assert state["critic_optimizer"]["param_groups"][0]["lr"] == 1e-5


def test_another_network_of_the_critic_is_named(tmp_path: Path) -> None:
    run_training(critic_spec(max_epochs=1), tmp_path / "run")
    wider = critic_spec(max_epochs=2)
    wider.params["config"]["central_value_config"]["network"]["mlp"]["units"] = [24]
    with pytest.raises(UserError, match="another network of the critic; allowed: the network of the training"):
        run_training(wider, tmp_path / "run", checkpoint(tmp_path / "run", 1))


# What fails to begin


class Fails(Watcher):
    """An error in the first step, as a task's code may raise it."""

    def after_step(self, env: DexHandEnv, step: Step) -> None:
        raise LookupError("an error of the task")


def damaged(path: Path) -> Path:
    """A checkpoint that loads and cannot be restored."""
    state = state_of(path)
    state["env_state"]["sim"] = {}
    save_checkpoint(path.with_name("damaged.pth"), state)
    return path.with_name("damaged.pth")


@pytest.mark.parametrize("failure", ["busy", "restore", "task", "divergence"])
def test_what_fails_before_its_first_iteration_leaves_every_byte(folder: Path, failure: str) -> None:
    path = checkpoint(folder, 3)
    if failure == "restore":
        path = damaged(path)
    before = bytes_of(folder)
    settings: TrainingSpec = spec(task=rewarded(SUCCESS_WEIGHT))
    if failure == "divergence":
        hot = params(learning_rate=1.0, lr_schedule="constant")
        settings = spec(task=rewarded(SUCCESS_WEIGHT), params=hot)
    watcher = Fails() if failure == "task" else None
    busy = run_lock(folder) if failure == "busy" else contextlib.nullcontext()
    with busy, pytest.raises((UserError, LookupError, TrainingDiverged)) as caught:
        run_training(settings, folder, path, watcher=watcher)
    after = bytes_of(folder)
    assert {name: after[name] for name in before} == before, caught
    added = {name.partition("/")[0] for name in set(after) - set(before)}
    assert added == (set() if failure in ("busy", "restore") else {"summaries"})


# What a kill leaves

KILLED = """
import os, sys
from pathlib import Path
from dexhand_env.rl.training import run_training
from tests.rl.runs import params, spec
folder = Path(sys.argv[1])
def kill(row, agent):
    if row["iteration"] == 6:
        os._exit(9)
run_training(spec(params=params(save_frequency=100)), folder, on_iteration=kill)
"""


def test_a_kill_before_the_first_numbered_checkpoint_leaves_the_best_one_and_its_history(
    straight: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert in_subprocess(KILLED, str(folder)).returncode == 9
    best = folder / "nn" / BEST
    reached = state_of(best)["iteration"]
    assert [path.name for path in (folder / "nn").iterdir()] == [BEST]
    assert iterations(folder) == list(range(1, reached + 1))
    run_training(spec(), folder, best)
    assert sha256(checkpoint(folder, ITERATIONS)) == sha256(checkpoint(straight, ITERATIONS))
    assert iterations(folder) == iterations(straight)


def test_under_another_name_the_history_begins_with_the_earlier_runs(folder: Path, tmp_path: Path) -> None:
    run_training(spec(params=params(max_epochs=7)), tmp_path / "other", checkpoint(folder, 4))
    assert iterations(tmp_path / "other") == [1, 2, 3, 4, 5, 6, 7]
    assert iterations(folder) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("place", ["elsewhere", "nn"])
def test_a_history_that_is_not_the_checkpoints_is_not_taken(folder: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir()
    lone = Path(shutil.copy(checkpoint(folder, 4), tmp_path / place / "lone.pth"))
    (tmp_path / "history.csv").write_text("date,value\n2026,1\n", encoding="utf-8")
    if place == "nn":
        with pytest.raises(
            UserError, match=r"history\.csv: is no learning curve; allowed: a history\.csv as train\.py"
        ):
            run_training(spec(), tmp_path / "other", lone)
    else:
        run_training(spec(), tmp_path / "other", lone)
        assert iterations(tmp_path / "other") == [5, 6]


# The best one


def test_no_best_return_forbids_one_that_may_be_kept(tmp_path: Path) -> None:
    """Before save_best_after nothing is the best."""
    returns: Dict[int, float] = {}

    def note(row: Dict[str, float], agent: DexHandAgent) -> None:
        recent = agent.statistics.recent()
        if recent is not None and row["iteration"] == 3:
            returns[3] = recent.episode_return
            agent.statistics.set_state({"window": [[100.0, 1e8, 1.0, 1.0]], "finished_episodes": [100]})

    run_training(spec(params=params(save_best_after=5)), tmp_path / "run", on_iteration=note)
    assert state_of(checkpoint(tmp_path / "run", 4))["best_return"] == float("-inf")
    best = state_of(tmp_path / "run" / "nn" / BEST)
    assert best["iteration"] >= 5
    assert best["best_return"] == state_of(checkpoint(tmp_path / "run", best["iteration"]))["best_return"]


def test_with_a_curriculum_the_best_is_of_episodes_that_began_at_its_level(tmp_path: Path) -> None:
    recent: List[EpisodeMeans] = []
    levels: List[int] = []

    def note(row: Dict[str, float], agent: DexHandAgent) -> None:
        recent.append(agent.statistics.recent())  # type: ignore[arg-type]
        levels.append(int(row["curriculum_level"]))

    run_training(curriculum_spec(max_epochs=12), tmp_path / "run", on_iteration=note)
    assert levels[:6] == [0, 1, 1, 1, 2, 2]
    # Episodes have 12 steps and iterations 8: those that end in the two iterations after a widening may be older.
    for index in range(1, len(levels)):
        if levels[index] != levels[index - 1]:
            assert recent[index : index + 2] == [None, None]
    best = state_of(tmp_path / "run" / "nn" / BEST)
    assert best["curriculum"]["level"] == levels[-1]
    returns = [means.episode_return for means, level in zip(recent, levels) if means and level == levels[-1]]
    assert best["best_return"] == max(returns)


def test_returns_are_those_of_the_tasks_code_and_of_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    own = "from dexhand_env.env.task import register_task\nfrom dexhand_env.tasks.base_task import BaseTask\n"
    (tmp_path / "digest_task.py").write_text(
        f"import digest_helper\n{own}@register_task\nclass Digest(BaseTask):\n    pass\n"
    )
    (tmp_path / "Digest.yaml").write_text(
        "task: Digest\nobservations: {policy: [goal]}\nrewards: {position_progress: 1.0}\n"
    )
    found = []
    for height in ("0.5", "0.5", "0.9"):
        (tmp_path / "digest_helper.py").write_text(f"HEIGHT_M = {height}\n")
        found.append(spec(task=load_task(f"{tmp_path / 'digest_task.py'}:Digest")).returns_digest)
    assert found[0] == found[1] != found[2]
    assert spec().returns_digest == spec(num_envs=3, seed=9, params=params(gamma=0.5)).returns_digest
