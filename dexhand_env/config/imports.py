"""Which files a Python file imports, directly and through others, found by reading: nothing is executed.

So an import inside a function counts too. A name that the program computes cannot be read.
"""

from __future__ import annotations

import ast
import functools
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Sequence, Set, Tuple

BY_CALL = ("import_module", "__import__")  # functions that import what their first argument names


def imported_files(sources: Iterable[Path], known: Iterable[Path] = ()) -> List[Path]:
    """Every file that the sources import, sorted, without the standard library and installed packages.

    Of an installed package that holds one of the sources, the package's own files count.

    Args:
        sources: Python files.
        known: files that are not read in their turn; they are in the result where they are imported.
    """
    waiting = [(source.resolve(), _package(source.resolve())) for source in sources]
    own = [file.parents[package.count(".")] for file, package in waiting if package]
    seen = {file for file, _ in waiting}
    unread, found = set(known), set()
    while waiting:
        file, package = waiting.pop()
        for spec in _imported(file, package):
            origin = on_disk(str(spec.origin))
            if origin is None or origin in seen:
                continue
            if is_installed(origin) and not any(folder in origin.parents for folder in own):
                continue
            seen.add(origin)
            found.add(origin)
            if origin not in unread:
                waiting.append((origin, spec.parent or ""))
    return sorted(found)


def on_disk(name: str) -> Optional[Path]:
    """The file that a module was found in, resolved, which may be an archive; None where there is no such file."""
    path = Path(name).resolve()
    nearest = next(each for each in (path, *path.parents) if each.exists())
    return nearest if nearest.is_file() else None


def is_installed(file: Path) -> bool:
    """Whether a file belongs to the standard library or to a package that was installed, and not as editable.

    Args:
        file: resolved.
    """
    if {"site-packages", "dist-packages"} & set(file.parts):
        return True
    return any(folder in file.parents for folder in _installed_folders(tuple(sys.path)))


@functools.lru_cache(maxsize=None)
def _installed_folders(search_path: Tuple[str, ...]) -> List[Path]:
    """The standard library, and the folders of the search path into which packages were installed (``--target``)."""
    library = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    searched = (Path(entry).resolve() for entry in search_path if entry)
    return library + [folder for folder in searched if next(folder.glob("*.dist-info"), None) is not None]


def _package(file: Path) -> str:
    """The dotted name of the package that a file lies in; empty where it lies in none."""
    names: List[str] = []
    folder = file.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names)


def _imported(file: Path, package: str) -> Iterator[ModuleSpec]:
    """What the import statements of a file name, packages first; what is not there or has no file is left out."""
    for name in sorted(_names(file, package)):
        places: Optional[Sequence[str]] = None
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            spec = _find(".".join(parts[:length]), places)
            if spec is None:
                break
            if spec.has_location:
                yield spec
                places = list(spec.submodule_search_locations or ())
            else:  # a folder without __init__.py, whose own list needs its parent to be imported
                folders = (Path(place) / parts[length - 1] for place in (sys.path if places is None else places))
                places = [str(folder) for folder in folders if folder.is_dir()]
            if not places:
                break


def _find(name: str, places: Optional[Sequence[str]]) -> Optional[ModuleSpec]:
    """The module as Python would find it if nothing was imported yet: ``sys.modules`` may hold another of its name."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        try:
            spec = find(name, places) if find is not None else None
        except KeyError:  # a folder without __init__.py in another such, which Python looks up in sys.modules
            return ModuleSpec(name, None)
        if spec is not None:
            return spec
    return None


def _names(file: Path, package: str) -> Set[str]:
    """The modules that a file's statements import, absolute; a name taken from a module may be a module itself."""
    if file.suffix != ".py" or not file.is_file():
        return set()
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # whoever imports it hears of it
        return set()
    names: Set[str] = set()
    for node in ast.walk(tree):
        for name in _named(node):
            absolute = _absolute(name, package)
            if absolute:
                names.add(absolute)
    return names


def _named(node: ast.AST) -> List[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        inside = base if base.endswith(".") else f"{base}."
        return [base, *(inside + alias.name for alias in node.names if alias.name != "*")]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if called in BY_CALL and isinstance(node.args[0].value, str):
            return [node.args[0].value]
    return []


def _absolute(name: str, package: str) -> str:
    """A relative name made absolute; empty where that leads out of the package."""
    try:
        return resolve_name(name, package) if name.startswith(".") else name
    except (ImportError, ValueError):
        return ""
