"""Small environments for tests."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.randomness import NumberedEpisodes, TrainingRandomness
from dexhand_env.env.vec_env import DexHandEnv, Step
from dexhand_env.tasks.registry import make_env

CPU = torch.device("cpu")


def base_task(**overrides: Any) -> Any:
    """BaseTask's shipped configuration with sections overridden."""
    return load_task("BaseTask", {"sim": {"physics": "fast"}, **overrides})


def training_env(num_envs: int = 4, seed: int = 0, config: Any = None, threads: int = 1) -> DexHandEnv:
    """An environment as training steps it."""
    config = base_task() if config is None else config
    physics = load_physics(config.sim.physics)
    return make_env(config, physics, num_envs, TrainingRandomness(seed, CPU), threads=threads)


def numbered_env(seeds: Sequence[int], config: Any = None) -> DexHandEnv:
    """An environment that plays numbered episodes, each once."""
    config = base_task() if config is None else config
    physics = load_physics(config.sim.physics)
    return make_env(config, physics, len(seeds), NumberedEpisodes(seeds, CPU), auto_reset=False)


def all_worlds(env: DexHandEnv) -> torch.Tensor:
    """The mask of all worlds."""
    return torch.ones(env.num_envs, dtype=torch.bool, device=env.device)


def random_actions(env: DexHandEnv, seed: int, steps: int) -> torch.Tensor:
    """(steps, num_envs, num_actions) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(steps, env.num_envs, env.num_actions, generator=generator) * 2.0 - 1.0


def contents(step: Step) -> Dict[str, torch.Tensor]:
    """Every tensor of a step, copied."""
    found = {
        name: getattr(step, name)
        for name in ("rewards", "dones", "outcomes", "episode_returns", "episode_lengths", "whole_episodes")
    }
    groups: Sequence[tuple[str, Mapping[str, torch.Tensor]]] = (
        ("observations", step.observations),
        ("raw", step.terms.raw),
        ("weighted", step.terms.weighted),
        ("metrics", step.metrics),
    )
    for group, values in groups:
        found.update({f"{group}/{name}": tensor for name, tensor in values.items()})
    return {name: tensor.clone() for name, tensor in found.items()}


def assert_equal(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """The same names and the same bits."""
    assert found.keys() == expected.keys()
    different = [name for name, values in expected.items() if not torch.equal(found[name], values)]
    assert different == []


def play(env: DexHandEnv, actions: torch.Tensor) -> list[Dict[str, torch.Tensor]]:
    """Contents of every step."""
    return [contents(env.step(each)) for each in actions]


def only(**weights: Optional[float]) -> Dict[str, Any]:
    """Reward weights: those given, zero for all others of BaseTask."""
    names = ("position_progress", "rotation_progress", "finger_progress", "action_rate", "success")
    return {name: weights.get(name, 0.0) for name in names}
