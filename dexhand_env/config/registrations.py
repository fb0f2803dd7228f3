"""Task classes that ``@register_task`` has named, and the import of the files that hold them.

Nothing here imports a task by itself: a file is executed because it was named, an installed package because its task
was.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import zlib
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple, Type

from dexhand_env.config.imports import is_installed, on_disk
from dexhand_env.config.layers import shown_path
from dexhand_env.config.task import TaskConfig
from dexhand_env.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
CFG_FOLDER = PACKAGE / "cfg"
ENTRY_POINTS = "dexhand_env.tasks"
_DECORATED = "@register_task above a class over Task"


@dataclass(frozen=True)
class Registration:
    """What ``@register_task`` was told.

    Args:
        name: the task's name.
        task_class: a subclass of ``dexhand_env.env.task.Task``, which this package does not know.
        config_class: the schema of its YAML.
        source: the file that holds the class.
    """

    name: str
    task_class: Type[Any]
    config_class: Type[TaskConfig]
    source: Path

    @property
    def module(self) -> str:
        """The module that holds the class."""
        return self.task_class.__module__


_registered: Dict[str, Registration] = {}
_loaded_with: Dict[str, Tuple[Path, ...]] = {}  # by the module of a task


def register(name: str, task_class: Type[Any], config_class: Type[TaskConfig]) -> None:
    """Keep a task's class and schema by its name; the same class may come again, as in a notebook.

    Raises:
        UserError: another class has the name, or it cannot name files.
    """
    if not (name.isidentifier() and name.isascii()):
        raise UserError("register_task", f"found the name {name!r}", "a name of letters, digits and _")
    module = task_class.__module__
    if name in package_tasks() and not module.startswith(f"{PACKAGE.name}.tasks."):
        raise UserError("register_task", f"{name} is a task of {PACKAGE.name}", "another name")
    known = _registered.get(name)
    if known and (known.module, known.task_class.__qualname__) != (module, task_class.__qualname__):
        raise UserError("register_task", f"{shown_path(known.source)} has registered a task {name}", "another name")
    source = Path(getattr(sys.modules[module], "__file__", None) or module).resolve()
    _registered[name] = Registration(name, task_class, config_class, source)


def registered(name: str) -> Optional[Registration]:
    """The registration under a name, None where nothing that was imported has made it."""
    return _registered.get(name)


def loaded_with(module: str) -> Tuple[Path, ...]:
    """Files that were loaded while a task's module was imported, without this package's and installed ones."""
    return _loaded_with.get(module, ())


def package_tasks() -> List[str]:
    """The tasks in this package: those with a YAML in ``cfg/task/``."""
    return sorted(file.stem for file in (CFG_FOLDER / "task").glob("*.yaml"))


def import_from_file(file: Path, name: str, where: str) -> Registration:
    """Execute a Python file, once a process, and give the task that it registers.

    Args:
        file: the file.
        name: the task's name.
        where: names, in errors, the option or key that named both.

    Raises:
        UserError: no such file, an error in it, or no such task.
    """
    path = file.resolve()
    if not path.is_file():
        raise UserError(where, f"{file} is not a file", "a Python file and the name of its task, my_task.py:MyTask")
    module_name = f"dexhand_task_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if module_name not in sys.modules:
        spec = spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[module_name] = module
        with _in_one_line(shown_path(path)), _noting_what_is_loaded(module_name):
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[module_name]
                raise
    return _registration(name, module_name, where, shown_path(path))


def import_from_package(module: str, name: str, where: str) -> Registration:
    """Import a module by its dotted name and give the task that it registers.

    Raises:
        UserError: as :func:`import_from_file`.
    """
    with _in_one_line(module):
        imported = import_module(module)
    return _registration(name, module, where, shown_path(str(imported.__file__)))


def installed_tasks() -> Dict[str, str]:
    """The tasks that installed packages announce as entry points: name -> ``module:Class``; imports none of them."""
    return {point.name: point.value for point in _entry_points()}


def import_installed(name: str, where: str) -> Registration:
    """Import the package that announces a task.

    Raises:
        UserError: an error in it, two packages with the name, or a class that is not registered under it.
    """
    values = sorted({point.value for point in _entry_points() if point.name == name})
    if len(values) > 1:
        raise UserError(where, f"{name} is announced as {' and '.join(values)}", "one package with this task")
    module, _, attribute = values[0].partition(":")
    with _in_one_line(f"entry point {name} = {values[0]}"), _noting_what_is_loaded(module.strip()):
        task_class = getattr(import_module(module.strip()), attribute.strip())
    entry = registered(name)
    if entry is None or entry.task_class is not task_class:
        raise UserError(f"entry point {name} = {values[0]}", f"is not registered as {name}", _DECORATED)
    return entry


def _entry_points() -> List[Any]:
    found: Any = metadata.entry_points()
    # Before Python 3.10 this is a dictionary.
    return list(found.select(group=ENTRY_POINTS) if hasattr(found, "select") else found.get(ENTRY_POINTS, ()))


def _registration(name: str, module: str, where: str, file: str) -> Registration:
    entry = registered(name)
    if entry is not None and entry.module == module:
        return entry
    own = [other.name for other in _registered.values() if other.module == module]
    if hasattr(sys.modules[module], name):
        raise UserError(where, f"{name} in {file} is not registered as a task", _DECORATED)
    raise UserError(where, f"{file} registers no task {name!r}", ", ".join(own) or _DECORATED)


@contextlib.contextmanager
def _noting_what_is_loaded(module: str) -> Iterator[None]:
    """Import ``module`` in the block; :func:`loaded_with` then has what came with it, also by a computed name."""
    if module in sys.modules and module in _loaded_with:
        yield
        return
    before = _loaded_files()
    yield
    others = (on_disk(name) for name in _loaded_files() - before)
    own = {file for file in others if file and PACKAGE not in file.parents and not is_installed(file)}
    _loaded_with[module] = tuple(sorted(own))


def _loaded_files() -> Set[str]:
    """The files of the modules that the process has loaded; one may have several names, as the program itself has."""
    names = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return {name for name in names if name}


@contextlib.contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """Import in the block; what goes wrong in the imported code becomes one line that names its file and line."""
    try:
        yield
    except UserError as error:
        raise UserError(_place(error, what), str(error)) from error
    except (Exception, SystemExit) as error:
        found = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(_place(error, what), f"{type(error).__name__}: {found}") from error


def _place(error: BaseException, what: str) -> str:
    """``file:line`` of the statement that failed: the outermost one that is neither ours nor the import system's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(error.filename)}:{error.lineno}"
    frames: List[Tuple[str, Optional[int]]] = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and "importlib" not in Path(frame.filename).parts
    ]
    outside = [(file, line) for file, line in frames if Path(file).resolve() != Path(__file__).resolve()]
    return f"{shown_path(outside[0][0])}:{outside[0][1]}" if outside else what
