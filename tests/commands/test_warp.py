"""train.py with MuJoCo Warp, on its CPU device and with no GPU in sight."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import List

import pytest

from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint
from dexhand_env.sim.backends import warp_installed

from .programs import files, train
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
    """The lines on stderr but Warp's own, which it writes where there is no driver, whatever its log level."""
    return [line for line in result.stderr.splitlines() if not line.startswith("Warp CUDA warning: ")]


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
