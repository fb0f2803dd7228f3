"""The training program's options, checked and resolved before anything heavy is imported."""

from __future__ import annotations

import dataclasses
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

from dexhand_env.commands.recorded_run import REMEMBERED, RecordedRun, find_checkpoint, recorded_run
from dexhand_env.config.layers import merge, shown_path
from dexhand_env.config.physics import Physics, load_physics
from dexhand_env.config.ppo import PPOParams, fit_minibatch, load_ppo
from dexhand_env.config.registry import GENERAL_PPO, TaskEntry, find_task, is_file, load_task
from dexhand_env.config.seeds import check_name
from dexhand_env.config.task import TaskConfig
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.errors import UserError
from dexhand_env.files import require_writable
from dexhand_env.rl.distributed import ALONE, Processes
from dexhand_env.rl.run_folder import ARGS_FILE, holds_a_run
from dexhand_env.sim.backends import chosen_device
from dexhand_env.stages.versions import is_launched
from dexhand_env.viewer.ports import can_draw, viewer_port

RUNS = Path("runs")

# What only a training has; --test says so.
TRAINING_ALONE = ("seed", "torch_deterministic", "max_iterations", "log_interval", "train_config", "experiment_name")


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """The options as they were parsed; see ``train.py --help``. None means that an option was left out.

    ``typed`` names those that stood on the command line: of a run that goes on, the others come from its args.yaml.
    """

    task: str
    num_envs: int
    sim_device: str
    rl_device: str
    graphics_device_id: int
    headless: bool
    train_config: str | None
    seed: int
    torch_deterministic: bool
    checkpoint: str | None
    test: bool
    episodes: int
    max_iterations: int | None
    experiment_name: str | None
    log_interval: int
    threads: int
    viewer_port: int | None
    overrides: tuple[str, ...]
    typed: frozenset[str]


@dataclasses.dataclass(frozen=True)
class ResolvedRun:
    """Everything that the options decide, checked.

    Attributes:
        task: the task's whole configuration.
        physics: its physics.
        params: PPO's whole configuration; ``max_epochs`` is the total number of iterations.
        seed: drawn where the user gave -1.
        checkpoint: the file to go on from or to test, None for neither.
        earlier: the run that the checkpoint lies in, None where it lies in none.
        folder: the run folder; not made yet.
        sim_device, rl_device: ``cpu`` or ``cuda:<index>``.
        viewer_port: for the live viewer; None is without one.
        notices: lines for the user.
    """

    options: TrainOptions
    task: TaskConfig
    physics: Physics
    params: PPOParams
    seed: int
    checkpoint: Path | None
    earlier: RecordedRun | None
    folder: Path
    sim_device: str
    rl_device: str
    viewer_port: int | None
    notices: tuple[str, ...]


def resolve(
    options: TrainOptions,
    processes: Processes = ALONE,
    on_task: Callable[[TaskConfig], TaskConfig] = lambda task: task,
) -> ResolvedRun:
    """Check the options together with the files they name, for one of the processes that train together.

    Args:
        options: as they were parsed.
        processes: those that train together.
        on_task: is given the task as soon as it is known, and gives the one to take.

    Raises:
        UserError: the first mistake.
    """
    if options.test and processes.size > 1:
        raise UserError("--test", f"given to {processes.size} processes", "one process, without torchrun")
    if options.test and options.checkpoint is None:
        raise UserError("--test", "given without --checkpoint", "--test --checkpoint PATH")
    if "episodes" in options.typed and not options.test:
        raise UserError("--episodes", "given without --test", "--test --checkpoint PATH --episodes N")
    checkpoint = None if options.checkpoint is None else find_checkpoint(options.checkpoint, RUNS, options.test)
    earlier = None if checkpoint is None else recorded_run(checkpoint)
    notices = []
    if earlier is not None:
        options = _remembered(options, earlier)
        notices.append(
            f"checkpoint {checkpoint}; what the command line leaves open is as in {earlier.folder}/{ARGS_FILE}"
        )
    entry = find_task(options.task)
    if entry.train_file == GENERAL_PPO and entry.name != "BaseTask" and not (options.train_config or earlier):
        notices.append(f"no {entry.name}PPO.yaml: PPO is configured as in {shown_path(GENERAL_PPO)}")
    task, params = _configurations(options, entry, earlier)
    task = on_task(task)
    if not options.test:  # which has no minibatches
        params, notice = fit_minibatch(params, options.num_envs, "--num-envs and params.config.minibatch_size")
        notices += [notice] if notice else []
    unused = [name for name in TRAINING_ALONE if name in options.typed]
    if options.test and unused:
        named = ", ".join("--" + name.replace("_", "-") for name in unused)
        notices.append(f"--test does not use {named}: it trains nothing, and plays the same episodes each time")
    if processes.size > 1:
        notices.append(f"{processes.size} processes learn together, each with {options.num_envs} environments")
    sim_device, rl_device = _devices(options, task.sim.backend, processes, notices)
    folder = _run_folder(options, entry.name, earlier)
    if not options.test:
        require_writable(folder)
    physics = load_physics(task.sim.physics)
    if task.needs_trial and task.sim.backend != "isaac_gym":  # tried out before, see commands/isaac_gym.py
        from dexhand_env.tasks.registry import try_out

        try_out(task, physics)
    return ResolvedRun(
        options=options,
        task=task,
        physics=physics,
        params=params,
        seed=secrets.randbelow(2**31) if options.seed == -1 else options.seed,
        checkpoint=checkpoint,
        earlier=earlier,
        folder=folder,
        sim_device=sim_device,
        rl_device=rl_device,
        viewer_port=_viewer_port(options, processes, notices),
        notices=tuple(notices),
    )


def _viewer_port(options: TrainOptions, processes: Processes, notices: list[str]) -> int | None:
    """Where the viewer of the first process listens; the others have none, nor has a Python that cannot draw."""
    if options.headless and options.viewer_port is not None:
        raise UserError("--viewer-port", "given with --headless", "one of them")
    if options.headless or not processes.is_first:
        return None
    if is_launched() and not can_draw():
        watch = "watch its policy with: dexhand view --checkpoint latest"
        notices.append(f"no viewer: the Python of Isaac Gym lacks what it draws with; {watch}")
        return None
    return viewer_port(options.viewer_port)


def _remembered(options: TrainOptions, earlier: RecordedRun) -> TrainOptions:
    """The options, with those of the earlier run where the command line leaves them open."""
    recorded = earlier.arguments
    names = [] if options.test else [name for name in REMEMBERED if name not in options.typed]
    if options.train_config or any(item.startswith("params.config.max_epochs=") for item in options.overrides):
        names = [name for name in names if name != "max_iterations"]  # the number that was typed there counts
    if "task" not in options.typed:
        if is_file(recorded.task):  # a run folder may come from anywhere, and executes nothing
            found = f"left out, but {earlier.folder} was trained for a task in a file"
            raise UserError("--task", found, f"--task {recorded.task}, which executes the file")
        names.append("task")
    elif find_task(options.task).name != recorded.task_config.get("task"):
        raise UserError(
            "--task", f"{options.task}, but {earlier.folder} was trained for {recorded.task}", recorded.task
        )
    return dataclasses.replace(options, **{name: getattr(recorded, name) for name in names})


def _configurations(
    options: TrainOptions, entry: TaskEntry, earlier: RecordedRun | None
) -> tuple[TaskConfig, PPOParams]:
    """The task's and PPO's configuration: files or the earlier run's, the command line's values on top."""
    source = "command line"
    task_values, ppo_values = _split_overrides(options.overrides)
    train_config = options.train_config or str(entry.train_file)
    if earlier is not None:
        source = f"{earlier.folder / ARGS_FILE} and command line"
        task_values = merge(earlier.arguments.task_config, task_values)
        train_config = options.train_config or str(earlier.train_config)
    task = load_task(entry, task_values, source)
    params = load_ppo(train_config, ppo_values, "command line")
    if options.max_iterations is not None:
        params = _with_config(params, max_epochs=options.max_iterations)
    return task, params


def _split_overrides(items: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``params.*`` belongs to PPO's file, everything else to the task's."""
    values = parse_overrides(items)
    params = values.pop("params", None)
    return values, {} if params is None else {"params": params}


def _with_config(params: PPOParams, **changes: Any) -> PPOParams:
    return params.model_copy(update={"config": params.config.model_copy(update=changes)})


def _devices(options: TrainOptions, backend: str, processes: Processes, notices: list[str]) -> tuple[str, str]:
    """What ``auto`` means here, and a refusal of what is not here."""
    sim_device, reason = chosen_device(options.sim_device, backend, processes.local_rank, processes.local_size)
    if reason is not None:
        notices.append(f"physics on the CPU: {reason}")
    kind, _, index = options.rl_device.partition(":")
    if options.rl_device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise UserError("--rl-device", f"found {options.rl_device!r}", "auto, cpu, cuda, cuda:0, cuda:1, ...")
    rl_device = sim_device if options.rl_device == "auto" else options.rl_device
    if options.rl_device == "auto" and sim_device == "cpu":
        import torch

        rl_device = "cuda" if torch.cuda.device_count() >= processes.local_size else "cpu"
    _require_device("--sim-device", options.sim_device, sim_device, processes)
    _require_device("--rl-device", options.rl_device, rl_device, processes)
    if rl_device == "cuda":
        rl_device = f"cuda:{processes.local_rank}"
    notices.append(f"devices: physics on {sim_device}, learning on {rl_device}")
    return sim_device, rl_device


def _require_device(option: str, typed: str, device: str, processes: Processes) -> None:
    """Refuse a GPU that torch does not see, or that several processes would share."""
    if device == "cpu":
        return
    import torch

    found = torch.cuda.device_count()
    if processes.size > 1 and (typed.startswith("cuda:") or processes.local_size > found):
        found_here = f"{typed} for {processes.local_size} processes on {found} CUDA devices"
        raise UserError(option, found_here, "cuda, with a device for each process; auto, cpu")
    if int(device.partition(":")[2] or 0) >= found:
        allowed = "cpu, " + ", ".join(f"cuda:{i}" for i in range(found)) if found else "auto, cpu"
        raise UserError(option, f"{device}: {found} CUDA devices here", allowed)


def _run_folder(options: TrainOptions, task: str, earlier: RecordedRun | None) -> Path:
    """The run's folder: an earlier run goes on in its own unless it is given another name; a new one must not exist."""
    if options.experiment_name is None:
        return earlier.folder if earlier else RUNS / f"{task}_{datetime.now():%Y%m%d_%H%M%S}"
    folder = RUNS / check_name(options.experiment_name, "--experiment-name")
    own = earlier is not None and folder.resolve() == earlier.folder.resolve()
    if holds_a_run(folder) and not own and not options.test:
        raise UserError("--experiment-name", f"{folder} exists", f"another name, or --checkpoint {folder} to go on")
    return folder
