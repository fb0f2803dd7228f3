"""What a training takes of the device's memory, beside what is predicted before it begins."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from dexhand_env.config.physics import Physics
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.free_memory import used_memory
from dexhand_env.rl.memory import MemoryNeeds, memory_of
from dexhand_env.sim.factory import simulation_memory
from dexhand_env.sim.scene import Scene


@dataclasses.dataclass(frozen=True)
class Memory:
    """Gigabytes.

    Attributes:
        used: of the GPU in all; of the process on the CPU.
        begun_with: of those, before anything was made: the context of the GPU, the imports on the CPU.
        predicted: what the check before a training (``dexhand_env/rl/memory.py``) expects beyond those.
    """

    used: float
    begun_with: float
    predicted: float


def used_gb(device: str) -> float:
    """Of the GPU in all, context and other processes included; of this process on the CPU."""
    if device == "cpu":
        return used_memory([device])[memory_of(device)] / 1e9
    torch.zeros(1, device=device)  # makes the context, if there is none
    free, total = torch.cuda.mem_get_info(device)
    return (total - free) / 1e9


def predicted_gb(
    env: DexHandEnv, scene: Scene, physics: Physics, params: dict[str, Any], device: str, threads: int
) -> float:
    """The prediction for a training in this environment."""
    needs = MemoryNeeds(
        physics=simulation_memory(scene, physics, "auto", device, threads),
        observations=env.observation_sizes["policy"],
        critic_observations=env.observation_sizes.get("critic", 0),
        actions=env.num_actions,
        params=params,
        sim_device=device,
        rl_device=device,
        threads=threads,
    )
    return needs.total(env.num_envs)[memory_of(device)] / 1e9
