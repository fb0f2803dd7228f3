"""A run of ``train.py`` with Isaac Gym goes on in the Python that has it, which needs no typer for that."""

from __future__ import annotations

import dataclasses
import json
import sys

from dexhand_env.commands.options import TrainOptions
from dexhand_env.config.physics import load_physics
from dexhand_env.config.task import TaskConfig
from dexhand_env.errors import MISTAKE, UserError
from dexhand_env.rl.distributed import Processes


def go_on(task: TaskConfig, options: TrainOptions, processes: Processes, program: str) -> TaskConfig:
    """Become the Python that has Isaac Gym where the task names it, unless this is that; returns the task elsewhere.

    Args:
        task: the run's.
        options: as they were parsed.
        processes: those that train together.
        program: what says so in errors.

    Raises:
        UserError: what is wrong with that Python, or more than one process.
    """
    if task.sim.backend != "isaac_gym":
        return task
    if processes.size > 1:
        raise UserError("sim.backend", f"isaac_gym in {processes.size} processes", "one process, without torchrun")
    from dexhand_env.stages.isaac_gym import go_on_there

    words = [program, json.dumps({**dataclasses.asdict(options), "typed": sorted(options.typed)})]
    go_on_there(task, load_physics(task.sim.physics), "sim.backend", f"{__name__}:main", words, trial=True)
    return task


def main() -> int:
    """The program in that Python: its name and the parsed options are the command line."""
    from dexhand_env.commands.train import train_or_test

    program, text = sys.argv
    values = json.loads(text)
    values.update(overrides=tuple(values["overrides"]), typed=frozenset(values["typed"]))
    try:
        return train_or_test(TrainOptions(**values), program=program)
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return MISTAKE
