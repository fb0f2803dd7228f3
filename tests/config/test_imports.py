"""What a file imports is found by reading it: neighbours, packages, what they import, and nothing that is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, List

import pytest

from dexhand_env.config.imports import imported_files
from dexhand_env.config.registry import PACKAGE, data_files, find_task
from dexhand_env.config.task import TaskConfig
from dexhand_env.errors import UserError

TASK = "from dexhand_env.env.task import Task, register_task\n\n\n@register_task\nclass {name}(Task):\n"
TASK += "    def compute_task_rewards(self):\n        return {{}}\n"


def write(folder: Path, files: Dict[str, str]) -> None:
    """Files by their path in the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def found(folder: Path, source: str = "task.py") -> List[str]:
    """What the source imports, seen from the folder."""
    files = imported_files([folder / source], known=PACKAGE.rglob("*.py"))
    return [file.relative_to(folder.resolve()).as_posix() for file in files if PACKAGE not in file.parents]


@pytest.mark.parametrize(
    ("files", "imported"),
    [
        ({"task.py": "import a", "a.py": "", "b.py": ""}, "a.py"),
        ({"task.py": "from a import X", "a.py": "import b", "b.py": "from c import *", "c.py": ""}, "a.py b.py c.py"),
        ({"task.py": "import a", "a.py": "import task\nimport a"}, "a.py"),
        ({"task.py": "def f():\n    if True:\n        import a", "a.py": ""}, "a.py"),
        ({"task.py": "try:\n    import a\nexcept ImportError:\n    import b", "b.py": ""}, "b.py"),
        (
            {"task.py": "import p.q.r", "p/__init__.py": "", "p/q/__init__.py": "", "p/q/r.py": "", "p/x.py": ""},
            "p/__init__.py p/q/__init__.py p/q/r.py",
        ),
        (
            {"task.py": "from p import r, X", "p/__init__.py": "X = 1", "p/r.py": "from . import s", "p/s.py": ""},
            "p/__init__.py p/r.py p/s.py",
        ),
        ({"task.py": "import n.m.a", "n/m/a.py": "from ..b import X", "n/b.py": ""}, "n/b.py n/m/a.py"),
        (
            {"task.py": "import importlib\nimportlib.import_module('a')\n__import__('b')", "a.py": "", "b.py": ""},
            "a.py b.py",
        ),
        ({"task.py": "import a", "a.py": "this is no Python"}, "a.py"),
        ({"task.py": "import torch, json, numpy.linalg, os.path, sys, dexhand_env.env.task"}, ""),
        ({"task.py": "import random", "random.py": ""}, "random.py"),  # stands before the standard library's
    ],
)
def test_imports_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Dict[str, str], imported: str
) -> None:
    write(tmp_path, files)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    assert found(tmp_path) == imported.split()
    assert set(sys.modules) == before  # nothing was imported


def test_the_search_path_decides_between_two_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"task.py": "import heights", "one/heights.py": "", "two/heights.py": ""})
    for folder in ("one", "two"):
        monkeypatch.syspath_prepend(tmp_path / folder)
        assert found(tmp_path) == [f"{folder}/heights.py"]


def test_an_installed_package_counts_where_the_task_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"p/__init__.py": "", "p/task.py": "from p.a import X\nimport q", "p/a.py": "", "q.py": ""}
    write(tmp_path, {**files, "p-1.dist-info/METADATA": "", "task.py": "import p.a"})
    monkeypatch.syspath_prepend(tmp_path)
    assert found(tmp_path, "p/task.py") == ["p/__init__.py", "p/a.py"]
    assert found(tmp_path) == []


def test_a_task_knows_what_it_imports_and_the_data_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "lib")
    schema = "from dexhand_env.config.task import TaskConfig\n\n\nclass Named(TaskConfig):\n    FILES = {files}\n\n\n"
    computed = "import importlib\nimportlib.import_module('com' + 'puted')\n"
    for name, data in (("KnowsData", ("data", "hand.xml")), ("LacksData", "nothing.npz")):
        text = TASK.format(name=name).replace("@register_task", "@register_task(config_class=Named)")
        write(tmp_path, {f"{name}.py": computed + schema.format(files=repr(data)) + text})
    write(tmp_path, {"lib/computed.py": "import other\n", "lib/other.py": "", "data/a.txt": "", "data/b/c.txt": ""})
    write(tmp_path, {"hand.xml": "", "data.txt": "", "data/__pycache__/b.pyc": "", "data/.a.swp": ""})
    names = [
        file.relative_to(tmp_path.resolve()).as_posix()
        for file in find_task(f"{tmp_path}/KnowsData.py:KnowsData").used_files(PACKAGE.rglob("*.py"))
        if PACKAGE not in file.parents
    ]
    assert names == ["data/a.txt", "data/b/c.txt", "hand.xml", "lib/computed.py", "lib/other.py"]
    with pytest.raises(UserError, match=r"LacksData\.py: Named\.FILES: nothing\.npz is not there; allowed: a file or"):
        find_task(f"{tmp_path}/LacksData.py:LacksData").used_files()


@pytest.mark.parametrize("files", [None, 3, (1,), ("x\0y",)])
def test_data_that_are_no_paths_are_refused(tmp_path: Path, files: object) -> None:
    class Named(TaskConfig):
        FILES = files  # type: ignore[assignment]

    with pytest.raises(UserError, match=r"test_imports\.py: Named\.FILES: found .*; allowed: a list of paths"):
        list(data_files(Named, tmp_path / "task.py"))


@pytest.mark.parametrize("name", ["BaseTask", "DexGrasp"])
def test_a_task_of_the_package_needs_nothing_from_outside(name: str) -> None:
    files = find_task(name).used_files()
    assert all(PACKAGE in file.parents for file in files)
    assert PACKAGE / "env" / "robot_hand.py" in files  # through others
