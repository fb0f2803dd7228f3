"""Training runs of a few seconds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.config.ppo import load_ppo, train_file
from dexhand_env.config.registry import load_task
from dexhand_env.rl.training import TrainingSpec

ROOT = Path(__file__).resolve().parent.parent.parent
ITERATIONS = 6


def task(**overrides: Any) -> Any:
    """BaseTask with episodes short enough that many end, some of them in success."""
    success = {"position_m": 0.3, "rotation_rad": 1.2, "finger_rad": 0.75, "hold_steps": 3}
    return load_task(
        "BaseTask", {"sim": {"physics": "fast"}, "episode_length_steps": 12, "success": success, **overrides}
    )


def params(**config: Any) -> Dict[str, Any]:
    """The shipped PPO parameters with a small network, small batches, and changes of the `config` section."""
    small = {"horizon_length": 8, "minibatch_size": 32, "mini_epochs": 2, "save_frequency": 1, "max_epochs": ITERATIONS}
    overrides = {"params": {"network": {"mlp": {"units": [32, 16]}}, "config": {**small, **config}}}
    return load_ppo(train_file("BaseTask"), overrides).dump()


def spec(**changes: Any) -> TrainingSpec:
    """A specification of 8 worlds x 8 steps an iteration."""
    values: Dict[str, Any] = {
        "task": task(),
        "physics": load_physics("fast"),
        "params": params(),
        "num_envs": 8,
        "seed": 1,
        **changes,
    }
    return TrainingSpec(**values)


CRITIC: Dict[str, Any] = {
    "minibatch_size": 32,
    "mini_epochs": 2,
    "learning_rate": 1e-3,
    "lr_schedule": "linear",
    "clip_value": True,
    "normalize_input": True,
    "truncate_grads": True,
    "grad_norm": 1.0,
    "network": {
        "name": "actor_critic",
        "central_value": True,
        "mlp": {"units": [16], "activation": "elu", "initializer": {"name": "default"}},
    },
}


def critic_spec(**config: Any) -> TrainingSpec:
    """The same with a critic of its own, which observes the fingertips too."""
    observations = {"policy": list(task().observations.policy), "critic": ["fingertip_positions"]}
    return spec(task=task(observations=observations), params=params(central_value_config=CRITIC, **config))


def curriculum_spec(**config: Any) -> TrainingSpec:
    """DexGrasp with an object that the critic alone sees, and a curriculum from a success that comes by itself to one
    that these few iterations do not reach."""
    seen = load_task("DexGrasp").observations.policy
    blind = [key for key in seen if "object" not in key and key != "gentleness"]
    grasp = load_task(
        "DexGrasp",
        {
            "sim": {"physics": "fast"},
            "episode_length_steps": 12,
            "success": {"hold_steps": 3},
            "observations": {"policy": blind, "critic": list(seen)},
            "randomisation": {"object_friction": [0.5, 1.2], "action_delay_steps": [0, 2]},
            "curriculum": {
                "success_rate": 0.5,
                "episodes": 10,
                "widenings": 3,
                "from": {
                    "start.hand_position_range_m": [0.02, 0.02, 0.02],
                    "success.distance_m": 0.4,
                    "success.speed_m_per_s": 10.0,
                    "success.hold_steps": 2,
                    "randomisation.object_friction": [1.0, 1.0],
                    "randomisation.action_delay_steps": [0, 0],
                    "rewards.excess_force": -0.01,
                },
            },
        },
    )
    return spec(task=grasp, params=params(central_value_config=CRITIC, **config))


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Paths at which two nested states differ by any bit."""
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return [f"{where}: keys {sorted(map(str, first))} and {sorted(map(str, second))}"]
        return [found for key in first for found in differences(first[key], second[key], f"{where}/{key}")]
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        return [found for i, pair in enumerate(zip(first, second)) for found in differences(*pair, f"{where}/{i}")]
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        same = first.dtype == second.dtype and torch.equal(first, second)
    else:
        same = type(first) is type(second) and first == second
    return [] if same else [where]


def in_subprocess(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own; ``sys.argv[1:]`` are the arguments."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
