"""Where a stage's physics runs, and how many GPUs it may use.

Only an experiment that names MuJoCo Warp or Isaac Gym uses a GPU, and only to train: `auto` is the CPU here, where
equal inputs give equal bytes on every machine. Policies are selected and tested by MuJoCo on the CPU, whatever they
were trained under.
"""

from __future__ import annotations

import os
import sys
from typing import TypeVar

from dexhand_env.config.task import TaskConfig
from dexhand_env.errors import UserError
from dexhand_env.sim.backends import find_driver, warp_installed, why_no_isaac_gym, why_no_warp

GPUS_VARIABLE = "DEXHAND_GPUS"
AnyTask = TypeVar("AnyTask", bound=TaskConfig)


def training_gpus(task: TaskConfig, where: str) -> int:
    """GPUs that training runs on: none, or where the experiment names MuJoCo Warp the stage's DEXHAND_GPUS, else one.

    Isaac Gym takes one; none, which is its physics on the CPU, where DEXHAND_GPUS is 0.

    Args:
        task: the task's configuration.
        where: names the experiment's file in errors.

    Raises:
        UserError: DEXHAND_GPUS is not a number of GPUs, or the simulator cannot run on so many here.
    """
    if task.sim.backend == "isaac_gym":
        return _gpus_of_isaac_gym(where)
    if task.sim.backend != "mujoco_warp":
        return 0
    text = os.environ.get(GPUS_VARIABLE) or "1"
    if not text.isdecimal() or int(text) < 1:
        raise UserError(GPUS_VARIABLE, f"found {text!r}", "a number of GPUs, 1 or more")
    reason = why_no_warp(find_driver(), int(text) - 1, warp_installed())
    if reason is not None:
        raise UserError(f"{where}: env.sim.backend", f"mujoco_warp on {text} GPUs: {reason}", "auto, mujoco")
    return int(text)


def _gpus_of_isaac_gym(where: str) -> int:
    text = os.environ.get(GPUS_VARIABLE) or "1"
    if text not in ("0", "1"):
        raise UserError(GPUS_VARIABLE, f"found {text!r}", "1 with isaac_gym; 0 steps its physics on the CPU")
    processes = os.environ.get("WORLD_SIZE") or "1"
    if processes != "1":
        raise UserError(f"{where}: env.sim.backend", f"isaac_gym in {processes} processes", "one, without torchrun")
    obstacle = why_no_isaac_gym(0) if text == "1" else None
    if obstacle is not None:
        allowed = f"{GPUS_VARIABLE}=0, which steps the physics on the CPU; env.sim.backend auto, mujoco"
        raise UserError(f"{where}: env.sim.backend", f"isaac_gym on a GPU: {obstacle.found}", allowed)
    return int(text)


def played(task: AnyTask) -> AnyTask:
    """The task as it is selected and tested: by MuJoCo on the CPU."""
    return task.model_copy(update={"sim": task.sim.model_copy(update={"backend": "mujoco"})})


def start_on_each_gpu(gpus: int, module: str, *arguments: str) -> None:
    """Become torch's launcher, which starts this stage once a GPU; returns at once in a process that it started."""
    if "WORLD_SIZE" in os.environ or gpus < 2:
        return
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={gpus}"]
    sys.stdout.flush()
    # Signals and exit code are its own from here on.
    os.execv(sys.executable, [sys.executable, *launcher, "-m", module, *arguments])  # noqa: S606
