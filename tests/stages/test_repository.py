"""The commit in a record is that of the code that ran and of all that the stage read, or there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .pipeline import ROOT

RECORD = """
import sys
from pathlib import Path
from dexhand_env.stages.record import record_stage
out, *files = map(Path, sys.argv[1:])
with record_stage("train", out, files):
    try:
        import dexhand_env.stages.own
    except ImportError:
        pass
"""
CHANGED = """
import json, sys
from dexhand_env.stages.repository import checkout
found = checkout()
print(json.dumps(found.changed_since(sys.argv[1], sys.argv[2].split(), sys.argv[3:])))
"""


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; returns what it printed."""
    user = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com"]
    return subprocess.run(
        ["git", *user, *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def unpack(folder: Path) -> Path:
    """The part of the package that writes records, with a config, as an archive of the project has them."""
    for name in ("__init__.py", "errors.py", "files.py", "stages"):
        source, target = ROOT / "dexhand_env" / name, folder / "dexhand_env" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (folder / "configs").mkdir()
    (folder / "configs/Tiny.yaml").write_text("task: BaseTask\n")
    (folder / ".gitignore").write_text("__pycache__/\n/ignored*\n/results/\n")
    return folder


def commit(folder: Path) -> str:
    """Commit everything; returns the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")
    return git(folder, "rev-parse", "HEAD")


def python(folder: Path, code: str, *arguments: str, package: Path | None = None, **environment: str) -> str:
    """Run code in ``folder`` with the package of that folder or another; returns what it printed."""
    paths = {"PYTHONPATH": str(package or folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **paths, **environment}, check=True, stdout=subprocess.PIPE, text=True
    )
    return result.stdout


def recorded(folder: Path, *files: str, package: Path | None = None, **environment: Any) -> tuple[Any, Any]:
    """Commit and dirty of a record that is written in ``folder``."""
    python(folder, RECORD, "results/train.json", *files, package=package, **environment)
    record = json.loads((folder / "results/train.json").read_text(encoding="utf-8"))
    assert (record["files"] is None) == (record["commit"] is None)
    return record["commit"], record["dirty"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout of its own, all committed."""
    folder = unpack(tmp_path / "project")
    commit(folder)
    return folder


def test_a_clean_checkout_has_its_commit(project: Path) -> None:
    head = git(project, "rev-parse", "HEAD")
    assert recorded(project, "configs/Tiny.yaml") == (head, False)
    (project / "notes.txt").touch()  # nobody reads it
    (project / "dvc.lock").touch()
    assert recorded(project, "configs/Tiny.yaml") == (head, False)
    git(project, "worktree", "add", "--quiet", "../tree")
    assert recorded(project.parent / "tree", "configs/Tiny.yaml") == (head, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("configs/Tiny.yaml", "task: DexGrasp\n"),  # changed
        ("configs/New.yaml", "task: BaseTask\n"),  # in no commit
        ("ignored.yaml", "task: BaseTask\n"),
        ("../outside.py", "HEIGHT_M = 0.5\n"),
        ("dexhand_env/stages/own.py", "HEIGHT_M = 0.5\n"),  # imported
    ],
)
def test_what_a_stage_reads_and_no_commit_has_makes_it_dirty(project: Path, name: str, text: str) -> None:
    head = git(project, "rev-parse", "HEAD")
    (project / name).write_text(text)
    files = [] if name.endswith("own.py") else [name]
    assert recorded(project, "configs/Tiny.yaml", *files) == (head, True)
    if not name.startswith(("ignored", "..")):
        head = commit(project)
        assert recorded(project, *files) == (head, False)


def test_a_file_that_is_added_and_not_committed_makes_it_dirty(project: Path) -> None:
    (project / "configs/New.yaml").touch()
    git(project, "add", "configs/New.yaml")
    assert recorded(project, "configs/New.yaml")[1] is True


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_a_change_that_git_was_told_to_overlook_makes_it_dirty(project: Path, flag: str) -> None:
    git(project, "update-index", flag, "configs/Tiny.yaml")
    (project / "configs/Tiny.yaml").write_text("task: DexGrasp\n")
    assert recorded(project, "configs/Tiny.yaml")[1] is True


def test_how_the_environment_reads_paths_does_not_matter(project: Path) -> None:
    (project / "configs/Tiny.yaml").write_text("task: DexGrasp\n")
    assert recorded(project, "configs/Tiny.yaml", GIT_LITERAL_PATHSPECS="1")[1] is True


def test_a_file_that_is_gone_makes_it_dirty(project: Path) -> None:
    (project / "configs/Tiny.yaml").unlink()
    assert recorded(project)[1] is True


def test_the_repository_around_an_unpacked_archive_is_not_the_codes(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "paper.tex").touch()
    commit(outer)
    inner = unpack(outer / "project")
    assert recorded(inner, "configs/Tiny.yaml") == (None, None)
    head = commit(outer)  # a copy that the outer one tracks is its own code
    assert recorded(inner, "configs/Tiny.yaml") == (head, False)
    (outer / "paper.tex").write_text("changed")
    assert recorded(inner, "configs/Tiny.yaml") == (head, False)
    (outer / "shared.yaml").touch()
    commit(outer)
    (outer / "shared.yaml").write_text("changed")
    assert recorded(inner, "../shared.yaml")[1] is True


def test_code_of_another_folder_has_no_commit_here(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", "project", "other")
    assert recorded(other, "configs/Tiny.yaml", package=project) == (None, None)
    installed = unpack(other / ".venv/lib/site-packages")
    assert recorded(other, "configs/Tiny.yaml", package=installed) == (None, None)
    bare = tmp_path / "bare"
    bare.mkdir()
    assert recorded(bare, package=project, GIT_CEILING_DIRECTORIES=str(tmp_path)) == (None, None)


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    folder = unpack(tmp_path / "project")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    assert recorded(folder) == (None, None)


def test_a_repository_that_the_environment_names_is_not_asked(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".profile").touch()
    commit(home)
    names: dict[str, Any] = {"GIT_DIR": str(home / ".git"), "GIT_WORK_TREE": str(home)}
    assert recorded(project, "configs/Tiny.yaml", **names) == (git(project, "rev-parse", "HEAD"), False)


def test_what_changed_since_another_commit(project: Path) -> None:
    first = git(project, "rev-parse", "HEAD")
    (project / "configs/Tiny.yaml").write_text("# a comment\ntask: BaseTask\n")
    (project / "dexhand_env/files.py").write_text("changed\n")
    (project / "dexhand_env/new.py").touch()
    (project / "unread.py").touch()
    shutil.copy(ROOT / "dexhand_env/files.py", project / "dexhand_env/stages/copy.py")
    commit(project)
    (project / "dexhand_env/files.py").write_text((ROOT / "dexhand_env/files.py").read_text() + "# changed\n")
    commit(project)
    files = "configs/Tiny.yaml dexhand_env/files.py dexhand_env/new.py dexhand_env/errors.py"
    assert json.loads(python(project, CHANGED, first, files)) == ["dexhand_env/files.py", "dexhand_env/new.py"]
    assert json.loads(python(project, CHANGED, first, files, "dexhand_env/files.py")) == ["dexhand_env/new.py"]
    assert json.loads(python(project, CHANGED, "0" * 40, files)) is None
