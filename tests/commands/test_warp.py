"""train.py with MuJoCo Warp, on its CPU device and with no GPU in sight."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import List, Tuple

import pytest

from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint
from dexhand_env.sim.backends import warp_installed

from .programs import files, run, train
from .test_own_tasks import SMALL

SIX_BALLS = '''\
"""More objects than MuJoCo Warp takes: 62 velocities."""

import torch

from dexhand_env.env.task import Task, register_task
from dexhand_env.sim.scene import Scene, SceneObject


@register_task
class Balls(Task):
    @classmethod
    def scene(cls, config):
        balls = (SceneObject(f"ball{i}", "sphere", (0.02,), 0.05, (0.1 * i, 0.5, 0.02)) for i in range(6))
        return Scene(objects=tuple(balls))

    def compute_task_rewards(self):
        return {"still": torch.zeros(self.num_envs)}
'''
YAML = "task: Balls\nrewards: {still: 1.0}\nobservations: {policy: [joint_positions]}\n"


@pytest.fixture(autouse=True)
def _warp() -> None:
    if not warp_installed():
        pytest.skip("no Warp")


def said(result: subprocess.CompletedProcess[str]) -> List[str]:
    """The lines on stderr but Warp's own, which it writes where there is no driver, whatever its log level, and but
    what is said of kernels where none have been compiled yet."""
    passing = ("Warp CUDA warning: ", "compiling MuJoCo Warp's kernels ")
    return [line for line in result.stderr.splitlines() if not line.startswith(passing)]


def test_a_scene_that_warp_does_not_support_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "balls.py").write_text(SIX_BALLS, encoding="utf-8")
    (tmp_path / "Balls.yaml").write_text(YAML, encoding="utf-8")
    before = files(tmp_path)
    task = ("--task", "balls.py:Balls", *SMALL, "--sim-device", "cpu", "--max-iterations", "1")
    result = train(tmp_path, *task, "sim.backend=mujoco_warp")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = said(result)
    assert "sim.backend: mujoco_warp does not support this scene: " in line
    assert line.endswith("; allowed: mujoco")
    after = {name: content for name, content in files(tmp_path).items() if "__pycache__" not in name}
    assert after == before
    assert train(tmp_path, *task, "sim.backend=mujoco").returncode == 0


def test_a_training_of_the_cpu_backend_goes_on_under_warp_and_back(tmp_path: Path) -> None:
    options = (*SMALL, "--sim-device", "cpu", "--rl-device", "cpu", "--experiment-name", "run")
    assert train(tmp_path, *options, "--max-iterations", "2").returncode == 0
    for total, backend in ((4, "mujoco_warp"), (6, "mujoco")):
        more = ("--checkpoint", "runs/run", "--headless", "--max-iterations", str(total), f"sim.backend={backend}")
        result = train(tmp_path, *more)
        assert (result.returncode, said(result)) == (0, [])
    states = [
        load_checkpoint(tmp_path / "runs" / "run" / "nn" / f"checkpoint_{total}.pth", TRAINING_KEYS)
        for total in (2, 4, 6)
    ]
    assert [state["iteration"] for state in states] == [2, 4, 6]
    assert ["sensordata" in state["env_state"]["sim"] for state in states] == [False, True, False]


def test_without_a_gpu_one_that_is_named_is_refused_in_one_line(tmp_path: Path) -> None:
    result = train(tmp_path, *SMALL, "--sim-device", "cuda", "sim.backend=mujoco_warp")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = said(result)
    assert "--sim-device: cuda:0: " in line
    assert files(tmp_path) == {}


# train.py with a stand-in for NVIDIA's library, which says what a driver would; None is a machine without one.
WITH_DRIVER = """
import ctypes, sys
version, devices, error, warp = {driver}
real = ctypes.CDLL
class Driver:
    def cuDriverGetVersion(self, found):
        found._obj.value = version
        return 0
    def cuInit(self, flags):
        return error
    def cuDeviceGetCount(self, found):
        found._obj.value = devices
        return 0
def load(name, *arguments, **options):
    if name != "libcuda.so.1":
        return real(name, *arguments, **options)
    if version is None:
        raise OSError("libcuda.so.1: cannot open shared object file")
    return Driver()
ctypes.CDLL = load
if not warp:
    sys.modules["mujoco_warp"] = None
sys.argv[0] = "train.py"
from dexhand_env.cli import train_main
train_main()
"""
OLD = "the NVIDIA driver is too old: it supports CUDA 12.4, MuJoCo Warp needs 13.0 or newer"
ABSENT = "MuJoCo Warp is not installed (pip install 'dexhand-env[gpu]')"


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        ((None, 0, 0, True), "no NVIDIA driver here (libcuda.so.1 is not found)"),
        ((12040, 1, 0, True), OLD),
        ((13000, 0, 100, True), "0 GPUs are visible to this process"),
        ((13000, 1, 802, True), "the NVIDIA driver does not start (CUDA error 802)"),
        ((13000, 1, 0, False), ABSENT),
    ],
    ids=["no driver", "an old driver", "hidden", "broken", "no Warp"],
)
def test_a_gpu_that_cannot_step_physics_is_refused_with_the_reason(
    tmp_path: Path, driver: Tuple[object, ...], says: str
) -> None:
    code = WITH_DRIVER.format(driver=driver)
    result = run(tmp_path, "-c", code, *SMALL, "--sim-device", "cuda")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"train.py: --sim-device: cuda:0: {says}; allowed: cpu\n"
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("driver", "notices"),
    [
        ((None, 0, 0, True), []),
        ((12040, 1, 0, True), [f"physics on the CPU: {OLD}"]),
        ((13000, 1, 0, False), [f"physics on the CPU: {ABSENT}"]),
    ],
    ids=["no driver", "an old driver", "no Warp"],
)
def test_by_itself_it_takes_the_cpu_and_says_why_where_there_is_a_gpu(
    tmp_path: Path, driver: Tuple[object, ...], notices: List[str]
) -> None:
    result = run(tmp_path, "-c", WITH_DRIVER.format(driver=driver), *SMALL, "--max-iterations", "1")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line for line in result.stdout.splitlines() if line.startswith("physics on")] == notices
