"""One training in several processes: for real, two of them, on the CPU by gloo."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
import torch
import yaml
from rl_games.algos_torch.running_mean_std import RunningMeanStd

from dexhand_env.commands.options import resolve
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import BEST, TRAINING_KEYS, checkpoint_name, load_checkpoint
from dexhand_env.rl.distributed import ALONE, Processes, join_processes
from dexhand_env.rl.statistics import TrainingStatistics
from dexhand_env.rl.training import check_resumable, run_training
from dexhand_env.stages.record import available_cores, given_threads
from tests.options import train_options

from .runs import ROOT, differences, sha256, spec
from .together import ITERATIONS, OUTCOMES, WORLDS, batches, steps

TOGETHER, TRAIN = str(ROOT / "tests" / "rl" / "together.py"), str(ROOT / "train.py")
SMALL = ("params.network.mlp.units=[32,16]", "params.config.mini_epochs=2", "episode_length_steps=20")
# An end without these would be a hang: far above what any of the tests takes.
PATIENCE_S = 120


def environment(**more: str) -> Dict[str, str]:
    # Packages may lie in a folder that PYTHONPATH names.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **more}


def launched(launcher: str, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Two processes of a program, started by one of torch's launchers."""
    start = [sys.executable, "-m", f"torch.distributed.{launcher}", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*start, *command], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def started(command: List[str], folders: List[Path], **more: str) -> List[subprocess.Popen[str]]:
    """Processes of a program in these folders, one each, started without a launcher, which would end them itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(len(folders)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **more}
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **common),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, folder in enumerate(folders)
    ]


def found(folder: Path, scenario: str) -> List[Any]:
    """What both processes saw."""
    return [json.loads((folder / f"{scenario}-{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


def rows(run: Path) -> List[Dict[str, str]]:
    with (run / "history.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two processes under torchrun. Not to be changed."""
    folder = tmp_path_factory.mktemp("together")
    learning = ("straight", "on_device", "curriculum", "half", "signalled", "diverged", "mistaken")
    result = launched("run", TOGETHER, str(folder), *learning, "normaliser", "statistics")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("scenario", ["straight", "on_device", "curriculum"])
def test_all_processes_have_the_same_bits_after_every_iteration(together: Path, scenario: str) -> None:
    """Weights, normalisers, optimizer, learning rate and statistics, the critic's too; each explores by itself."""
    assert_alike(together, scenario, 3 if scenario == "curriculum" else ITERATIONS)


def assert_alike(folder: Path, scenario: str, iterations: int) -> None:
    first, second = (each["iterations"] for each in found(folder, scenario))
    assert len(first) == len(second) == iterations
    for one, other in zip(first, second):
        assert one["alike"] == other["alike"]
        assert all(one["own"][name] != other["own"][name] for name in one["own"])
    assert len({each["alike"]["weights"] for each in first}) == len(first)
    assert len({each["learning_rate"] for each in first}) > 1


def test_gpus_have_the_same_bits_after_every_iteration(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("no two GPUs")
    result = launched("run", TOGETHER, str(tmp_path), "on_gpus")
    assert result.returncode == 0, result.stderr
    assert_alike(tmp_path, "on_gpus", 3)


def test_all_processes_are_at_the_same_level(together: Path) -> None:
    """By the episodes of all of them: in the first iteration three whole ones in each of 2 x 8 worlds."""
    first, second = ([row["level"] for row in each["iterations"]] for each in found(together, "curriculum"))
    assert first == second == [0, 1, 1]  # episodes of level 0 still end
    state = load_checkpoint(together / "curriculum" / "nn" / checkpoint_name(1), TRAINING_KEYS)
    assert state["curriculum"] == {"level": 0, "episodes": 48, "successes": 48, "unsettled_steps": 0}


def test_every_process_has_num_envs_and_all_frames_count(together: Path) -> None:
    assert found(together, "straight")[0]["end"] == [ITERATIONS, 2 * 64 * ITERATIONS, False]
    assert [int(row["frames"]) for row in rows(together / "straight")] == [128 * i for i in range(1, ITERATIONS + 1)]
    # values and returns, of both processes' samples
    assert [each["samples"] for each in found(together, "straight")[1]["iterations"]] == [256.0, 512.0, 768.0, 1024.0]
    state = load_checkpoint(together / "straight" / "nn" / checkpoint_name(ITERATIONS), TRAINING_KEYS)
    (other,) = state["other_processes"]
    assert len(state["env_state"]["lengths"]) == len(other["env_state"]["lengths"]) == 8
    assert differences(state["env_state"], other["env_state"]) != []
    assert state["frames"] == 128 * ITERATIONS


def test_the_first_process_alone_writes(together: Path) -> None:
    run = together / "straight"
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("summaries/events")}
    assert len(events) == 1
    numbered = {f"nn/{checkpoint_name(i)}" for i in range(1, ITERATIONS + 1)}
    assert names - events == {"history.csv", f"nn/{BEST}", *numbered}


def test_a_joined_normaliser_is_that_of_the_joined_batches(together: Path) -> None:
    first, second = found(together, "normaliser")
    assert first["state"] == second["state"]
    stock = RunningMeanStd((3,))
    for index, joined in enumerate(torch.cat(pair) for pair in zip(batches(0), batches(1))):
        output = torch.tensor(first["outputs"][index] + second["outputs"][index])
        torch.testing.assert_close(output, stock(joined), rtol=1e-5, atol=1e-5)
    for name, value in stock.state_dict().items():
        joined = torch.tensor(first["state"][f"running_mean_std.{name}"], dtype=torch.float64)
        torch.testing.assert_close(joined, value, rtol=1e-5, atol=1e-5)


def test_statistics_are_those_of_all_worlds(together: Path) -> None:
    first, second = found(together, "statistics")
    assert first == second
    pairs = list(zip(steps(0), steps(1)))
    episodes = [step for pair in pairs for step in pair]
    alone = TrainingStatistics(2 * WORLDS, OUTCOMES, torch.device("cpu"))
    for step in episodes:
        alone.add(step)
    expected = alone.finish_iteration()
    assert {"return", "termination/dropped", "reward/near"} <= set(expected)
    assert first["row"] == pytest.approx(expected, rel=1e-5)
    assert first["state"] == {
        key: [pytest.approx(value) for value in values] for key, values in alone.get_state().items()
    }


def test_all_stop_after_the_same_iteration(together: Path) -> None:
    """One process is told to end: both finish that iteration, and its checkpoint is written."""
    assert [each["end"] for each in found(together, "signalled")] == [[2, 256, True]] * 2
    names = {path.name for path in (together / "signalled" / "nn").iterdir()}
    assert names - {BEST} == {checkpoint_name(2)}
    reference = together / "straight" / "nn" / checkpoint_name(2)
    assert sha256(together / "signalled" / "nn" / checkpoint_name(2)) == sha256(reference)


def test_one_that_diverges_ends_all_with_its_message(together: Path) -> None:
    message = "TrainingDiverged: an observation is not finite in iteration 2"
    assert [each["end"] for each in found(together, "diverged")] == [[message]] * 2
    assert len(rows(together / "diverged")) == 1


def test_a_mistake_found_by_one_is_told_to_all(together: Path) -> None:
    first, second = found(together, "mistaken")
    assert first == second
    assert "UserError: checkpoint " in first["end"][0]
    assert "no such file" in first["end"][0]


def test_two_and_two_iterations_are_four_and_a_hung_process_is_not_waited_for(together: Path, tmp_path: Path) -> None:
    """Bit for bit, by processes that know only the disk, with a critic and a curriculum too; then one of them stops.

    The other ends by the timeout.
    """
    half = shutil.copytree(together / "half", tmp_path / "half")
    shutil.copytree(together / "curriculum", tmp_path / "curriculum")
    first, second = started([TOGETHER, str(tmp_path), "widened", "other_half", "hung"], [ROOT, ROOT], TIMEOUT_S="15")
    try:
        _, error = first.communicate(timeout=PATIENCE_S)
    finally:
        second.kill()
        second.communicate()
    assert found(tmp_path, "other_half")[0]["end"] == [ITERATIONS, 2 * 64 * ITERATIONS, False]
    for name in [checkpoint_name(i) for i in range(1, ITERATIONS + 1)] + [BEST]:
        assert sha256(half / "nn" / name) == sha256(together / "straight" / "nn" / name)
    for name in (checkpoint_name(2), checkpoint_name(3)):
        resumed, whole = (
            load_checkpoint(run / "nn" / name, TRAINING_KEYS) for run in (tmp_path / "widened", together / "curriculum")
        )
        assert differences(resumed, whole) == []
    assert first.returncode == 1
    assert "process 0 of 2 ends, since another has ended or does not answer (Timed out waiting" in error
    assert second.returncode == -signal.SIGKILL
    assert len(rows(tmp_path / "hung")) == 2


def test_another_number_of_processes_is_refused(together: Path, tmp_path: Path) -> None:
    path = together / "half" / "nn" / checkpoint_name(2)
    with pytest.raises(UserError) as caught:
        run_training(spec(), tmp_path / "run", path)
    assert str(caught.value) == (
        f"checkpoint {path}: was written by 2 processes, and this is 1; "
        "allowed: torchrun --nproc_per_node=2 to go on from it"
    )
    assert list(tmp_path.iterdir()) == []
    state = load_checkpoint(path, TRAINING_KEYS)
    check_resumable(state, spec(), "checkpoint", processes=2)
    del state["other_processes"]
    with pytest.raises(
        UserError, match="was written by 1 process, and this is 2; allowed: torchrun --nproc_per_node=1"
    ):
        check_resumable(state, spec(), "checkpoint", processes=2)


def test_the_guides_command_trains_in_two_processes(tmp_path: Path) -> None:
    """torch.distributed.launch, which passes --local-rank."""
    options = ("--task", "BaseTask", "--num-envs", "64", "--headless", "--max-iterations", "2", "--seed", "-1")
    result = launched("launch", TRAIN, *options, *SMALL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert load_checkpoint(run / "nn" / "checkpoint_2.pth", TRAINING_KEYS)["frames"] == 2 * 2 * 16 * 64
    lines = result.stdout.splitlines()
    assert lines.count("2 processes learn together, each with 64 environments") == 1
    assert sum(line.startswith("training BaseTask in ") for line in lines) == 1
    assert [line.split()[:4] for line in lines if line.endswith(" s")] == [["2", "iterations,", "4096", "frames,"]]
    args = yaml.safe_load((run / "args.yaml").read_text(encoding="utf-8"))
    assert (args["processes"], args["num_envs"]) == (2, 64)
    assert "local_rank" not in args


def test_a_process_that_dies_ends_the_other(tmp_path: Path) -> None:
    """Nobody watches them. The second one stands in a folder of its own, where it leaves nothing."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    options = ["--num-envs", "8", "--headless", "--experiment-name", "x", "params.config.save_frequency=1"]
    first, second = started([TRAIN, *options, *SMALL], folders)
    try:
        for _ in range(20 * PATIENCE_S):
            if (folders[0] / "runs" / "x" / "nn" / "checkpoint_1.pth").exists() or first.poll() is not None:
                break
            time.sleep(0.05)
        second.kill()
        output, error = first.communicate(timeout=PATIENCE_S)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert first.returncode == 1, (output, error)
    assert "train.py: process 0 of 2 ends, since another has ended or does not answer (" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert len(rows(folders[0] / "runs" / "x")) >= 1
    assert list(folders[1].iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--taks", "BaseTask"], "--taks"), (["--num-envs", "600", "--local_rank", "0"], "8192 does not divide")],
    ids=["options", "files"],
)
def test_a_mistake_is_told_once(tmp_path: Path, options: List[str], says: str) -> None:
    processes = started([TRAIN, *options], [tmp_path, tmp_path])
    told = [process.communicate(timeout=PATIENCE_S) for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    (line,) = told[0][1].splitlines()
    assert says in line
    assert told[1] == ("", "")
    assert list(tmp_path.iterdir()) == []


def two() -> Processes:
    """The second of two processes on this machine."""
    processes = Processes()
    processes.rank = processes.local_rank = 1
    processes.size = processes.local_size = 2
    return processes


def test_what_two_processes_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--test: given to 2 processes; allowed: one process"):
        resolve(train_options(test=True, checkpoint="x.pth"), two())
    for device in ("cuda", "cuda:0"):
        with pytest.raises(
            UserError, match=f"--rl-device: {device} for 2 processes on 0 CUDA devices; allowed: cuda, "
        ):
            resolve(train_options(rl_device=device), two())


def test_the_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEXHAND_THREADS", raising=False)
    assert given_threads(2) == max(available_cores() // 2, 1)
    assert given_threads(10**6) == 1
    monkeypatch.setenv("DEXHAND_THREADS", "3")
    assert given_threads(2) == 3


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE: found 'two'"),
        ({"WORLD_SIZE": "2"}, "RANK: not set where WORLD_SIZE is 2"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1"}, "MASTER_PORT: not set where WORLD_SIZE is 2"),
    ],
    ids=["number", "rank", "port"],
)
def test_what_no_launcher_sets_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: Dict[str, str], message: str
) -> None:
    for name in ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert join_processes() is ALONE
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        join_processes()
