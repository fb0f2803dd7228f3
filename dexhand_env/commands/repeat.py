"""How a training run can be made again: from nothing, or from the checkpoint that its settings began with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dexhand_env.commands.options import ResolvedRun
from dexhand_env.commands.recorded_run import REMEMBERED, recorded_run
from dexhand_env.config.ppo import PPOParams, load_ppo
from dexhand_env.config.registrations import PACKAGE
from dexhand_env.config.registry import find_task, load_task
from dexhand_env.rl.run_folder import TRAIN_CONFIG_FILE

TRAIN_SCRIPT = PACKAGE.parent / "train.py"
# What must be equal in args.yaml for a resumption to be the same training; the task's configuration too.
DECIDING = ("num_envs", "processes", "threads", "torch_deterministic", "used_sim_device", "used_rl_device")


def began_from(run: ResolvedRun, values: Mapping[str, Any]) -> str | None:
    """The checkpoint that training with these settings began from; None where it began from nothing.

    A resumption that changes nothing but the number of iterations is the training that it goes on with.

    Args:
        run: what trains.
        values: those of its ``RunArguments``.
    """
    earlier = run.earlier
    if run.checkpoint is None or earlier is None:
        return values["checkpoint"]
    recorded = earlier.arguments
    unchanged = (
        all(getattr(recorded, name) == values[name] for name in DECIDING)
        and load_task(find_task(run.options.task), recorded.task_config) == run.task
        and _apart_from_its_length(load_ppo(earlier.train_config)) == _apart_from_its_length(run.params)
    )
    if not unchanged or (recorded.began_from and _iteration(run.checkpoint) < _iteration(recorded.began_from)):
        return values["checkpoint"]
    return recorded.began_from


def _iteration(checkpoint: str | Path) -> int:
    from dexhand_env.rl.checkpoint import load_checkpoint

    return load_checkpoint(Path(checkpoint))["iteration"]


def _apart_from_its_length(params: PPOParams) -> dict[str, Any]:
    """PPO's configuration without the number of iterations, unless a schedule depends on it."""
    values = params.dump()
    config, critic = params.config, params.config.central_value_config
    schedules = (config.lr_schedule, None if critic is None else critic.lr_schedule)
    if "linear" not in schedules and config.kl_threshold_last is None and config.sigma_last is None:
        del values["config"]["max_epochs"]
    return values


def repeating_command(run: ResolvedRun, values: Mapping[str, Any]) -> str:
    """A command that makes the run again under another name, with the PPO file that the run leaves.

    Args:
        run: what trains.
        values: those of its ``RunArguments``.
    """
    words = _program(values["processes"])
    for name in ("task", *REMEMBERED):
        value = values[name]
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    words += ["--headless", "--train-config", str(run.folder / TRAIN_CONFIG_FILE)]
    changes = changed_values(load_task(find_task(run.options.task)).record(), values["task_config"])
    if values["began_from"] is not None:
        words += ["--checkpoint", values["began_from"], "--experiment-name", f"{run.folder.name}_again"]
        origin = recorded_run(Path(values["began_from"]))
        if origin is not None:  # its values would count where the command says nothing
            changes = sorted({*changes, *changed_values(origin.arguments.task_config, values["task_config"])})
    return shlex.join([*words, *changes])


def _program(processes: int) -> list[str]:
    """What trains: train.py where it lies in the current folder, the installed command elsewhere."""
    launcher = ["torchrun", f"--nproc_per_node={processes}"] if processes > 1 else []
    if Path("train.py").resolve() == TRAIN_SCRIPT:
        return [*(launcher or ["python"]), "train.py"]
    return [*launcher, *(["--no-python"] if launcher else []), "dexhand", "train"]


def changed_values(base: Mapping[str, Any], values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """``key=value`` for each value that differs from the one in ``base``; nested keys are dotted.

    Args:
        base, values: plain JSON types; over ``base``, what is returned gives ``values``.
    """
    found = []
    for key, value in values.items():
        name, below = f"{prefix}{key}", base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            found += changed_values(below, value, f"{name}.")
        elif key not in base or value != below:
            found.append(f"{name}={json.dumps(value)}")
    return found
