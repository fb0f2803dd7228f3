"""The conditions that a policy is tested under: a physics preset, and overrides of the task's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from pydantic import BeforeValidator, Field
from typing_extensions import Annotated

from dexhand_env.config.layers import Layer, contains, differences
from dexhand_env.config.physics import Physics, load_physics, physics_names
from dexhand_env.config.registry import TaskEntry, load_task
from dexhand_env.config.schema import FROM_LIST, Section, choices, problem, shown
from dexhand_env.config.task import TaskConfig
from dexhand_env.errors import UserError

TRAINING = "training"  # the condition that is as the training was
#: What a policy was trained for: another would not fit it, or is set elsewhere.
FIXED = {
    "task": "a policy is tested on the task that it was trained for",
    "sim": "the condition's own key physics names the preset",
    "observations": "a policy sees what it was trained with",
}


class Condition(Section):
    """One condition, as a file has it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", description="its name")
    physics: str = Field(default=TRAINING, description="training, or a preset of cfg/physics.yaml")
    env: Dict[str, Any] = Field(default_factory=dict, description="overrides of the task's configuration")


def _from_name(value: Any) -> Any:
    return {"name": value, "physics": value} if isinstance(value, str) else value


#: In a file a condition that is a physics preset and nothing else may be its name alone.
Conditions = Annotated[Tuple[Annotated[Condition, BeforeValidator(_from_name)], ...], FROM_LIST]


def check_conditions(conditions: Sequence[Condition]) -> None:
    """Refuse unknown presets, names that come twice, and a list without training."""
    known = (TRAINING, *physics_names())
    names: List[str] = []
    for index, condition in enumerate(conditions):
        if condition.physics not in known:
            raise problem(f"found {shown(condition.physics)}", choices(known, condition.physics), (index,))
        if condition.name in names:
            raise problem(f"{condition.name} is listed twice", "each condition once", (index,))
        if condition.name == TRAINING and (condition.env or condition.physics != TRAINING):
            raise problem(f"{TRAINING} differs from the training", "another name for other settings", (index,))
        names.append(condition.name)
    if TRAINING not in names:
        raise problem(f"{TRAINING} is missing", f"a list with {TRAINING}, which the report is about")


@dataclass(frozen=True)
class Tested:
    """A condition, resolved.

    Args:
        physics: the preset.
        task: the whole task configuration.
        changes: what differs from the configuration of the training, as ``{"key", "default", "value"}``.
    """

    physics: Physics
    task: TaskConfig
    changes: List[Dict[str, Any]]

    def dump(self) -> Dict[str, Any]:
        """As the evaluate stage reads it."""
        return {"physics": self.physics.dump(), "env": self.task.dump(), "changes": self.changes}


def resolve_conditions(
    conditions: Sequence[Condition], entry: TaskEntry, task: TaskConfig, env: Layer, listed: Layer
) -> Dict[str, Tested]:
    """Every condition with its physics and its task.

    Args:
        conditions: as the file has them.
        entry: the experiment's task.
        task: its configuration under the experiment's own overrides.
        env: those overrides.
        listed: the section of the file that holds the list ``conditions``.

    Raises:
        UserError: the first problem of a condition's overrides.
    """
    tested = {}
    for index, condition in enumerate(conditions):
        own = listed.section("conditions", index, "env")
        for key, reason in FIXED.items():
            if contains(condition.env, (key,)):
                raise UserError(own.where((key,)), f"this key is not taken: {reason}")
        changed = load_task(entry, env, more=[own]) if condition.env else task
        preset = task.sim.physics if condition.physics == TRAINING else condition.physics
        changes = differences(task.dump(), changed.dump(), "env")
        tested[condition.name] = Tested(load_physics(preset), changed, changes)
    return tested
