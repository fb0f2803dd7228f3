"""Training with Isaac Gym goes on in the Python that has it; the rest of the pipeline stays in this one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Dict, Sequence

from dexhand_env.sim.isaac_gym.setup import become, usable_python

if TYPE_CHECKING:
    from dexhand_env.config.physics import Physics
    from dexhand_env.config.task import TaskConfig


def go_on_there(
    task: TaskConfig, physics: Physics, where: str, function: str, words: Sequence[str], trial: bool = False
) -> None:
    """Become the Python that has Isaac Gym; returns where this process is that already.

    What has to be tried out by MuJoCo is tried out before, for that Python has none.

    Args:
        task: the task's configuration.
        physics: of its training.
        where: names the backend in errors.
        function: ``module:function`` of this package, called there.
        words: its command line, after the interpreter.
        trial: whether to try out each task that asks for it; else only one whose observations nothing else declares.

    Raises:
        UserError: what is wrong with that Python, or with the task.
    """
    if "isaacgym" in sys.modules:
        return
    program = usable_python(where)
    become(program, function, words, _tried_out(task, physics, trial))


def _tried_out(task: TaskConfig, physics: Physics, trial: bool) -> Dict[str, str]:
    """What the other Python must be told of the task, as environment variables."""
    if task.observation_length("policy") is not None and not (trial and task.needs_trial):
        return {}
    from dexhand_env.tasks.registry import INTERFACE_VARIABLE, try_out

    return {INTERFACE_VARIABLE: json.dumps(try_out(task, physics).dump())}
