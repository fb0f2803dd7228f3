"""How a training run can be made again: from nothing, or from the checkpoint that its settings began with."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dexhand_env.commands.options import ResolvedRun
from dexhand_env.commands.recorded_run import REMEMBERED, RecordedRun
from dexhand_env.config.ppo import PPOParams, load_ppo
from dexhand_env.config.registrations import PACKAGE
from dexhand_env.config.registry import find_task, load_task
from dexhand_env.errors import UserError
from dexhand_env.rl.run_folder import TRAIN_CONFIG_FILE

# A run's own copy of the checkpoint that it began from: its iteration and the beginning of its digest.
KEPT = re.compile(r"began_from_(\d+)_[0-9a-f]{12}\.pth")
TRAIN_SCRIPT = PACKAGE.parent / "train.py"
# What must be equal in args.yaml for a resumption to be the same training; the task's configuration too.
DECIDING = ("num_envs", "processes", "threads", "torch_deterministic", "used_sim_device", "used_rl_device")


def began_from(run: ResolvedRun, values: Mapping[str, Any]) -> Path | None:
    """The checkpoint that training with these settings began from; None where it began from nothing.

    A resumption that changes nothing but the number of iterations counts as the same training, so it is not the
    checkpoint to resume from, but the one that the recorded run began from.

    Args:
        run: what trains.
        values: those of its ``RunArguments``.
    """
    if run.checkpoint is None or run.earlier is None or not _is_unchanged(run, run.earlier, values):
        return run.checkpoint
    recorded = run.earlier.arguments.began_from
    if recorded is None:
        return None
    kept = run.earlier.folder / Path(recorded).name  # the run may have been moved
    found = KEPT.fullmatch(kept.name)
    earlier_than_that = found is None or _iteration(run.checkpoint) < int(found[1])
    return run.checkpoint if earlier_than_that or not kept.is_file() else kept


def kept_start(folder: Path, start: Path) -> Path:
    """Where a run keeps its own copy of the checkpoint that it began from.

    The original may be replaced or removed. The name holds the iteration and a digest, so a copy never changes.
    """
    if KEPT.fullmatch(start.name):
        return folder / start.name
    digest = hashlib.sha256(start.read_bytes()).hexdigest()[:12]
    return folder / f"began_from_{_iteration(start)}_{digest}.pth"


def _is_unchanged(run: ResolvedRun, earlier: RecordedRun, values: Mapping[str, Any]) -> bool:
    if any(getattr(earlier.arguments, name) != values[name] for name in DECIDING):
        return False
    try:
        task = load_task(find_task(run.options.task), earlier.arguments.task_config)
        params = load_ppo(earlier.train_config)
    except UserError:  # allowed by an earlier version, or mended on this command line
        return False
    return task == run.task and _apart_from_its_length(params) == _apart_from_its_length(run.params)


def _iteration(checkpoint: Path) -> int:
    from dexhand_env.rl.checkpoint import load_checkpoint

    return int(load_checkpoint(checkpoint)["iteration"])


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
    if values["began_from"] is not None:
        words += ["--checkpoint", values["began_from"]]
    try:
        defaults = load_task(find_task(run.options.task)).record()
    except UserError:  # a key without a default
        defaults = {}
    changes = changed_values(defaults, values["task_config"])
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
        dotted = isinstance(value, dict) and any("." in inner for inner in value)  # cannot be typed as a path
        if isinstance(value, dict) and isinstance(below, dict) and not dotted:
            found += changed_values(below, value, f"{name}.")
        elif key not in base or value != below:
            found.append(f"{name}={json.dumps(value)}")
    return found
