"""Tasks by name, and environments made of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Dict, Type

from dexhand_env.config.physics import Physics
from dexhand_env.env.actions import HandControls
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.task import Task
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.errors import UserError
from dexhand_env.sim.factory import make_simulation

# Imported by name when asked for: a stage that runs one task opens no other task's file.
_BUILT_IN: Dict[str, str] = {"BaseTask": "dexhand_env.tasks.base_task:BaseTask"}


def task_class(name: str) -> Type[Task]:
    """The class of a task.

    Raises:
        UserError: no task has this name.
    """
    if name not in _BUILT_IN:
        raise UserError("task", f"{name!r} is not a task", ", ".join(sorted(_BUILT_IN)))
    module, attribute = _BUILT_IN[name].split(":")
    return getattr(import_module(module), attribute)


def make_env(
    config: Any,
    physics: Physics,
    num_envs: int,
    randomness: EpisodeRandomness,
    device: str = "cpu",
    threads: int = 1,
    auto_reset: bool = True,
) -> DexHandEnv:
    """An environment of ``num_envs`` worlds.

    Args:
        config: the task's configuration.
        physics: time step, substeps, solver.
        num_envs: number of worlds.
        randomness: what draws the episodes.
        device: where physics runs.
        threads: CPU threads that step physics.
        auto_reset: see :class:`DexHandEnv`.

    Raises:
        UserError: unknown task, backend, observation or reward name.
    """
    cls = task_class(config.task)
    sim = make_simulation(cls.scene(config), physics, num_envs, config.sim.backend, device, threads)
    hand = RobotHand(sim, HandControls(config.actions, physics.control_dt_s, sim.device), config.hand.side)
    task = cls(config, hand, sim)
    stagger = auto_reset and config.stagger_first_episodes
    return DexHandEnv(config, sim, hand, task, randomness, auto_reset, stagger)
