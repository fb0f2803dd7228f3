"""Where and how the pipeline is started: what cannot work is one line, and it works wherever it can."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.programs import shell

from .clone import ANOTHER_USER, ROOT, Clone, Run, new_clone

NEW = ["Checking", "Training", "Selecting", "Evaluating", "Writing"]


def refused(run: Run, code: int = 2) -> str:
    """The one line of a refusal."""
    assert run.code == code, run.output
    assert "Traceback" not in run.output
    lines = [line for line in run.output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, run.output
    return lines[0]


@pytest.fixture
def new(fresh: Callable[[str], Clone]) -> Clone:
    """A clone in which nothing has run."""
    return fresh("Tiny: [1]\n")


def plans(clone: Clone, *options: str, **environment: str) -> bool:
    """Whether a dry run finds everything to do."""
    return all(word in clone.run("snakemake", "-n", *options, check=True, **environment).output for word in NEW)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", "episodes=5"], "found episodes;"),
        (["--config", "episodes=5", "seed=2"], "found episodes, seed;"),
        (["--configfile", "configs/Tiny.yaml"], "found task, env, train"),
    ],
)
def test_snakemakes_own_configuration_is_refused(new: Clone, options: list[str], words: str) -> None:
    line = refused(new.run("snakemake", "-n", *options, check=False))
    assert words in line
    assert "configs/<Experiment>.yaml" in line


def test_another_folder_is_refused(new: Clone, tmp_path: Path) -> None:
    line = refused(new.run("snakemake", "-n", "--directory", str(tmp_path / "elsewhere"), check=False))
    assert f"cd {new.path}" in line
    (new.path / "docs").mkdir()
    below = Clone(new.path / "docs", tmp_path / "trace")
    assert f"cd {new.path}" in refused(below.run("snakemake", "-n", "-s", "../Snakefile", check=False))
    link = tmp_path / "link"
    link.symlink_to(new.path)
    assert plans(Clone(link, tmp_path / "trace"))


def test_a_folder_that_is_not_gits_is_refused_or_works_without(new: Clone) -> None:
    shutil.rmtree(new.path / ".git")
    outside = {"GIT_CEILING_DIRECTORIES": str(new.path.parent)}
    line = refused(new.run("snakemake", "-n", check=False, **outside))
    assert "git init" in line
    assert "dvc config core.no_scm true" in line
    assert "git init" in new.run("dexhand", "doctor", check=False, **outside).output
    new.dvc("config", "core.no_scm", "true")
    assert plans(new, **outside)


def test_a_link_in_the_place_of_results_is_refused_and_of_runs_is_none_of_gits(new: Clone, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (new.path / "runs").symlink_to(tmp_path / "disk")
    assert new.git("status", "--porcelain") == ""
    assert plans(new)
    (tmp_path / "disk/results").mkdir()
    shutil.rmtree(new.path / "results")
    (new.path / "results").symlink_to(tmp_path / "disk/results")
    assert "error: results: is a link" in refused(new.run("snakemake", "-n", check=False))
    (new.path / "results").unlink()
    (new.path / "results").mkdir()
    (new.path / "results/Tiny").symlink_to(tmp_path / "disk/results")
    assert "error: results/Tiny: is a link" in refused(new.run("snakemake", "-n", check=False))


def test_a_brace_in_the_path_is_refused(tmp_path: Path) -> None:
    assert "holds a brace" in refused(new_clone(tmp_path / "{x}", "Tiny: [1]\n").run("snakemake", "-n", check=False))


def test_an_unfinished_merge_of_the_lock_is_refused_and_without_it_all_comes_from_the_cache(done: Clone) -> None:
    before, lock = done.contents(), (done.path / "dvc.lock").read_text("utf-8")
    head, tail = lock.split("  train-Tiny-1:\n")
    done.write("dvc.lock", f"{head}<<<<<<< HEAD\n  train-Tiny-1:\n=======\n>>>>>>> theirs\n{tail}")
    line = refused(done.snakemake(check=False))
    assert "error: dvc.lock: holds the conflict of a merge" in line
    (done.path / "dvc.lock").unlink()
    assert done.snakemake().stages == ["plan"]  # it has no output to keep
    assert done.contents() == before


def test_the_rules_need_nobodys_dvc_and_no_unsafe_path(new: Clone, tmp_path: Path) -> None:
    """A `dvc` that comes first on PATH is not asked, and PYTHONSAFEPATH keeps no stage from its modules."""
    scripts = Path(sys.executable).parent
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "dvc").write_text("#!/bin/sh\necho somebody else\nexit 3\n")
    (programs / "dvc").chmod(0o755)
    path = os.pathsep.join([str(programs), str(scripts), os.environ["PATH"]])
    target = "results/Tiny/config/report.json"
    run = new.run("snakemake", "--cores", "1", target, PATH=path, PYTHONSAFEPATH="1")
    assert run.stages == ["plan", "validate-Tiny-report"]
    assert "somebody else" not in run.output
    told = new.run("dexhand", "doctor", PATH=path).output
    assert f"dvc on PATH: {programs / 'dvc'} (not this project's" in told
    assert f"dvc on PATH: {scripts / 'dvc'} (this project's)" in new.run("dexhand", "doctor").output


def test_a_damaged_object_is_named_whatever_dvc_is_on_the_path(done: Clone) -> None:
    (done.path / "bin").mkdir()
    own = "import sys\nfrom dvc.cli import main\nsys.exit(main())\n"
    done.write("bin/dvc", f"#!{sys.executable}\n{own}")
    (done.path / "bin/dvc").chmod(0o755)
    selection = done.path / "results/Tiny/seed1/selection.json"
    content = selection.read_bytes()
    same = [path for path in (done.path / ".dvc/cache/files").rglob("*") if path.is_file()]
    cached = next(path for path in same if path.read_bytes() == content)
    cached.chmod(0o644)
    cached.write_bytes(content.replace(b'"success_rate": 0.0', b'"success_rate": 0.9'))
    cached.chmod(0o444)
    selection.unlink()
    assert cached.read_bytes() != content
    path = os.pathsep.join([str(done.path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    run = done.run("snakemake", "--cores", "1", PATH=path, check=False)
    assert run.code != 0
    assert "was damaged, so it has been removed" in run.output


@pytest.mark.skipif(os.geteuid() != 0, reason="no root")
def test_doctor_says_what_a_user_without_name_or_home_lacks(open_folder: Path) -> None:
    dexhand = str(Path(sys.executable).with_name("dexhand"))
    for words, missing in (
        (["HOME=/"], ["cache of snakemake", "user name"]),
        (["-u", "HOME", "USER=me"], ["cache of snakemake"]),
        ([f"HOME={open_folder}"], ["user name"]),
        ([f"HOME={open_folder}", "USER=me"], []),
    ):
        command = [*ANOTHER_USER, *words, dexhand, "doctor"]
        result = subprocess.run(command, cwd=open_folder, stdout=subprocess.PIPE, text=True, check=False)
        assert re.findall(r"^MISSING (.*?):", result.stdout, re.MULTILINE) == missing, result.stdout
        assert result.returncode == bool(missing)


def test_doctor_is_content_here() -> None:
    """In a process of its own: this one has imported the stand-in of Isaac Gym."""
    result = shell(ROOT, "dexhand doctor")
    assert (result.returncode, "git's and DVC's" in result.stdout) == (0, True), result.stdout


def test_a_checkout_has_the_same_bytes_whatever_git_is_set_to(new: Clone, tmp_path: Path) -> None:
    for setting in ("core.autocrlf=true", "core.eol=crlf"):
        other = tmp_path / setting
        new.git("-c", setting, "clone", "--quiet", str(new.path), str(other))
        for name in new.git("ls-files").splitlines():
            assert (other / name).read_bytes() == (new.path / name).read_bytes(), name


def test_git_takes_no_tracked_file_for_text_that_is_none() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        kind, _, attributes, name = line.replace("\t", " ").split(maxsplit=3)
        # `binary` is git's own name of -text; what git finds to be no text has to be called so.
        assert ("attr/-text" in attributes) == (kind == "i/-text"), name
        assert kind in ("i/lf", "i/-text", "i/none"), name


def make(folder: Path, target: str) -> str:
    """What `make` would do for a target."""
    command = ["make", "--dry-run", target]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_an_environment_of_another_path_is_installed_again(tmp_path: Path) -> None:
    folder = tmp_path / "a project's"
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements/compute.txt", "requirements/tools.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / ".venv/bin/pip").write_text(f"#!{folder}/.venv/bin/python\n")
    (folder / ".venv/.installed").touch()
    assert "Nothing to be done" in make(folder, "install")
    moved = folder.rename(tmp_path / "renamed")
    assert "pip install" in make(moved, "install")
    assert "rm -rf .venv" in make(moved, "run")
    # A place whose path ends like this one's is another too.
    (moved / ".venv/bin/pip").write_text(f"#!/host{moved}/.venv/bin/python\n")
    assert "pip install" in make(moved, "install")
    (moved / ".venv/bin/pip").write_text(f'#!/bin/sh\n\'\'\'exec\' "{moved}/.venv/bin/python" "$0" "$@"\n')
    assert "Nothing to be done" in make(moved, "install")
