"""Tasks by name: which schema and which default YAML each has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Type, Union

from dexhand_env.config.base_task import BaseTaskConfig
from dexhand_env.config.check import check
from dexhand_env.config.layers import Layer, Stack
from dexhand_env.config.schema import choices, shown
from dexhand_env.config.task import TaskConfig
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError

TASK_CONFIGS: Mapping[str, Type[TaskConfig]] = {"BaseTask": BaseTaskConfig}
CFG_FOLDER = Path(__file__).resolve().parent.parent / "cfg"

Overrides = Union[Layer, Mapping[str, Any], None]


def task_file(name: str) -> Path:
    """The YAML of a known task's defaults."""
    return CFG_FOLDER / "task" / f"{name}.yaml"


def load_task(
    name: str,
    overrides: Overrides = None,
    source: str = "overrides",
    *,
    config_class: Optional[Type[TaskConfig]] = None,
    path: Union[str, os.PathLike[str], None] = None,
    where: str = "--task",
) -> TaskConfig:
    """A task's configuration: its YAML with the overrides on top, checked.

    Args:
        name: the task's name.
        overrides: values over the YAML's, nested as there; a Layer knows its lines too.
        source: names the overrides in errors; a Layer brings its own name.
        config_class, path: the schema and the YAML of a task from outside the package; default: the known task's.
        where: names, in errors, the option or key that gave ``name``.

    Raises:
        UserError: an unknown task, or the first problem of its configuration.
    """
    if name not in TASK_CONFIGS and (config_class is None or path is None):
        raise UserError(where, f"found the task {shown(name)}", choices(TASK_CONFIGS, name))
    layers = [read_yaml(task_file(name) if path is None else path), as_layer(overrides, source)]
    stack = Stack(layers)
    config = check(TASK_CONFIGS[name] if config_class is None else config_class, stack)
    if config.task != name:
        raise UserError(stack.where(("task",)), f"found {shown(config.task)}", f"{name}, the task that is loaded")
    return config


def as_layer(overrides: Overrides, source: str) -> Layer:
    """Overrides as a layer; None is an empty one."""
    if isinstance(overrides, Layer):
        return overrides
    return Layer(source, {} if overrides is None else overrides)


def default_task(name: str) -> Dict[str, Any]:
    """The dump of a known task's defaults, without any override."""
    return load_task(name).dump()
