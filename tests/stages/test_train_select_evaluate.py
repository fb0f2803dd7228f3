"""The stages on a tiny experiment: what they write, that it is the same every time, and what a kill leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest
from pyarrow import parquet

from dexhand_env.errors import UserError
from dexhand_env.hand.joints import body_names
from dexhand_env.intervals import wilson_interval
from dexhand_env.rl.checkpoint import TRAINING_KEYS, latest_checkpoint, load_checkpoint
from dexhand_env.rl.play import EpisodeTable
from dexhand_env.stages.evaluate import evaluate, replayed_episodes
from dexhand_env.stages.inputs import SeedFolder
from dexhand_env.stages.record import record_stage
from dexhand_env.stages.select import select
from dexhand_env.stages.train import loaded_sources, publish, train

from .pipeline import FOLDER, NAME, ROOT, SEED, digests, inside, run_all, write_configs

CONDITIONS = ("training", "reference")


def read(root: Path, name: str) -> Any:
    return json.loads((root / FOLDER / name).read_text(encoding="utf-8"))


def table(root: Path) -> list[dict[str, Any]]:
    return parquet.read_table(root / FOLDER / "episodes.parquet").to_pylist()


def train_process(root: Path, code: Path = ROOT) -> None:
    """The train stage in a process of its own, with the package in ``code``."""
    command = [sys.executable, "-m", "dexhand_env.stages.train", NAME, str(SEED)]
    environment = {**os.environ, "DEXHAND_THREADS": "1", "PYTHONPATH": str(code)}
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)


def test_every_file_is_there_and_no_other(finished: Path) -> None:
    names = {
        path.relative_to(finished / FOLDER).as_posix() for path in (finished / FOLDER).rglob("*") if path.is_file()
    }
    assert {name for name in names if name != "checkpoints/checkpoint_best.pth"} == {
        "best.pth",
        "checkpoints/checkpoint_1.pth",
        "checkpoints/checkpoint_2.pth",
        "episodes.parquet",
        "evaluation.json",
        "history.csv",
        "replays.npz",
        "selection.json",
        "stages/evaluate.json",
        "stages/select.json",
        "stages/train.json",
    }


def test_the_history_has_a_row_an_iteration(finished: Path) -> None:
    with (finished / FOLDER / "history.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["iteration"], row["frames"]) for row in rows] == [("1", "64"), ("2", "128")]
    for name in ("seconds", "policy_loss", "value_loss", "entropy", "bounds_loss", "kl", "learning_rate"):
        assert all(np.isfinite(float(row[name])) for row in rows), name
    for name in (
        "reward/success",
        "raw_reward/position_progress",
        "nan_resets",
        "contact_overflows",
        "frames_per_second",
    ):
        assert name in rows[0]


def test_the_selection_plays_every_checkpoint_on_the_same_episodes(finished: Path) -> None:
    selection = read(finished, "selection.json")
    assert list(selection) == ["experiment", "seed", "episodes", "first_seed", "candidates", "chosen"]
    assert (selection["experiment"], selection["seed"], selection["episodes"]) == (NAME, SEED, 8)
    files = sorted(path.name for path in (finished / FOLDER / "checkpoints").iterdir())
    assert sorted(each["checkpoint"] for each in selection["candidates"]) == files
    for each in selection["candidates"]:
        assert list(each) == ["checkpoint", "iteration", "frames", "success_rate", "interval", "mean_return"]
        assert each["frames"] == 64 * each["iteration"]
        assert each["interval"] == list(wilson_interval(round(8 * each["success_rate"]), 8))
    chosen = finished / FOLDER / "checkpoints" / selection["chosen"]
    assert (finished / FOLDER / "best.pth").read_bytes() == chosen.read_bytes()
    assert "model" in load_checkpoint(finished / FOLDER / "best.pth", TRAINING_KEYS)


def test_the_evaluation_sums_up_its_table(finished: Path) -> None:
    evaluation, episodes = read(finished, "evaluation.json"), table(finished)
    assert list(evaluation) == ["experiment", "seed", "checkpoint", "conditions", "variants"]
    assert evaluation["checkpoint"] == read(finished, "selection.json")["chosen"]
    assert tuple(evaluation["conditions"]) == CONDITIONS
    changes = [{"key": "env.success.position_m", "default": 0.3, "value": 0.001}]
    assert [variant["changes"] for variant in evaluation["variants"].values()] == [changes]
    presets = {"training": "fast", "reference": "reference", "hard": "fast"}
    for condition, found in {**evaluation["conditions"], **evaluation["variants"]}.items():
        rows = [row for row in episodes if row["condition"] == condition]
        assert [row["episode"] for row in rows] == list(range(8))
        assert [row["seed"] for row in rows] == list(range(2_000_000, 2_000_008))
        assert found["physics"]["name"] == presets[condition]
        assert found["episodes"] == 8
        assert found["successes"] == sum(row["success"] for row in rows)
        assert found["success_rate"] == found["successes"] / 8
        assert found["interval"] == list(wilson_interval(found["successes"], 8))
        assert found["mean_return"] == pytest.approx(np.mean([row["return"] for row in rows]), rel=1e-5)
        assert found["mean_length_steps"] == np.mean([row["length_steps"] for row in rows])
        outcomes = [row["outcome"] for row in rows]
        assert found["outcomes"] == {name: outcomes.count(name) for name in sorted(set(outcomes))}
        assert found["nan_resets"] == 0
        errors = [row["position_error_m"] for row in rows]
        summary = {"mean": pytest.approx(np.mean(errors), rel=1e-5), "largest": max(errors)}
        assert found["metrics"]["position_error_m"] == summary


def test_the_table_has_the_agreed_columns(finished: Path) -> None:
    schema = parquet.read_schema(finished / FOLDER / "episodes.parquet")
    names = ["condition", "episode", "seed", "success", "outcome", "return", "length_steps"]
    assert schema.names == [*names, "position_error_m", "rotation_error_rad", "finger_error_rad"]
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert kinds["condition"] == kinds["outcome"] == "string"
    assert kinds["success"] == "bool"
    assert all(kinds[name].startswith("int") for name in ("episode", "seed", "length_steps"))
    assert all(kinds[name] in ("float", "double") for name in ("return", *schema.names[7:]))
    assert len(table(finished)) == 24


def played(outcomes: str) -> EpisodeTable:
    """One episode a letter, s a success, with rising returns."""
    names = {"s": "success", "t": "timeout", "o": "out_of_reach", "n": "nan", "a": "a", "b": "b", "c": "c"}
    kinds = np.array([names[letter] for letter in outcomes])
    count = np.arange(len(kinds))
    return EpisodeTable(count, kinds == "success", kinds, count * 1.0, count, {}, 0, 0)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("ssss", {"best": 3, "median": 2, "worst": 0}),
        ("tttss", {"best": 4, "median": 2, "worst": 0}),
        ("tonooosss", {"best": 8, "median": 4, "worst": 0, "failure_nan": 2}),
        ("tnooossssssss", {"best": 12, "median": 6, "worst": 0, "failure_out_of_reach": 3, "failure_nan": 1}),
        ("o", {"best": 0, "median": 0, "worst": 0}),
        # The four most frequent kinds of failure.
        ("tooaabbccnsssssssss", {"failure_out_of_reach": 2, "failure_a": 4, "failure_b": 6, "failure_c": 8}),
    ],
)
def test_replays_show_a_failure_of_each_kind(outcomes: str, expected: dict[str, int]) -> None:
    chosen = replayed_episodes(played(outcomes))
    assert list(chosen)[:3] == ["best", "median", "worst"]
    found = {name: chosen[name] for name in expected}
    assert found == expected
    assert len(chosen) == len({**chosen, **expected}) <= 7


def test_replays_are_of_the_best_the_median_and_the_worst(finished: Path) -> None:
    rows = [row for row in table(finished) if row["condition"] == "training"]
    with np.load(io.BytesIO((finished / FOLDER / "replays.npz").read_bytes())) as replays:
        assert replays["names"].tolist() == ["best", "median", "worst"]
        assert replays["body_names"].tolist() == list(body_names("right"))
        assert (float(replays["control_dt_s"]), str(replays["meshes_side"])) == (0.02, "right")
        for name in ("best", "median", "worst"):
            row = rows[int(replays[f"{name}_episode"])]
            assert int(replays[f"{name}_seed"]) == row["seed"]
            assert (bool(replays[f"{name}_success"]), str(replays[f"{name}_outcome"])) == (
                row["success"],
                row["outcome"],
            )
            assert float(replays[f"{name}_return"]) == pytest.approx(row["return"])
            positions, quaternions = replays[f"{name}_positions"], replays[f"{name}_quaternions"]
            assert positions.shape == (row["length_steps"], 22, 3)
            assert quaternions.shape == (row["length_steps"], 22, 4)
            np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1.0, atol=1e-5)
            goal = replays[f"{name}_goal_positions"]
            assert goal.shape == (22, 3)
            assert replays[f"{name}_goal_quaternions"].shape == (22, 4)
            # The base's distance to the ghost in the last frame is the episode's own position error.
            assert np.linalg.norm(positions[-1, 0] - goal[0]) == pytest.approx(row["position_error_m"], abs=1e-5)
        order = [rows[int(replays[f"{name}_episode"])] for name in ("best", "median", "worst")]
    ranks = [(row["success"], row["return"]) for row in order]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] == max((row["success"], row["return"]) for row in rows)


def test_records_say_how_the_stages_ran(finished: Path) -> None:
    record = read(finished, "stages/train.json")
    assert (record["stage"], record["threads"], record["iterations"], record["frames"]) == ("train", 1, 2, 128)
    assert record["resumed"] is False
    assert 0.0 < record["training_seconds"] <= record["seconds"]
    assert read(finished, "stages/evaluate.json")["episodes"] == 24
    assert read(finished, "stages/select.json")["stage"] == "select"


def test_a_rerun_gives_the_same_bytes(mine: Path) -> None:
    """From nothing, and select and evaluate once more on what is there."""
    before = digests(mine)
    with inside(mine):
        select(NAME, SEED)
        evaluate(NAME, SEED)
    assert digests(mine) == before
    shutil.rmtree(mine / FOLDER)
    shutil.rmtree(mine / "runs")
    run_all(mine)
    found = digests(mine)
    assert {name for name in before if found.get(name) != before[name]} == set()


def test_a_killed_training_goes_on_to_the_same_weights(mine: Path) -> None:
    # Processes of their own, as the pipeline has them: a run folder belongs to the code that its process loaded.
    for folder in ("runs", FOLDER):
        shutil.rmtree(mine / folder)
    train_process(mine)
    before = digests(mine)
    (run,) = (mine / "runs").iterdir()
    shutil.rmtree(mine / FOLDER)
    for path in (run / "nn").iterdir():
        if path.name != "checkpoint_1.pth":
            path.unlink()
    train_process(mine)
    after = digests(mine)
    assert after
    assert {name for name in after if after[name] != before[name]} == set()
    assert read(mine, "stages/train.json")["resumed"] is True
    with (mine / FOLDER / "history.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["iteration"] for row in csv.DictReader(stream)] == ["1", "2"]
    assert [path.name for path in (mine / "runs").iterdir()] == [run.name]


def train_anew(mine: Path) -> None:
    """Train in a run folder that belongs to what this process has loaded by now."""
    for folder in ("runs", FOLDER):
        shutil.rmtree(mine / folder)
    run_all(mine)


@pytest.mark.parametrize("name", ["checkpoint_1.pth", "checkpoint_2.pth"])
def test_a_deleted_checkpoint_of_the_run_folder_is_made_again(mine: Path, name: str) -> None:
    """Also one in the middle: to go on from the last one would publish one fewer to select from."""
    train_anew(mine)
    before, file = digests(mine), run_folder(mine) / "nn" / name
    file.unlink()
    shutil.rmtree(mine / FOLDER)
    run_all(mine)
    assert file.exists()
    assert digests(mine) == before
    assert len(list((mine / "runs").iterdir())) == 1


def test_a_damaged_checkpoint_of_the_run_folder_is_named_with_what_to_do(mine: Path) -> None:
    train_anew(mine)
    before, path = digests(mine), run_folder(mine) / "nn" / "checkpoint_2.pth"
    path.write_bytes(path.read_bytes()[:1000])
    with inside(mine), pytest.raises(UserError, match=r"checkpoint_2\.pth: is damaged.* delete it"):
        train(NAME, SEED)
    assert digests(mine) == before
    path.unlink()
    with inside(mine):
        train(NAME, SEED)
    assert digests(mine) == before


def test_an_interrupted_training_publishes_what_an_undisturbed_one_does(mine: Path) -> None:
    """SIGTERM, as a cluster sends it at the end of a job's time, leaves a checkpoint that is not on the schedule."""
    for folder in ("runs", FOLDER):
        shutil.rmtree(mine / folder)
    path = mine / "results" / NAME / "config" / "train.json"
    section = json.loads(path.read_text(encoding="utf-8"))
    section["train"]["params"]["config"]["save_frequency"] = 2
    path.write_text(json.dumps(section), encoding="utf-8")

    def interrupt(log: Any, row: dict[str, float], agent: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    with inside(mine):
        with mock.patch("dexhand_env.rl.console.ConsoleLog.after_iteration", interrupt), pytest.raises(SystemExit):
            train(NAME, SEED)
        assert latest_checkpoint(run_folder(mine) / "nn") == run_folder(mine) / "nn" / "checkpoint_1.pth"
        train(NAME, SEED)
    assert read(mine, "stages/train.json")["resumed"] is True
    published = {path.name for path in (mine / FOLDER / "checkpoints").iterdir()}
    assert published - {"checkpoint_best.pth"} == {"checkpoint_2.pth"}


def test_a_killed_publishing_leaves_nothing_behind(mine: Path) -> None:
    left = mine / FOLDER / ".publish.killed" / "checkpoints"
    left.mkdir(parents=True)
    with inside(mine):
        train(NAME, SEED)
    assert not left.exists()


def test_a_stage_that_is_at_work_keeps_others_out_and_is_named(mine: Path) -> None:
    before = digests(mine)
    message = f"{FOLDER}: process {os.getpid()} is in the select stage; wait for it or end it"
    with inside(mine), record_stage("select", SeedFolder(NAME, SEED).record("select")):
        with pytest.raises(UserError, match=message):
            select(NAME, SEED)
        evaluate(NAME, SEED)
    assert digests(mine) == before


def test_another_configuration_trains_in_another_folder(mine: Path) -> None:
    path = mine / "results" / NAME / "config" / "train.json"
    section = json.loads(path.read_text(encoding="utf-8"))
    section["train"]["params"]["config"]["gamma"] = 0.5
    path.write_text(json.dumps(section), encoding="utf-8")
    before = digests(mine)
    with inside(mine):
        train(NAME, SEED)
    assert len(list((mine / "runs").iterdir())) == 2
    assert digests(mine)["checkpoints/checkpoint_2.pth"] != before["checkpoints/checkpoint_2.pth"]
    assert read(mine, "stages/train.json")["resumed"] is False


def change_training(root: Path, num_envs: int, **config: Any) -> None:
    """Edit the resolved section that the stage reads."""
    path = root / "results" / NAME / "config" / "train.json"
    section = json.loads(path.read_text(encoding="utf-8"))
    section["train"]["num_envs"] = num_envs
    section["train"]["params"]["config"].update(config)
    path.write_text(json.dumps(section), encoding="utf-8")


def test_more_environments_than_memory_holds_are_refused(mine: Path) -> None:
    change_training(mine, 2**34)
    runs = list((mine / "runs").iterdir())
    with inside(mine), pytest.raises(
        UserError, match=rf"^configs/{NAME}\.yaml: train\.num_envs: {2**34} environments need"
    ):
        train(NAME, SEED)
    assert list((mine / "runs").iterdir()) == runs


def test_a_training_that_diverges_ends_the_stage(mine: Path) -> None:
    change_training(mine, 8, learning_rate=1.0, lr_schedule="constant")
    before = digests(mine)
    with inside(mine), pytest.raises(SystemExit) as caught:
        train(NAME, SEED)
    assert str(caught.value.code).startswith("training diverged: ")
    assert "no good checkpoint had been written before" in str(caught.value.code)
    assert digests(mine) == before


@pytest.mark.parametrize(
    ("stage", "missing", "message"),
    [
        (train, f"results/{NAME}/config/train.json", "run first: python -m dexhand_env.stages.validate Tiny train"),
        (select, f"results/{NAME}/config/selection.json", "validate Tiny selection"),
        (evaluate, f"results/{NAME}/config/evaluation.json", "validate Tiny evaluation"),
        (evaluate, f"{FOLDER}/selection.json", "the select stage's output"),
        (evaluate, f"{FOLDER}/best.pth", "no such file"),
    ],
)
def test_a_missing_input_is_named(mine: Path, stage: Any, missing: str, message: str) -> None:
    (mine / missing).unlink()
    before = digests(mine)
    with inside(mine), pytest.raises(UserError, match=message) as caught:
        stage(NAME, SEED)
    assert missing in str(caught.value)
    assert digests(mine) == before


def test_a_policy_of_another_task_layout_is_refused(mine: Path) -> None:
    path = mine / "results" / NAME / "config" / "evaluation.json"
    section = json.loads(path.read_text(encoding="utf-8"))
    section["env"]["observations"]["policy"] = ["goal_errors"]
    path.write_text(json.dumps(section), encoding="utf-8")
    before = digests(mine)
    message = r"best\.pth: observation 1 of the policy: joint_positions \(26\); allowed: goal_errors \(18\)"
    with inside(mine), pytest.raises(UserError, match=message):
        evaluate(NAME, SEED)
    assert digests(mine) == before


def run_folder(mine: Path) -> Path:
    (run,) = (mine / "runs").iterdir()
    return run


def test_publishing_replaces_what_was_there(mine: Path) -> None:
    run = run_folder(mine)
    (mine / FOLDER / "checkpoints" / "checkpoint_9.pth").touch()  # of an earlier, longer training
    (run / "nn" / "notes.txt").touch()
    with inside(mine):
        publish(run, SeedFolder(NAME, SEED), [1, 2])
    names = {path.name for path in (mine / FOLDER / "checkpoints").iterdir()}
    assert names - {"checkpoint_best.pth"} == {"checkpoint_1.pth", "checkpoint_2.pth"}
    assert (mine / FOLDER / "checkpoints").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("broken", ["checkpoint", "history"])
def test_publishing_leaves_nothing_partial(mine: Path, broken: str) -> None:
    run = run_folder(mine)
    if broken == "checkpoint":
        (run / "nn" / "checkpoint_2.pth").unlink()
        (run / "nn" / "checkpoint_2.pth").symlink_to("nowhere")
    else:
        (run / "history.csv").unlink()
    (mine / FOLDER / "checkpoints" / "checkpoint_9.pth").touch()
    before, names = digests(mine), {path.name for path in (mine / FOLDER).iterdir()}
    with inside(mine), pytest.raises(OSError, match="No such file"):
        publish(run, SeedFolder(NAME, SEED), [1, 2])
    assert {path.name for path in (mine / FOLDER).iterdir()} == names
    assert digests(mine) == before


def test_changed_code_trains_anew(tmp_path: Path) -> None:
    """A run folder left by other code must neither be gone on from nor published."""
    shutil.copytree(ROOT / "dexhand_env", tmp_path / "dexhand_env", ignore=shutil.ignore_patterns("__pycache__"))
    write_configs(tmp_path)
    trained = []
    for old, new in (("", ""), ("torch.tanh(", "torch.square(")):
        source = tmp_path / "dexhand_env" / "tasks" / "base_task.py"
        text = source.read_text(encoding="utf-8")
        source.write_text(text.replace(old, new) if old else text, encoding="utf-8")
        train_process(tmp_path, code=tmp_path)
        trained.append((tmp_path / FOLDER / "checkpoints" / "checkpoint_2.pth").read_bytes())
    assert trained[0] != trained[1]
    assert len(list((tmp_path / "runs").glob(f"{NAME}-*"))) == 2


def test_only_the_packages_own_files_are_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the checkout, with the virtual environment in it, is a folder of the package's name."""
    foreign = ModuleType("foreign")
    foreign.__file__ = "/home/user/dexhand_env/.venv/lib/foreign.py"
    monkeypatch.setitem(sys.modules, "foreign", foreign)
    sources = loaded_sources()
    assert ROOT / "dexhand_env" / "stages" / "train.py" in sources
    assert all(source.is_relative_to(ROOT / "dexhand_env") for source in sources)
