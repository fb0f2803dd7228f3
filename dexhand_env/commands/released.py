"""The policies that come with the package: tested on this machine's CPU, or watched."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict

from pydantic import Field

from dexhand_env.commands.options import TrainOptions
from dexhand_env.config.check import check
from dexhand_env.config.layers import Layer, Stack
from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.config.schema import Section, choices
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError
from dexhand_env.stages.record import given_threads

POLICIES = Path(__file__).resolve().parent.parent / "policies"
FIRST_SEED = 3_000_000  # neither training, selection nor the published tests have seen these episodes


class ReleasedPolicy(Section):
    """The YAML beside a policy's weights."""

    task: str = Field(description="the task it was trained for")
    env: Dict[str, Any] = Field(description="overrides of the task's configuration, as in an experiment")


def released_policies() -> list[str]:
    """Names of the policies that come with the package."""
    return sorted(file.stem for file in POLICIES.glob("*.yaml"))


def _settings(name: str) -> tuple[Layer, ReleasedPolicy]:
    if name not in released_policies():
        raise UserError("--policy", f"found {name!r}", choices(released_policies(), name))
    layer = read_yaml(POLICIES / f"{name}.yaml")
    return layer, check(ReleasedPolicy, Stack([layer]))


def released_run(name: str, options: TrainOptions) -> TrainOptions:
    """The options by which a policy is played in the task that it was trained in.

    Raises:
        UserError: no such policy.
    """
    _, released = _settings(name)
    overrides = [f"{key}={json.dumps(value)}" for key, value in released.env.items()]
    return dataclasses.replace(
        options,
        task=released.task,
        checkpoint=str(POLICIES / f"{name}.pth"),
        test=True,
        overrides=(*overrides, *options.overrides),
    )


def evaluate_released(name: str, episodes: int, physics: str | None = None) -> None:
    """Play episodes with a released policy, without noise, and print how they ended.

    Args:
        name: of the policy.
        episodes: how many.
        physics: a preset of cfg/physics.yaml; that of the training where left out.

    Raises:
        UserError: no such policy or preset.
    """
    layer, released = _settings(name)
    on_cpu = {**released.env, "sim": {**released.env.get("sim", {}), "backend": "mujoco"}}
    config = load_task(released.task, Layer(layer.source, on_cpu, layer.section("env").marks, ("env",)))
    preset = load_physics(physics or config.sim.physics, "--physics")

    import numpy as np
    import torch

    from dexhand_env.rl.checkpoint import load_checkpoint
    from dexhand_env.rl.play import play_episodes
    from dexhand_env.rl.policy import Policy

    threads = given_threads()
    torch.set_num_threads(1)
    weights = POLICIES / f"{name}.pth"
    policy = Policy(load_checkpoint(weights), torch.device("cpu"), f"policy {weights}")
    table, _ = play_episodes(config, preset, policy, FIRST_SEED, episodes, threads)
    for outcome in sorted(set(table.outcomes.tolist())):
        print(f"{outcome}: {int((table.outcomes == outcome).sum())}")
    for metric, values in table.metrics.items():
        highest = np.quantile(values, 0.99)
        print(f"{metric}: mean {values.mean():.4g}, 99 % below {highest:.4g}, largest {values.max():.4g}")
    low, high = table.interval
    print(
        f"{name} under the {preset.name} physics: success {table.successes} of {table.episodes} = "
        f"{table.success_rate:.4f}, 95 % interval [{low:.4f}, {high:.4f}]; {table.lengths.mean():.0f} steps on average"
    )
