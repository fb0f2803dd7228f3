"""The stage `train`: train one seed of an experiment and publish its checkpoints.

    python -m dexhand_env.stages.train <Experiment> <seed>

Training runs in ``runs/<Experiment>-seed<seed>-<fingerprint>``, a folder that no tool deletes, and goes on there from
its last checkpoint after a kill. Only a finished training is published, in one step a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dexhand_env.config.physics import Physics
from dexhand_env.config.ppo import PPOParams
from dexhand_env.config.registry import find_task
from dexhand_env.errors import UserError
from dexhand_env.files import needing_space, require_writable, write_bytes
from dexhand_env.rl.distributed import join_processes
from dexhand_env.sim.backends import resumption_notice
from dexhand_env.stages.devices import start_on_each_gpu, training_gpus
from dexhand_env.stages.inputs import SeedFolder, experiment_files, read_section, seed_stage, task_config
from dexhand_env.stages.record import given_threads, record_stage
from dexhand_env.stages.repository import loaded_sources
from dexhand_env.stages.versions import COMPUTE_LOCK, computing_versions

RUNS = Path("runs")
PUBLISHING = ".publish."
ENTRY = "dexhand_env.stages.train:main"


def sources_of(task: str) -> list[Path]:
    """All that a training of the task is made of but its configuration: the code that this process has loaded, what
    the task's own files import and read, the hand, and the pinned packages."""
    from dexhand_env.hand.model import RIGHT_HAND_MJCF

    entry = find_task(task)
    sources = [*sorted({*loaded_sources(), entry.source, *entry.used_files()}), RIGHT_HAND_MJCF]
    return [*sources, COMPUTE_LOCK] if COMPUTE_LOCK.is_file() else sources


def run_folder(experiment: str, seed: int, section: dict[str, Any], sources: list[Path]) -> Path:
    """The run folder of exactly this configuration, code and set of packages: anything else trains elsewhere.

    Args:
        experiment, seed: name it too.
        section: the configuration, and the versions of packages.
        sources: the code, and data that it reads.

    Otherwise a changed reward would go on from, or publish, what the old one learned.
    """
    digest = hashlib.sha256(json.dumps(section, sort_keys=True).encode())
    for file in sources:
        digest.update(file.name.encode() + file.read_bytes())
    return RUNS / f"{experiment}-seed{seed}-{digest.hexdigest()[:12]}"


def train(experiment: str, seed: int) -> None:
    """Train to the end and publish checkpoints, history and record.

    Raises:
        UserError: a configuration section that is missing or damaged, or folders that cannot be written.
    """
    section = read_section(experiment, "train")
    target, file = SeedFolder(experiment, seed), f"configs/{experiment}.yaml"
    task = task_config(section)
    gpus = training_gpus(task, file)
    if task.sim.backend == "isaac_gym":
        from dexhand_env.stages.isaac_gym import go_on_there

        words = ["-m", "dexhand_env.stages.train", experiment, str(seed)]
        go_on_there(task, Physics.model_validate(section["physics"]), f"{file}: env.sim.backend", ENTRY, words)
    for folder in (target.path, RUNS):
        require_writable(folder)
    start_on_each_gpu(gpus, "dexhand_env.stages.train", experiment, str(seed))
    with join_processes() as processes, contextlib.ExitStack() as first:
        record: dict[str, Any] = {}
        if processes.is_first:
            files = experiment_files(experiment, section["task"])
            record = first.enter_context(record_stage("train", target.record("train"), files))
        # Imported here, so that a missing file is reported before torch and the simulator load.
        from dexhand_env.rl.checkpoint import checkpoint_name, resume_point, scheduled_checkpoints
        from dexhand_env.rl.console import ConsoleLog
        from dexhand_env.rl.divergence import TrainingDiverged, divergence_message
        from dexhand_env.rl.memory_check import check_memory, running_out_is_a_mistake
        from dexhand_env.rl.training import TrainingSpec, run_training
        from dexhand_env.sim.factory import simulation_class
        from dexhand_env.tasks.registry import task_class

        params, num_envs = share_of(section["train"], processes.size, file)
        device = f"cuda:{processes.local_rank}" if gpus else "cpu"
        spec = TrainingSpec(
            task=task,
            physics=Physics.model_validate(section["physics"]),
            params=params.dump(),
            num_envs=num_envs,
            seed=seed,
            sim_device=device,
            rl_device=device,
            threads=given_threads(processes.local_size),
        )
        # Both import what they choose, so that the fingerprint covers it.
        task_class(spec.task.task)
        simulation_class(spec.task.sim.backend, spec.sim_device)
        versions = computing_versions()
        folder = run_folder(experiment, seed, {**section, "versions": versions}, sources_of(section["task"]))
        scheduled = scheduled_checkpoints(params.config.save_frequency, params.config.max_epochs)
        resume_from = resume_point(folder / "nn", scheduled)
        where, quiet = f"{file}: train.num_envs", not processes.is_first
        finished = resume_from is not None and resume_from.name == checkpoint_name(params.config.max_epochs)
        notice = None if resume_from is None or finished or quiet else resumption_notice(task.sim.backend)
        if notice is not None:
            print(notice, flush=True)
        processes.agree(lambda: check_memory(spec, where, processes.local_size))
        with ConsoleLog(folder / "train.log", params.config.max_epochs, quiet=quiet) as console:
            try:
                with running_out_is_a_mistake(spec, where):
                    result = run_training(
                        spec, folder, resume_from, console.after_iteration, processes, on_start=console.open_file
                    )
            except TrainingDiverged as error:
                sys.exit(divergence_message(error, folder, resume_from))
        if result.interrupted:
            sys.exit(130)
        record.update(
            iterations=result.iterations,
            frames=result.frames,
            training_seconds=round(result.seconds, 3),
            training_cpu_seconds=round(result.cpu_seconds, 3),
            resumed=resume_from is not None,
            processes=processes.size,
        )
        if processes.is_first:
            if finished:
                print(f"already trained in {folder}; published again; remove it to train anew")
            publish(folder, target, scheduled)


def share_of(settings: dict[str, Any], processes: int, where: str) -> tuple[PPOParams, int]:
    """PPO's parameters and the number of environments of each process.

    An experiment's environments and minibatches are those of all processes together, so that it is the same experiment
    on any number of GPUs.

    Raises:
        UserError: they cannot be shared out evenly.
    """
    params = PPOParams.model_validate(settings["params"])
    shares = {"num_envs": settings["num_envs"], "params.config.minibatch_size": params.config.minibatch_size}
    for key, whole in shares.items():
        if whole % processes:
            raise UserError(f"{where}: train.{key}", f"{whole} for {processes} GPUs", f"a multiple of {processes}")
    config = params.config.model_copy(update={"minibatch_size": params.config.minibatch_size // processes})
    return params.model_copy(update={"config": config}), settings["num_envs"] // processes


def publish(folder: Path, target: SeedFolder, scheduled: list[int]) -> None:
    """Copy a finished run's checkpoints and history to the results; nothing is replaced before all is read.

    A training that was interrupted has left a checkpoint more, which would be one more to select from.
    """
    from dexhand_env.rl.checkpoint import BEST, checkpoint_name

    target.path.mkdir(parents=True, exist_ok=True)
    history = (folder / "history.csv").read_bytes()
    for stale in target.path.glob(f"{PUBLISHING}*"):  # of a process that was killed
        shutil.rmtree(stale)
    with needing_space(target.checkpoints), TemporaryDirectory(prefix=PUBLISHING, dir=target.path) as temporary:
        copies = Path(temporary) / "checkpoints"
        copies.mkdir()
        best = [BEST] if (folder / "nn" / BEST).exists() else []
        for name in [*map(checkpoint_name, scheduled), *best]:
            shutil.copyfile(folder / "nn" / name, copies / name)
        if target.checkpoints.exists():
            os.replace(target.checkpoints, Path(temporary) / "replaced")
        os.replace(copies, target.checkpoints)
    write_bytes(target.path / "history.csv", history)


def main() -> int:
    """The command line described at the top; returns the exit code."""
    return seed_stage("train", "Train one seed of an experiment and publish its checkpoints.", train)


if __name__ == "__main__":
    sys.exit(main())
