"""The run folder is that of everything that a training is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from dexhand_env.stages import versions
from dexhand_env.stages.train import run_folder, sources_of
from dexhand_env.stages.versions import COMPUTE_PACKAGES, computing_versions

TASK = """
from dexhand_env.config.task import TaskConfig
from dexhand_env.env.task import Task, register_task
import run_heights

class Config(TaskConfig):
    FILES = ("goals.csv",)

@register_task(config_class=Config)
class InAFolder(Task):
    def compute_task_rewards(self):
        from run_lazy import ONE
        return {"height": ONE}
"""


def test_what_a_task_imports_and_reads_decides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    files = {"task.py": TASK, "run_heights.py": "import run_units\n", "run_units.py": "", "run_lazy.py": "ONE = 1\n"}
    for name, text in {**files, "goals.csv": "1\n", "unread.py": ""}.items():
        (tmp_path / name).write_text(text)
    reference = f"{tmp_path}/task.py:InAFolder"

    def folder() -> Path:
        return run_folder("Own", 1, {}, sources_of(reference))

    seen = [folder()]
    for name in (*files, "goals.csv"):
        with (tmp_path / name).open("a") as stream:
            stream.write("# changed\n")
        seen.append(folder())
        assert len(set(seen)) == len(seen), name
    (tmp_path / "unread.py").write_text("changed\n")
    assert folder() == seen[-1]


def test_an_installed_package_knows_its_versions_without_the_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_lock = computing_versions()
    monkeypatch.setattr(versions, "COMPUTE_LOCK", tmp_path / "none.txt")
    without = computing_versions()
    assert {name.lower() for name in COMPUTE_PACKAGES} <= {name.lower() for name in without}
    assert "snakemake" not in without
    assert {**with_lock, **without} == {**without, **with_lock}  # the same where both have one


def test_the_working_directory_does_not_decide_which_versions_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = computing_versions()
    monkeypatch.chdir(tmp_path)
    assert computing_versions() == here
