"""Training under Isaac Gym goes on in the Python that DEXHAND_ISAACGYM_PYTHON names: here this, with the stand-in."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dexhand_env.config.layers import merge
from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint
from tests.commands.programs import ROOT, files
from tests.commands.test_own_tasks import SMALL as FEW
from tests.stages.pipeline import FOLDER, NAME, SEED, SMALL, write_configs

from .interpreters import STAND_IN, environment, run

NOT_EXACTLY = (
    "isaac_gym keeps a part of its state to itself: training goes on, but not exactly as it would without a stop"
)
STAGE = ("-m", "dexhand_env.stages.train", NAME, str(SEED))
TRAIN = (
    str(ROOT / "train.py"),
    *FEW,
    "--headless",
    "--sim-device",
    "cpu",
    "--rl-device",
    "cpu",
    "sim.backend=isaac_gym",
)


def variables(**more: str) -> dict[str, str]:
    return environment(STAND_IN, Path(sys.executable), DEXHAND_GPUS="0", **more)


def write_experiment(root: Path, iterations: int = 2) -> None:
    write_configs(
        root,
        small=merge(SMALL, {"env": {"sim": {"backend": "isaac_gym"}}, "train": {"max_iterations": iterations}}),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder (not to be changed) with the tiny experiment trained, selected and tested."""
    root = tmp_path_factory.mktemp("trained")
    write_experiment(root)
    for stage in ("train", "select", "evaluate"):
        result = run(root, variables(), "-m", f"dexhand_env.stages.{stage}", NAME, str(SEED))
        assert (result.returncode, result.stderr) == (0, ""), stage
    return root


def record(root: Path, stage: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / FOLDER / "stages" / f"{stage}.json").read_text(encoding="utf-8"))
    return found


def test_the_record_of_the_stage_is_as_with_other_backends(trained: Path) -> None:
    found = record(trained, "train")
    assert found["command"] == " ".join(STAGE)
    assert (found["iterations"], found["frames"], found["resumed"]) == (2, 128, False)
    assert record(trained, "select")["command"] == f"-m dexhand_env.stages.select {NAME} {SEED}"


def test_only_training_has_isaacgym_and_the_lock_file_of_its_python(trained: Path) -> None:
    pins = (ROOT / "requirements" / "isaacgym38.txt").read_text(encoding="utf-8").splitlines()
    names = {line.partition("==")[0] for line in pins if not line.startswith("#")}
    versions = record(trained, "train")["versions"]
    assert isinstance(versions, dict)
    assert versions.keys() - {"isaacgym"} <= names
    assert "mujoco" not in versions
    for stage in ("select", "evaluate"):
        assert "mujoco" in str(record(trained, stage)["versions"])


def test_a_training_that_was_stopped_goes_on_and_says_how(tmp_path: Path) -> None:
    write_experiment(tmp_path, 100_000)
    with subprocess.Popen(
        [sys.executable, *STAGE],
        cwd=tmp_path,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("iteration ")
        process.send_signal(signal.SIGINT)
        said = process.communicate()
    assert (process.returncode, said[1]) == (130, "")
    assert not (tmp_path / FOLDER / "checkpoints").exists()
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "nn").is_dir()
    with subprocess.Popen(
        [sys.executable, *STAGE], cwd=tmp_path, env=variables(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == NOT_EXACTLY + "\n"
        process.terminate()
        process.communicate()


def test_train_py_trains_goes_on_and_tests(tmp_path: Path) -> None:
    result = run(tmp_path, variables(), *TRAIN, "--experiment-name", "run", "--max-iterations", "2")
    assert (result.returncode, result.stderr) == (0, "")
    assert NOT_EXACTLY not in result.stdout
    values = yaml.safe_load((tmp_path / "runs" / "run" / "args.yaml").read_text(encoding="utf-8"))
    assert values["task_config"]["sim"]["backend"] == "isaac_gym"
    assert values["overrides"][-1] == "sim.backend=isaac_gym"
    assert "'sim.backend=\"isaac_gym\"'" in values["command"]
    program = (str(ROOT / "train.py"), "--checkpoint", "latest", "--headless")
    more = run(tmp_path, variables(), *program, "--max-iterations", "3")
    assert (more.returncode, more.stderr) == (0, "")
    assert NOT_EXACTLY in more.stdout.splitlines()
    state = load_checkpoint(tmp_path / "runs" / "run" / "nn" / "checkpoint_3.pth", TRAINING_KEYS)
    assert state["iteration"] == 3
    tested = run(tmp_path, variables(), *program, "--test", "--episodes", "3", "--num-envs", "2")
    assert (tested.returncode, tested.stderr) == (0, "")
    assert tested.stdout.splitlines()[-1].startswith("success ")
    assert NOT_EXACTLY not in tested.stdout
    on_mujoco = run(
        tmp_path, variables(), *program, "--test", "--episodes", "3", "--num-envs", "2", "sim.backend=mujoco"
    )
    assert (on_mujoco.returncode, on_mujoco.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--rl-device", "cuda:99"), "--rl-device: cuda:99: "),
        (("--sim-device", "gpu"), "--sim-device: found 'gpu'"),
        (("rewards.sucess=2",), "rewards.sucess"),
        (("randomisation.object_size_m=[0.03, 0.05]",), "randomisation"),
    ],
)
def test_a_mistake_that_only_the_other_python_sees_is_one_line_too(
    tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    result = run(tmp_path, variables(), *TRAIN, *options)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("train.py: ")
    assert says in line
    assert files(tmp_path) == {}


def test_a_task_of_ones_own_is_tried_out_before(tmp_path: Path) -> None:
    from tests.commands.test_own_tasks import CLASS

    (tmp_path / "mine.py").write_text(CLASS, encoding="utf-8")
    text = "task: MyTask\nrewards: {height: 1.0}\nobservations: {policy: [joint_positions, height]}\n"
    (tmp_path / "MyTask.yaml").write_text(text, encoding="utf-8")
    options = (*TRAIN, "--task", "mine.py:MyTask", "--max-iterations", "1")
    result = run(tmp_path, variables(), *options)
    assert (result.returncode, result.stderr) == (0, "")
    (tmp_path / "mine.py").write_text(CLASS.replace("hand_height - 0.5", "hand_hight"), encoding="utf-8")
    result = run(tmp_path, variables(), *options)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "mine.py:" in line
    assert "hand_hight" in line
