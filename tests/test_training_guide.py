"""The training guide works as written: its commands, run by a shell in a clone, and what it says of them.

A command that would train for hours is shortened by options at its end. docs/training.md says which test holds which
sentence.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SHORT = "--max-iterations 2 'params.network.mlp.units=[32, 16]' params.config.mini_epochs=1 episode_length_steps=20"
RUN = "runs/BaseTask_20240101_120000"

BASIC = "python train.py --task BaseTask --num-envs 1024 --headless"
WATCHED = "python train.py --task BaseTask --num-envs 64"
RESUME = f"python train.py --task BaseTask --checkpoint {RUN}/nn/checkpoint_1000.pth"
TEST = f"python train.py --task BaseTask --test --checkpoint {RUN}/nn/checkpoint_best.pth"
TOGETHER = "python -m torch.distributed.launch --nproc_per_node=2 train.py --task BaseTask --num-envs 2048 --headless"
COPY = "cp dexhand_env/cfg/train/BaseTaskPPO.yaml dexhand_env/cfg/train/MyTaskPPO.yaml"
MY_TASK = "python train.py --task MyTask --train-config dexhand_env/cfg/train/MyTaskPPO.yaml"
TENSORBOARD = "tensorboard --logdir runs/"

pytestmark = pytest.mark.xdist_group("guide")


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**variables, "PATH": path, "DEXHAND_THREADS": "1", "NO_COLOR": "1"}


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line as typed."""
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def works(folder: Path, command: str) -> str:
    """What a line prints; it must succeed."""
    result = shell(folder, command)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files, and the run that the guide's examples speak of."""
    folder = tmp_path_factory.mktemp("guide") / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.py", "*.yaml", "*.xml"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    works(folder, f"python train.py --num-envs 16 --headless --experiment-name {Path(RUN).name} {SHORT}")
    nn = folder / RUN / "nn"
    for name in ("checkpoint_1000.pth", "checkpoint_best.pth"):
        shutil.copy(nn / "checkpoint_2.pth", nn / name)
    return folder


@pytest.mark.parametrize(
    "command", [BASIC, WATCHED, RESUME, TEST, TOGETHER, COPY, MY_TASK, TENSORBOARD], ids=lambda command: command[:40]
)
def test_our_guide_has_the_command(command: str) -> None:
    assert any(line.split(" #")[0].strip() == command for line in GUIDE.splitlines()), command


def test_basic_training_writes_the_output_structure(clone: Path) -> None:
    before = set((clone / "runs").iterdir())
    printed = works(clone, f"{BASIC} {SHORT.replace('iterations 2', 'iterations 4')} params.config.save_frequency=2")
    (run,) = set((clone / "runs").iterdir()) - before
    assert re.fullmatch(r"BaseTask_\d{8}_\d{6}", run.name)
    assert {"args.yaml", "train_config.yaml", "train.log", "nn"} <= {path.name for path in run.iterdir()}
    assert {"checkpoint_2.pth", "checkpoint_4.pth", "checkpoint_best.pth"} <= {
        path.name for path in (run / "nn").iterdir()
    }
    assert "4 iterations, 65536 frames" in printed
    assert "command: python train.py --task BaseTask" in (run / "args.yaml").read_text(encoding="utf-8")
    last = next(line for line in reversed(printed.splitlines()) if line.startswith("iteration "))
    for statistic in (
        "average reward",
        "episode length",
        "learning rate",
        "policy loss",
        "value loss",
        "entropy",
        "success rate",
        "frames/s",
    ):
        assert statistic in last
    args = yaml.safe_load((run / "args.yaml").read_text(encoding="utf-8"))
    assert (args["task"], args["num_envs"], args["headless"], args["seed"]) == ("BaseTask", 1024, True, 42)


def test_training_with_visualization(clone: Path) -> None:
    printed = works(clone, f"{WATCHED} {SHORT} --log-interval 100000")
    assert "viewer: http://127.0.0.1:" in printed
    assert "\niteration " not in printed  # so many episodes have not finished
    assert "2 iterations, 2048 frames" in printed


def test_resume_training_from_checkpoint(clone: Path, tmp_path: Path) -> None:
    shutil.copytree(clone / RUN, tmp_path / RUN)
    command = RESUME.replace("python train.py", f"python {clone}/train.py")
    printed = works(tmp_path, f"{command} --max-iterations 3")
    assert f"what the command line leaves open is as in {RUN}/args.yaml" in printed
    assert "3 iterations, 768 frames" in printed
    assert (tmp_path / RUN / "nn" / "checkpoint_3.pth").is_file()


def test_test_a_trained_policy(clone: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (clone / RUN).rglob("*")}
    printed = works(clone, TEST)
    assert len(re.findall(r"^episode \d+: ", printed, re.MULTILINE)) == 100
    assert re.search(r"^success \d+ of 100 = [\d.]+, 95 % interval \[", printed, re.MULTILINE)
    assert {path: path.stat().st_mtime_ns for path in (clone / RUN).rglob("*")} == before


def test_multi_gpu_training(clone: Path) -> None:
    before = set((clone / "runs").iterdir())
    port = f"--master_port={free_port()}"
    result = shell(clone, TOGETHER.replace("launch", f"launch {port}", 1) + f" --num-envs 64 {SHORT}")
    assert result.returncode == 0, result.stderr
    assert "2 processes learn together, each with 64 environments" in result.stdout
    (run,) = set((clone / "runs").iterdir()) - before
    assert "2 iterations, 4096 frames" in (run / "train.log").read_text(encoding="utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def board(clone: Path) -> Iterator[str]:
    """The address at which the guide's TensorBoard answers."""
    port = free_port()
    command = f"exec {TENSORBOARD} --port {port} --load_fast false"
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=clone,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if f":{port}" in line:
                break
        yield f"http://localhost:{port}"
        process.terminate()
        process.stderr.read()


def test_tensorboard_shows_the_runs(board: str) -> None:
    tags: dict[str, dict[str, object]] = {}
    for _ in range(100):  # it reads the events after it has begun to answer
        with urllib.request.urlopen(f"{board}/data/plugin/scalars/tags", timeout=30) as answer:  # noqa: S310
            tags = json.load(answer)
        if tags:
            break
        time.sleep(0.2)
    run = next(name for name in tags if name.startswith(Path(RUN).name))
    wanted = ("losses/policy_loss", "losses/entropy", "info/learning_rate", "info/kl", "info/contact_overflows")
    assert set(wanted) <= set(tags[run])
    terms = [name for name in tags[run] if name.startswith("raw_reward/")]
    assert terms
    assert {name.replace("raw_", "") for name in terms} <= set(tags[run])


def test_ctrl_c_writes_a_checkpoint_and_ends_with_130(clone: Path) -> None:
    """As the shell sends it: to the program, in the middle of an iteration."""
    name = "interrupted"
    command = f"{BASIC} --experiment-name {name} {SHORT.replace('--max-iterations 2', '')}".split("'")
    words = ["bash", "-c", "exec " + "'".join(command)]
    with subprocess.Popen(words, cwd=clone, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("iteration "):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
    assert process.returncode == 130
    done = int(re.findall(r"^(\d+) iterations,", rest, re.MULTILINE)[-1])
    assert (clone / "runs" / name / "nn" / f"checkpoint_{done}.pth").is_file()
    assert f"stopped; go on with --checkpoint runs/{name}" in rest


def test_every_test_that_the_table_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", GUIDE)
    assert len(named) > 20
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file}::{name}"
