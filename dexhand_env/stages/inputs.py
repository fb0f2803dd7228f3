"""What stages read: their section of the configuration, and where an experiment's files are."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dexhand_env.errors import UserError, exit_code

if TYPE_CHECKING:
    from dexhand_env.config.task import TaskConfig

RESULTS = Path("results")


@dataclasses.dataclass(frozen=True)
class SeedFolder:
    """results/<experiment>/seed<seed>: where the stages of one training seed write."""

    experiment: str
    seed: int

    @property
    def path(self) -> Path:
        """The folder."""
        return RESULTS / self.experiment / f"seed{self.seed}"

    @property
    def checkpoints(self) -> Path:
        """Published checkpoints."""
        return self.path / "checkpoints"

    def record(self, stage: str) -> Path:
        """Where a stage records how it ran."""
        return self.path / "stages" / f"{stage}.json"


def read_section(experiment: str, section: str) -> dict[str, Any]:
    """The section that the validate stage wrote.

    Raises:
        UserError: not there, or not JSON.
    """
    path = RESULTS / experiment / "config" / f"{section}.json"
    return read_json(path, f"run first: python -m dexhand_env.stages.validate {experiment} {section}")


def task_config(section: dict[str, Any]) -> TaskConfig:
    """The task of a section, typed; a task from outside the package is imported."""
    # Imported here, for the report plays nothing and depends on no configuration's code.
    from dexhand_env.config.registry import find_task

    return find_task(section["task"]).config_class.model_validate(section["env"])


def experiment_files(experiment: str, task: str | None = None) -> list[Path]:
    """What people write for an experiment: its configs, and those files that its task is made of.

    Args:
        experiment: its name.
        task: what its config calls its task, which is imported; None leaves the task's files out.
    """
    configs = [Path("configs", name) for name in ("experiments.yaml", f"{experiment}.yaml")]
    if task is None:
        return configs
    from dexhand_env.config.physics import PHYSICS_FILE
    from dexhand_env.config.registry import PACKAGE, TASK_DEFAULTS, find_task
    from dexhand_env.hand.model import RIGHT_HAND_MJCF

    entry = find_task(task)
    # Sources of this package count where the process has loaded them (see record_stage).
    used = set(entry.used_files(known=PACKAGE.rglob("*.py"))) - set(PACKAGE.rglob("*.py"))
    own = [entry.source, entry.schema, entry.config_file, entry.train_file, *sorted(used)]
    return [*configs, PHYSICS_FILE, RIGHT_HAND_MJCF, TASK_DEFAULTS, *own]


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON object that an earlier stage wrote.

    Raises:
        UserError: not there, or not a JSON object; ``remedy`` says what makes it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(str(path), f"cannot be read ({error.strerror})", remedy) from error
    except ValueError as error:
        raise UserError(str(path), f"is not JSON ({error})", remedy) from error
    if not isinstance(value, dict):
        raise UserError(str(path), f"holds a {type(value).__name__}", f"a JSON object; {remedy}")
    return value


def seed_stage(name: str, summary: str, run: Callable[[str, int], Any], arguments: Sequence[str] | None = None) -> int:
    """The command line of a stage of one experiment and seed; returns the exit code, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog=f"python -m dexhand_env.stages.{name}", description=summary)
    parser.add_argument("experiment", help="its name: configs/<Experiment>.yaml")
    parser.add_argument("seed", type=int, help="the training seed")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run(options.experiment, options.seed))
