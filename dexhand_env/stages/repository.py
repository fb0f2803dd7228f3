"""Which commit the code that runs here is of, and whether a file is as that commit has it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable

import yaml

PACKAGE = Path(__file__).resolve().parent.parent
# Set by git for its hooks, or by a user whose home folder is a repository; they would name another one than the files'.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
_PATHSPECS = "_PATHSPECS"  # GIT_LITERAL_PATHSPECS and its like change what a path means
_LIST = "--name-only"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints in a folder; None where it fails or is not there."""
    environment = {
        name: value for name, value in os.environ.items() if name not in _ELSEWHERE and not name.endswith(_PATHSPECS)
    }
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(result.stdout)


def _lines(text: str | None) -> list[str]:
    """The entries of a list that git ends by NUL, so that any file name is whole."""
    return [line for line in (text or "").split("\0") if line]


def _is_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it; ``is_relative_to`` is not in Python 3.8."""
    return path == folder or folder in path.parents


@dataclass(frozen=True)
class Checkout:
    """The work tree that the code was loaded from, as it was at one moment.

    Args:
        root: its folder.
        commit: what is checked out.
        files: every file of that commit, relative to the root.
        is_changed: whether a file of the commit is changed, added or gone in the project or the working directory.
    """

    root: Path
    commit: str
    files: frozenset[str]
    is_changed: bool

    def name(self, file: Path) -> str:
        """A file as records name it: relative to the root where it lies there, else absolute."""
        path = file.resolve()
        return path.relative_to(self.root).as_posix() if _is_in(path, self.root) else str(path)

    def is_dirty(self, files: Iterable[Path]) -> bool:
        """Whether the commit is not all that these files and the project are: one is changed, untracked or outside."""
        return self.is_changed or not self.files.issuperset(map(self.name, files))

    def changed_since(self, commit: str, files: Iterable[str], but: Iterable[str] = ()) -> list[str] | None:
        """Which of the named files differ between an earlier commit and this one; None where that commit is unknown.

        YAML files are compared by their values.

        Args:
            commit: the other commit.
            files: as :meth:`name` gives them.
            but: names that are left out.
        """
        if _git(self.root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
            return None
        if commit == self.commit:
            return []
        wanted = set(files) - set(but)
        changed = wanted & set(_lines(_git(self.root, "diff", _LIST, "--no-renames", "-z", commit, self.commit)))
        return sorted(name for name in changed if not self._is_same_yaml(commit, name))

    def values(self, file: str, commit: str | None = None) -> Any:
        """The content of a YAML file in this commit or another; None where it is not there or is no YAML."""
        text = _git(self.root, "show", f"{commit or self.commit}:{file}")
        try:
            return None if text is None else yaml.safe_load(text)
        except yaml.YAMLError:
            return None

    def _is_same_yaml(self, commit: str, name: str) -> bool:
        old = self.values(name, commit) if name.endswith(".yaml") else None
        return old is not None and old == self.values(name)


def checkout(files: Iterable[Path] = ()) -> Checkout | None:
    """The work tree of the code that runs; None where that and the working directory are not of one commit.

    So it is for an installed package, for one that was unpacked in a repository of something else, and where the code
    of one checkout runs in another: no commit would give the same again there.

    Args:
        files: where else than in the project and the working directory to look for changes.
    """
    root, here = (_git(folder, "rev-parse", "--show-toplevel") for folder in (PACKAGE, Path.cwd()))
    commit = _git(PACKAGE, "rev-parse", "--verify", "HEAD")
    if root is None or root != here or commit is None:
        return None
    top = Path(root.rstrip("\n"))
    committed = frozenset(_lines(_git(top, "ls-tree", "-r", "-z", _LIST, "--full-tree", "HEAD")))
    if (PACKAGE / "__init__.py").relative_to(top).as_posix() not in committed:
        return None
    places = [path for path in (PACKAGE.parent, Path.cwd(), *map(Path.resolve, files)) if _is_in(path, top)]
    # dvc.lock changes while a pipeline runs; it does not make the code dirty.
    inside = [f":(top,literal){path.relative_to(top).as_posix()}" for path in places if path != top]
    whole = [":(top)"] if top in places else inside
    changes = _git(top, "status", "--porcelain", "--untracked-files=no", "--", *whole, ":(exclude,top,glob)**/dvc.lock")
    return Checkout(top, commit.strip(), committed, changes is None or bool(changes) or _has_hidden(top, whole))


def _has_hidden(top: Path, places: list[str]) -> bool:
    """Whether changes of a file that is there would not be seen: git was told to overlook them."""
    flagged = _lines(_git(top, "ls-files", "-v", "-z", "--full-name", "--", *places))
    hidden = [line[2:] for line in flagged if line[:1] == "S" or line[:1].islower()]
    return any((top / name).exists() for name in hidden)


def loaded_sources() -> list[Path]:
    """Source files of this package that the process has loaded so far."""
    names = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(name).resolve() for name in names if name}
    return sorted(file for file in files if _is_in(file, PACKAGE))
