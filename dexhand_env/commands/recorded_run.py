"""What an earlier run left: which checkpoint of it is meant, and the options that it was made with."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import yaml
from pydantic import Field
from typing_extensions import Annotated

from dexhand_env.config.check import check
from dexhand_env.config.layers import Stack
from dexhand_env.config.schema import FROM_LIST, Section
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError
from dexhand_env.files import write_text
from dexhand_env.rl.run_folder import ARGS_FILE, TRAIN_CONFIG_FILE

LATEST = "latest"
ALLOWED = "runs/<name>/nn/checkpoint_<iteration>.pth, the folder runs/<name>, or latest"


class RunArguments(Section):
    """The typed form of args.yaml: every option as it was given, the seed as it was drawn, and the whole task.

    The options' meanings, ranges and defaults are those of ``train.py --help``.
    """

    command: str = Field(
        description="makes the same run again under another name: from nothing, or from the checkpoint began_from"
    )
    processes: int = Field(ge=1, description="how many processes trained together")
    task: str
    num_envs: int = Field(ge=1)
    sim_device: str
    rl_device: str
    graphics_device_id: int
    headless: bool
    threads: int = Field(ge=0)
    train_config: Optional[str] = None
    seed: int = Field(ge=0)
    torch_deterministic: bool
    checkpoint: Optional[str] = None
    began_from: Optional[str] = Field(
        default=None,
        description="the run's copy of the checkpoint that training with these settings began from; null: from nothing",
    )
    max_iterations: Optional[int] = Field(default=None, ge=1)
    experiment_name: Optional[str] = None
    log_interval: int = Field(ge=1)
    overrides: Annotated[Tuple[str, ...], FROM_LIST]
    used_sim_device: str = Field(description="what sim_device meant on the machine of the run")
    used_rl_device: str = Field(description="what rl_device meant there")
    task_config: Dict[str, Any] = Field(description="the task's whole configuration, overrides included")


# What a run goes on with where the command line does not say otherwise.
REMEMBERED: tuple[str, ...] = (
    "num_envs",
    "sim_device",
    "rl_device",
    "threads",
    "seed",
    "torch_deterministic",
    "max_iterations",
    "log_interval",
)


@dataclasses.dataclass(frozen=True)
class RecordedRun:
    """A run folder with what it says of itself."""

    folder: Path
    arguments: RunArguments

    @property
    def train_config(self) -> Path:
        """Its whole PPO configuration."""
        return self.folder / TRAIN_CONFIG_FILE


def find_checkpoint(text: str, runs: Path, for_test: bool) -> Path:
    """The file that ``--checkpoint`` names: a file, a run folder, or ``latest``.

    Of a folder it is the numbered checkpoint of the last iteration, or the best one where there is no other or for a
    test; ``latest`` is the run below ``runs`` whose checkpoint was written last.

    Raises:
        UserError: nothing there.
    """
    from dexhand_env.rl.checkpoint import latest_checkpoint

    path = Path(text)
    if text == LATEST:
        written = {}
        for folder in runs.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                newest = latest_checkpoint(folder / "nn")
                if newest is not None and (folder / ARGS_FILE).is_file():
                    written[folder] = newest.stat().st_mtime
        if not written:
            raise UserError("--checkpoint", f"latest, but no run below {runs}/ has a checkpoint", ALLOWED)
        path = max(written, key=lambda folder: written[folder])
    if not path.is_dir():
        if not path.is_file():
            raise UserError("--checkpoint", f"{path} is not a file", ALLOWED)
        return path
    nn = path if path.name == "nn" else path / "nn"
    found = latest_checkpoint(nn, for_test)
    if found is None:
        raise UserError("--checkpoint", f"{path} holds no checkpoint", ALLOWED)
    return found


def recorded_run(checkpoint: Path) -> Optional[RecordedRun]:
    """The run that a checkpoint lies in; None for a checkpoint that lies elsewhere.

    Raises:
        UserError: args.yaml is damaged.
    """
    folder = checkpoint.parent.parent
    if checkpoint.parent.name != "nn" or not (folder / ARGS_FILE).is_file():
        return None
    return RecordedRun(folder, check(RunArguments, Stack([read_yaml(folder / ARGS_FILE)])))


def write_run_files(folder: Path, arguments: RunArguments, params: dict[str, Any]) -> None:
    """args.yaml, and train_config.yaml, which is usable as ``--train-config``."""
    write_text(folder / ARGS_FILE, yaml.safe_dump(arguments.record(), sort_keys=False, width=1000))
    write_text(folder / TRAIN_CONFIG_FILE, yaml.safe_dump({"params": params}, sort_keys=False))
