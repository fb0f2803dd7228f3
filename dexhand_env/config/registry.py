"""Tasks by name: where each one's class, schema and YAML files are."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Tuple, Type, Union

from dexhand_env.config.check import check
from dexhand_env.config.curriculum import check_curriculum
from dexhand_env.config.imports import imported_files
from dexhand_env.config.layers import Layer, Stack, shown_path
from dexhand_env.config.registrations import (
    CFG_FOLDER,
    PACKAGE,
    Registration,
    import_from_file,
    import_from_package,
    import_installed,
    installed_tasks,
    loaded_with,
    package_tasks,
    registered,
)
from dexhand_env.config.schema import choices, shown
from dexhand_env.config.task import TaskConfig
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError

TASK_DEFAULTS = CFG_FOLDER / "task_defaults.yaml"
GENERAL_PPO = CFG_FOLDER / "train" / "BaseTaskPPO.yaml"

Overrides = Union[Layer, Mapping[str, Any], None]


@dataclass(frozen=True)
class TaskEntry:
    """A task and its files.

    Args:
        reference: what ``--task`` or an experiment calls it: a name, or ``path/to/file.py:Name``.
        name: its name.
        source: the Python file of its class.
        schema: the Python file of its configuration's class.
        config_class: that class.
        config_file: the YAML of its own, over ``cfg/task_defaults.yaml``.
        train_file: its PPO file; the general one where it has none of its own.
        loaded: files of others that were loaded when its source was imported.
    """

    reference: str
    name: str
    source: Path
    schema: Path
    config_class: Type[TaskConfig]
    config_file: Path
    train_file: Path
    loaded: Tuple[Path, ...] = ()

    def used_files(self, known: Iterable[Path] = ()) -> List[Path]:
        """The files that its source and schema import, and those that its schema names (``FILES``), sorted.

        Args:
            known: see :func:`dexhand_env.config.imports.imported_files`.

        Raises:
            UserError: a file that the schema names is not there.
        """
        imported = imported_files((self.source, self.schema), known)
        return sorted(
            {*imported, *self.loaded, *data_files(self.config_class, self.source)} - {self.source, self.schema}
        )


def data_files(config_class: Type[TaskConfig], source: Path) -> Iterator[Path]:
    """The files that a task's schema names (``FILES``), as seen from its source.

    Of a folder these are all files, but hidden ones and Python's ``__pycache__``.

    Raises:
        UserError: one that is not there, or no path.
    """
    where = f"{shown_path(inspect.getfile(config_class))}: {config_class.__name__}.FILES"
    names: Any = config_class.FILES
    names = [names] if isinstance(names, (str, Path)) else names
    if not (
        isinstance(names, (list, tuple))
        and all(isinstance(name, (str, Path)) and "\0" not in str(name) for name in names)
    ):
        raise UserError(where, f"found {shown(names)}", "a list of paths")
    for name in names:
        path = (source.parent / name).resolve()
        if not path.exists():
            raise UserError(where, f"{name} is not there", f"a file or folder, seen from {shown_path(source)}")
        yield from sorted(_files_in(path)) if path.is_dir() else [path]


def _files_in(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        if file.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            yield file


def find_task(reference: str, where: str = "--task") -> TaskEntry:
    """A task of this package, of an installed one, or of a file.

    Args:
        reference: see :class:`TaskEntry`. A file is executed, an installed package imported.
        where: names, in errors, the option or key that gave it.

    Raises:
        UserError: no such task, or an error in its files.
    """
    file, _, name = reference.rpartition(":")
    if is_file(reference):
        if not file.endswith(".py"):
            raise UserError(where, f"found {shown(reference)}", f"the file and the name of its task, {name}:MyTask")
        return _outside(reference, import_from_file(Path(file), name, where))
    if reference in package_tasks():
        return _inside(reference)
    if reference in installed_tasks():
        return _outside(reference, import_installed(reference, where))
    source = PACKAGE / "tasks" / f"{module_name(reference)}.py"
    if reference.isidentifier() and source.is_file():
        missing = shown_path(CFG_FOLDER / "task" / f"{reference}.yaml")
        raise UserError(where, f"{shown_path(source)} has no configuration", f"a task with {missing}")
    known = choices([*package_tasks(), *installed_tasks()], reference)
    raise UserError(where, f"found the task {shown(reference)}", f"{known}, or a file and its task: my_task.py:MyTask")


def is_file(reference: str) -> bool:
    """Whether a reference names a file, which :func:`find_task` would execute."""
    return any(part.endswith(".py") for part in reference.rpartition(":"))


def module_name(task: str) -> str:
    """The name of a task's modules in this package: ``BaseTask`` -> ``base_task``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", task).lower()


def registration(name: str) -> Registration:
    """The class of a task that :func:`find_task` has found, or of one of this package, which is imported.

    Raises:
        UserError: no such task, or an error in its file.
    """
    known = registered(name)
    if known is not None:
        return known
    if name not in package_tasks():
        raise UserError("task", f"{name!r} is not a task", choices(package_tasks(), name))
    return import_from_package(f"{PACKAGE.name}.tasks.{module_name(name)}", name, "task")


def _inside(name: str) -> TaskEntry:
    module = module_name(name)
    source, schema = PACKAGE / "tasks" / f"{module}.py", PACKAGE / "config" / f"{module}.py"
    config_file = CFG_FOLDER / "task" / f"{name}.yaml"
    if not source.is_file():
        raise UserError(shown_path(config_file), "no task has this configuration", f"its class in {shown_path(source)}")
    if schema.is_file():  # without importing the task, and with it torch
        config_class = getattr(import_module(f"{PACKAGE.name}.config.{module}"), f"{name}Config", None)
        if config_class is None:
            raise UserError(shown_path(schema), f"no class {name}Config", f"{name}Config, a subclass of TaskConfig")
    else:
        schema, config_class = source, registration(name).config_class
    return TaskEntry(name, name, source, schema, config_class, config_file, _train_file(name, CFG_FOLDER / "train"))


def _outside(reference: str, entry: Registration) -> TaskEntry:
    name, source = entry.name, entry.source
    train_file = _train_file(name, source.parent, CFG_FOLDER / "train")
    config_file = source.parent / f"{name}.yaml"
    loaded = loaded_with(entry.module)
    return TaskEntry(reference, name, source, source, entry.config_class, config_file, train_file, loaded)


def _train_file(name: str, *folders: Path) -> Path:
    own = (folder / f"{name}PPO.yaml" for folder in folders)
    return next((file for file in own if file.is_file()), GENERAL_PPO)


def load_task(
    task: Union[str, TaskEntry], overrides: Overrides = None, source: str = "overrides", where: str = "--task"
) -> TaskConfig:
    """A task's configuration: the defaults of every task, its own YAML and the overrides, checked.

    Args:
        task: the task, or what :func:`find_task` finds it by.
        overrides: values over the YAML's, nested as there; a Layer knows its lines too.
        source: names the overrides in errors; a Layer brings its own name.
        where: names, in errors, the option or key that gave ``task``.

    Raises:
        UserError: an unknown task, or the first problem of its configuration.
    """
    entry = find_task(task, where) if isinstance(task, str) else task
    file = entry.config_file
    if not file.is_file():
        needed = f"a YAML file with `task: {entry.name}` and the weights of its reward terms under `rewards:`"
        raise UserError(shown_path(file), f"is missing; the task {entry.name} needs it", needed)
    stack = Stack([read_yaml(file), as_layer(overrides, source)], read_yaml(TASK_DEFAULTS))
    config = check(entry.config_class, stack)
    if config.task != entry.name:
        raise UserError(stack.where(("task",)), f"found {shown(config.task)}", f"{entry.name}, the task that is loaded")
    check_curriculum(config, stack)
    return config


def as_layer(overrides: Overrides, source: str) -> Layer:
    """Overrides as a layer; None is an empty one."""
    if isinstance(overrides, Layer):
        return overrides
    return Layer(source, {} if overrides is None else overrides)


def default_task(task: Union[str, TaskEntry]) -> Dict[str, Any]:
    """The dump of a task's defaults, without any override."""
    return load_task(task).dump()
