"""Whether what a task returns is what :class:`Task` asks for: names, types, shapes and device.

Looked at when an environment is made, and in full when a task is tried out in two worlds; not in every step.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping as AnyMapping
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import torch

from dexhand_env.config.layers import shown_path
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.rewards import EVERY_TASKS
from dexhand_env.env.task import OUTCOMES, Task
from dexhand_env.errors import UserError
from dexhand_env.sim.scene import Scene

# Columns of the episode table, the reader's number of the training among them, beside which a task's metrics stand.
TABLE_COLUMNS = ("condition", "episode", "seed", "success", "outcome", "return", "length_steps", "train_seed")
# What a replay adds to the name of a failure: with both names two of its arrays would have one name.
REPLAY_PARTS = ("_goal", "_target")
# A name that can stand in dotted keys, in columns and in TensorBoard's tags as it is.
NAME = re.compile(r"[^\W\d][\w-]*")

Types = Sequence[torch.dtype]
REAL: Types = (torch.float32, torch.float64)
NUMBERS: Types = (*REAL, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)
TRUTH: Types = (torch.bool,)
SINGLE: Types = (torch.float32,)
Names = Dict[str, Tuple[str, ...]]


def check_scene(task_class: Any, config: Any) -> None:
    """Check what ``scene`` returns.

    Raises:
        UserError: no scene.
    """
    scene = task_class.scene(config)
    if not isinstance(scene, Scene):
        raise UserError(place(task_class, "scene"), f"returns {_kind(scene)}", "a Scene, as by hand_scene(config.hand)")


def check_start(task: Task, randomness: EpisodeRandomness) -> None:
    """Check what ``begin_episodes`` and ``initial_object_poses`` return, for all worlds and for one of them.

    Raises:
        UserError: the first that is not as :class:`Task` says.
    """
    objects = task.sim.object_positions.shape[1]
    for begun in (task.num_envs, 1):
        worlds = torch.arange(task.num_envs, device=task.device) < begun
        controls = task.begin_episodes(worlds, randomness)
        _check(task, "begin_episodes", "", controls, (task.num_envs, len(task.hand.controls.lower)), SINGLE)
        poses = task.initial_object_poses()
        if poses is not None:
            _check(task, "initial_object_poses", "", poses, (task.num_envs, objects, 7), SINGLE)


def check_step(task: Task, chosen: Mapping[str, Callable[[], Any]]) -> Names:
    """Check what every step asks a task for.

    Args:
        task: whose episodes have begun.
        chosen: the observations that are used, by name.

    Returns:
        The names that ``compute_task_rewards`` and ``failures`` gave, in their order.

    Raises:
        UserError: the first that is not as :class:`Task` says.
    """
    each = (task.num_envs,)
    terms = _check_named(task, "compute_task_rewards", task.compute_task_rewards(), each, REAL)
    _refuse_taken(task, "compute_task_rewards", terms, EVERY_TASKS, "a reward term that every task has")
    _check(task, "successes", "", task.successes(), each, TRUTH)
    failures = _check_named(task, "failures", task.failures(), each, TRUTH)
    _refuse_taken(task, "failures", failures, OUTCOMES, "how any episode may stand or end")
    for name in failures:
        parts = tuple(name + part for part in REPLAY_PARTS)
        _refuse_taken(task, "failures", failures, parts, f"what replays call a part of the failure {name}")
    for name, read in chosen.items():
        observation_size(task, name, read)
    return {"compute_task_rewards": terms, "failures": failures}


def check_records(task: Task) -> Names:
    """Check what a task gives for tables, replays, the viewer and checkpoints.

    Returns:
        The names that ``metrics`` gave.

    Raises:
        UserError: the first that is not as :class:`Task` says.
    """
    metrics = _check_named(task, "metrics", task.metrics(), (task.num_envs,), NUMBERS)
    _refuse_taken(task, "metrics", metrics, TABLE_COLUMNS, "a column that every episode table has")
    goal = task.goal_controls()
    for name in _check_named(task, "goal_controls", goal, (task.num_envs, len(task.hand.controls.lower)), SINGLE):
        if name != "controls":
            raise UserError(place(task, "goal_controls"), f"{name} is not drawn", "controls")
    target = task.target_positions()
    if target is not None:
        _check(task, "target_positions", "", target, (task.num_envs, 3), SINGLE)
    _check_state(task)
    return {"metrics": metrics}


def check_same_names(task: Task, before: Names, after: Names) -> None:
    """Refuse names that change from step to step: what is counted by them would be mixed up.

    Raises:
        UserError: naming the method that gives others than before.
    """
    for method, names in before.items():
        if after[method] != names:
            found = f"gives {_listed(names)} first and {_listed(after[method])} a step later"
            raise UserError(place(task, method), found, "the same names in the same order whenever it is asked")


def known_observations(task: Task) -> Dict[str, Callable[[], Any]]:
    """What ``observations`` returns, its names checked.

    Raises:
        UserError: not functions by name.
    """
    known = task.observations()
    for name in _check_names(task, "observations", known):
        if not callable(known[name]):
            raise UserError(place(task, "observations"), f"{name} is {_kind(known[name])}", "a function that gives it")
    return dict(known)


def observation_size(task: Task, name: str, read: Callable[[], Any]) -> int:
    """The number of values in an observation, which is checked.

    Raises:
        UserError: not (num_envs, values) in single precision.
    """
    values = read()
    _check(task, "observations", name, values, (task.num_envs, None), SINGLE, read)
    return int(values.shape[1])


def place(task: Any, method: str, function: Optional[Callable[..., Any]] = None) -> str:
    """``file:line: method()`` of a task's method, or of a function that it gave."""
    cls = task if isinstance(task, type) else type(task)
    own = inspect.unwrap(getattr(cls, method))
    code = getattr(function, "__code__", None) or getattr(own, "__code__", None)
    where = "" if code is None else f"{shown_path(code.co_filename)}:{code.co_firstlineno}: "
    return f"{where}{method}()"


def _check(
    task: Task,
    method: str,
    name: str,
    value: Any,
    shape: Tuple[Optional[int], ...],
    types: Types,
    function: Optional[Callable[..., Any]] = None,
) -> None:
    where, it = place(task, method, function), f"{name} " if name else ""
    asked = (
        f"({shape[0]},)" if len(shape) == 1 else f"({', '.join('n' if size is None else str(size) for size in shape)})"
    )
    one = "one value" if len(shape) == 1 else "one row"
    allowed = f"{asked}, {one} for each of the {task.num_envs} worlds"
    if not isinstance(value, torch.Tensor):
        raise UserError(where, f"{it}is {_kind(value)}" if name else f"returns {_kind(value)}", f"a tensor {allowed}")
    fits = len(value.shape) == len(shape)
    fits = fits and all(found == size if size is not None else found > 0 for found, size in zip(value.shape, shape))
    if not fits:
        raise UserError(where, f"{it}has the shape {tuple(value.shape)}", allowed)
    if value.dtype not in types:
        named = [str(kind).partition(".")[2] for kind in (value.dtype, *types)]
        raise UserError(
            where, f"{it}is of the type {named[0]}", f"{' or '.join(named[1:])}, as by .to(torch.{named[1]})"
        )
    if (value.device.type, value.device.index or 0) != (task.device.type, task.device.index or 0):
        raise UserError(where, f"{it}is on {value.device}", f"on {task.device}, as by device=self.device")


def _check_names(task: Task, method: str, values: Any) -> Tuple[str, ...]:
    where = place(task, method)
    if not isinstance(values, AnyMapping):
        raise UserError(where, f"returns {_kind(values)}", "a dictionary by name, {} for none")
    for name in values:
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise UserError(where, f"found the name {name!r}", "a name of letters, digits, _ and -")
    return tuple(values)


def _check_named(
    task: Task, method: str, values: Any, shape: Tuple[Optional[int], ...], types: Types
) -> Tuple[str, ...]:
    names = _check_names(task, method, values)
    for name in names:
        _check(task, method, name, values[name], shape, types)
    return names


def _refuse_taken(task: Task, method: str, names: Sequence[str], taken: Sequence[str], by: str) -> None:
    for name in names:
        if name.lower() in taken or name in taken:
            raise UserError(place(task, method), f"{name} is {by}", "another name")


def _check_state(task: Task) -> None:
    """What is kept for a checkpoint can be kept there, and is taken back."""
    keeps, restores = (getattr(type(task), name) is not getattr(Task, name) for name in ("get_state", "set_state"))
    if keeps != restores:
        found, missing = ("get_state", "set_state") if keeps else ("set_state", "get_state")
        raise UserError(
            place(task, found), f"without {missing}()", "both, or what a task remembers is lost in resuming"
        )
    state = task.get_state()
    for name in _check_names(task, "get_state", state):
        if not isinstance(state[name], (torch.Tensor, bool, int, float, str)):
            raise UserError(place(task, "get_state"), f"{name} is {_kind(state[name])}", "a tensor, a number or text")
    task.set_state(state)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
