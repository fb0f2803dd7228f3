"""A task whose successes and failures the test decides."""

from __future__ import annotations

from typing import Any, Dict

import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.config.task import TaskConfig
from dexhand_env.env.actions import HandControls
from dexhand_env.env.randomness import EpisodeRandomness, TrainingRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.task import Task
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.factory import make_simulation

CPU = torch.device("cpu")


def task_config(rewards: Dict[str, float], **changes: Any) -> TaskConfig:
    """A configuration without anything of BaseTask's own."""
    values = load_task("BaseTask").dump()
    for key in ("goal", "success", "reward_scales"):
        del values[key]
    values.update(task="Scripted", rewards=rewards, **changes)
    values["sim"]["physics"] = "fast"
    values["observations"] = changes.get("observations", {"policy": ["joint_positions"]})
    return TaskConfig.model_validate(values)


def build(
    cls: Any,
    config: TaskConfig,
    num_envs: int,
    randomness: EpisodeRandomness | None = None,
    auto_reset: bool = True,
    stagger: bool = False,
) -> DexHandEnv:
    """An environment of a task class that is in no registry."""
    physics = load_physics(config.sim.physics)
    sim = make_simulation(cls.scene(config), physics, num_envs, "auto", "cpu", 1)
    hand = RobotHand(sim, HandControls(config.actions, physics.control_dt_s, CPU), config.hand.side)
    drawn = TrainingRandomness(0, CPU) if randomness is None else randomness
    return DexHandEnv(config, sim, hand, cls(config, hand, sim), drawn, auto_reset, stagger)


class ScriptedTask(Task):
    """``succeed``, ``dropped`` and ``lost`` are set by the test; the reward is the world's number plus one."""

    def __init__(self, config: Any, hand: RobotHand, sim: Simulation) -> None:
        super().__init__(config, hand, sim)
        nothing = torch.zeros(self.num_envs, dtype=torch.bool)
        self.succeed, self.dropped, self.lost = nothing.clone(), nothing.clone(), nothing.clone()
        self.begun: list[list[int]] = []
        self.updated: list[list[bool]] = []

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        self.begun.append(worlds.nonzero()[:, 0].tolist())
        return super().begin_episodes(worlds, randomness)

    def update(self, worlds: torch.Tensor) -> None:
        self.updated.append(worlds.tolist())

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        number = torch.arange(1.0, self.num_envs + 1.0)
        return {"number": number, "constant": torch.full((self.num_envs,), 0.5)}

    def successes(self) -> torch.Tensor:
        return self.succeed

    def failures(self) -> Dict[str, torch.Tensor]:
        return {"dropped": self.dropped, "lost": self.lost}

    def metrics(self) -> Dict[str, torch.Tensor]:
        return {"base_height_m": self.joint_positions[:, 2]}


def script(env: DexHandEnv) -> ScriptedTask:
    """The environment's task, which the test steers."""
    assert isinstance(env.task, ScriptedTask)
    return env.task
