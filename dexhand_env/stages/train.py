"""The stage `train`: train one seed of an experiment and publish its checkpoints.

    python -m dexhand_env.stages.train <Experiment> <seed>

Training runs in ``runs/<Experiment>-seed<seed>-<fingerprint>``, a folder that no tool deletes, and goes on there from
its last checkpoint after a kill. Only a finished training is published, in one step a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from dexhand_env.config.physics import Physics
from dexhand_env.config.ppo import PPOParams
from dexhand_env.config.registry import TASK_CONFIGS
from dexhand_env.files import write_bytes
from dexhand_env.stages.inputs import SeedFolder, read_section, seed_stage
from dexhand_env.stages.record import given_threads, record_stage

RUNS = Path("runs")


def run_folder(experiment: str, seed: int, section: dict) -> Path:
    """The run folder of exactly this configuration: another configuration trains elsewhere."""
    text = json.dumps(section, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    return RUNS / f"{experiment}-seed{seed}-{fingerprint}"


def train(experiment: str, seed: int) -> None:
    """Train to the end and publish checkpoints, history and record.

    Raises:
        UserError: a configuration section that is missing or damaged.
    """
    section = read_section(experiment, "train")
    target = SeedFolder(experiment, seed)
    with record_stage("train", target.record("train")) as record:
        # Imported here, so that a missing file is reported before torch and the simulator load.
        from dexhand_env.rl.checkpoint import latest_checkpoint
        from dexhand_env.rl.console import ConsoleLog
        from dexhand_env.rl.training import TrainingSpec, run_training

        params = PPOParams.model_validate(section["train"]["params"])
        spec = TrainingSpec(
            task=TASK_CONFIGS[section["task"]].model_validate(section["env"]),
            physics=Physics.model_validate(section["physics"]),
            params=params.dump(),
            num_envs=section["train"]["num_envs"],
            seed=seed,
            threads=given_threads(),
        )
        folder = run_folder(experiment, seed, section)
        resume_from = latest_checkpoint(folder / "nn")
        with ConsoleLog(folder / "train.log", params.config.max_epochs) as console:
            result = run_training(spec, folder, resume_from, console.after_iteration)
        if result.interrupted:
            sys.exit(130)
        record.update(
            iterations=result.iterations,
            frames=result.frames,
            training_seconds=round(result.seconds, 3),
            training_cpu_seconds=round(result.cpu_seconds, 3),
            resumed=resume_from is not None,
        )
        publish(folder, target)


def publish(folder: Path, target: SeedFolder) -> None:
    """Copy a finished run's checkpoints and history to the results; nothing is replaced before all is read."""
    target.path.mkdir(parents=True, exist_ok=True)
    history = (folder / "history.csv").read_bytes()
    with tempfile.TemporaryDirectory(prefix=".publish.", dir=target.path) as temporary:
        copies = Path(temporary) / "checkpoints"
        copies.mkdir()
        for checkpoint in sorted((folder / "nn").glob("checkpoint_*.pth")):
            shutil.copyfile(checkpoint, copies / checkpoint.name)
        if target.checkpoints.exists():
            os.replace(target.checkpoints, Path(temporary) / "replaced")
        os.replace(copies, target.checkpoints)
    write_bytes(target.path / "history.csv", history)


if __name__ == "__main__":
    sys.exit(seed_stage("train", "Train one seed of an experiment and publish its checkpoints.", train))
