"""Tasks by name, and environments made of them."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Type

import torch

from dexhand_env.config.layers import shown_path
from dexhand_env.config.physics import Physics
from dexhand_env.config.registry import registration
from dexhand_env.env.actions import HandControls
from dexhand_env.env.interface import PolicyInterface, first_difference, interface_from_plain, interface_of
from dexhand_env.env.object_shapes import with_shapes
from dexhand_env.env.randomness import EpisodeRandomness, TrainingRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.task import Task
from dexhand_env.env.task_checks import check_records, check_same_names, check_scene, check_start, check_step, place
from dexhand_env.env.vec_env import DexHandEnv, Watcher
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.factory import make_simulation
from dexhand_env.sim.scene import Scene

# What a trial has found, for a process that has no MuJoCo to try a task out with (stages/isaac_gym.py).
INTERFACE_VARIABLE = "DEXHAND_TRIED_INTERFACE"


def task_class(name: str) -> Type[Task]:
    """The class of a task of this package, or of one from outside that ``find_task`` has imported.

    Raises:
        UserError: no task has this name.
    """
    return registration(name).task_class


def simulated_scene(config: Any) -> Scene:
    """What is simulated for a task's configuration: its task's scene, able to have all shapes that are drawn.

    Raises:
        UserError: no task has this name.
    """
    return with_shapes(task_class(config.task).scene(config), config.randomisation.object_shapes)


def make_env(
    config: Any,
    physics: Physics,
    num_envs: int,
    randomness: EpisodeRandomness,
    device: str = "cpu",
    threads: int = 1,
    auto_reset: bool = True,
    watcher: Optional[Watcher] = None,
) -> DexHandEnv:
    """An environment of ``num_envs`` worlds.

    Args:
        config: the task's configuration.
        physics: time step, substeps, solver.
        num_envs: number of worlds.
        randomness: what draws the episodes.
        device: where physics runs.
        threads: CPU threads that step physics.
        auto_reset, watcher: see :class:`DexHandEnv`.

    Raises:
        UserError: unknown task, backend, observation or reward name.
    """
    sim = make_simulation(simulated_scene(config), physics, num_envs, config.sim.backend, device, threads)
    hand, task = _hand_and_task(config, physics, sim)
    stagger = auto_reset and config.stagger_first_episodes
    return DexHandEnv(config, sim, hand, task, randomness, auto_reset, stagger, watcher)


def _hand_and_task(config: Any, physics: Physics, sim: Simulation) -> Tuple[RobotHand, Task]:
    hand = RobotHand(sim, HandControls(config.actions, physics.control_dt_s, sim.device), config.hand.side)
    return hand, task_class(config.task)(config, hand, sim)


def try_out(config: Any, physics: Physics) -> PolicyInterface:
    """Make a task in two worlds on the CPU, take one step and forget it: its mistakes show before anything is written.

    Returns:
        What its observations and actions mean.

    Raises:
        UserError: names in which the task's YAML and its code do not agree, something that the task returns and that is
            not as ``Task`` says (``env/task_checks.py``), or an error in its code.
    """
    on_cpu = config.model_copy(update={"sim": config.sim.model_copy(update={"backend": "mujoco"})})
    source = registration(config.task).source
    try:
        return _tried_out(on_cpu, physics)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == source]
        if not lines:
            raise
        raise UserError(f"{shown_path(source)}:{lines[-1]}", f"{type(error).__name__}: {error}") from error


def _tried_out(config: Any, physics: Physics) -> PolicyInterface:
    task_type, randomness = task_class(config.task), TrainingRandomness(0, torch.device("cpu"))
    check_scene(task_type, config)
    try:
        sim = make_simulation(simulated_scene(config), physics, 2, config.sim.backend, "cpu", 1)
    except ValueError as error:  # MuJoCo's
        found = f"cannot be simulated: {' '.join(str(error).split())}"
        raise UserError(place(task_type, "scene"), found, "a scene that MuJoCo compiles") from error
    hand, task = _hand_and_task(config, physics, sim)
    check_start(task, randomness)
    env = DexHandEnv(config, sim, hand, task, randomness)
    difference = first_difference(env.interface, _declared(config, physics) or env.interface)
    if difference is not None:
        raise UserError(place(task_type, "observations"), *difference)
    before = {**check_step(task, {}), **check_records(task)}
    env.step(torch.zeros((env.num_envs, env.num_actions)))
    check_same_names(task, before, {**check_step(task, {}), **check_records(task)})
    return env.interface


def policy_interface(config: Any, physics: Physics) -> PolicyInterface:
    """What observations and actions mean in a task.

    Raises:
        UserError: as :func:`try_out`, for a task whose observations are declared nowhere but in its code.
    """
    return _declared(config, physics) or _told(config) or try_out(config, physics)


def _told(config: Any) -> Optional[PolicyInterface]:
    """What this process was told by the one that has tried the task out."""
    text = os.environ.get(INTERFACE_VARIABLE) if config.sim.backend == "isaac_gym" else None
    return interface_from_plain(json.loads(text), INTERFACE_VARIABLE) if text else None


def _declared(config: Any, physics: Physics) -> Optional[PolicyInterface]:
    """What the task's schema says; None where it does not say the length of each observation."""
    lengths = {part: config.observation_lengths(part) for part in ("policy", "critic")}
    return None if None in lengths.values() else interface_of(config, physics.control_dt_s, lengths)


def observation_sizes(config: Any, physics: Physics) -> Dict[str, int]:
    """The numbers of observations of the policy and of what only the critic sees, by ``policy`` and ``critic``.

    Raises:
        UserError: as :func:`policy_interface`.
    """
    interface = policy_interface(config, physics)
    return {"policy": interface.observation_size, "critic": interface.critic_size}
