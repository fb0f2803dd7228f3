"""The stage `validate`, run as the DAG runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from dexhand_env.config.experiment import SECTIONS
from dexhand_env.errors import UserError
from dexhand_env.stages.validate import validate

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the shipped configs in a folder of its own."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: List[str] = [sys.executable, "-m", "dexhand_env.stages.validate", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def written(root: Path, section: str) -> str:
    return (root / "results" / "BaseTask" / "config" / f"{section}.json").read_text(encoding="utf-8")


def test_every_section_is_written_and_nothing_else(root: Path) -> None:
    for section in SECTIONS:
        result = run(root, "BaseTask", section)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        text = written(root, section)
        assert json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n" == text
    names = sorted(path.name for path in (root / "results" / "BaseTask" / "config").iterdir())
    assert names == sorted(f"{section}.json" for section in SECTIONS)


def test_only_sections_that_use_an_edit_change(root: Path) -> None:
    path = root / "configs" / "BaseTask.yaml"

    def texts() -> dict[str, str]:
        for section in SECTIONS:
            assert run(root, "BaseTask", section).returncode == 0
        return {section: written(root, section) for section in SECTIONS}

    before = texts()
    path.write_text(path.read_text().replace("episodes: 1024", "episodes: 512"))
    after = texts()
    assert {section for section in SECTIONS if after[section] != before[section]} == {"evaluation", "report"}


def test_a_comment_or_the_order_of_keys_changes_nothing(root: Path) -> None:
    path = root / "configs" / "BaseTask.yaml"
    assert run(root, "BaseTask", "train").returncode == 0
    before = written(root, "train")
    text = path.read_text()
    assert "gamma: 0.9 " in text
    head, _, tail = text.partition("selection:")
    path.write_text(f"# a new comment\nselection:{tail}\n{head.replace('gamma: 0.9 ', 'gamma: 9.0e-1 ')}")
    assert run(root, "BaseTask", "train").returncode == 0
    assert written(root, "train") == before


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("num_envs: 512", "num_envs: 500", "2048 does not divide horizon_length 16 x num_envs 500 = 8000"),
        ("num_envs: 512", "num_env: 512", "configs/BaseTask.yaml:8:3: train.num_env: unknown key"),
        ("task: BaseTask", "task: DexHandover", "configs/BaseTask.yaml:2:1: task: found the task 'DexHandover'"),
        ("first_seed: 2000000", "first_seed: 1000000", "the first free first_seed is 1000256"),
        ("{success_goal: 0.95}", "{success_goal: 0.95", "not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2_with_nothing_written(root: Path, old: str, new: str, complaint: str) -> None:
    path = root / "configs" / "BaseTask.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    result = run(root, "BaseTask", "report")
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not (root / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("BaseTask", "evaluate"), "section: found 'evaluate'; allowed: evaluation (the nearest)"),
        (("../x", "train"), "experiment: found '../x'"),
        (("Other", "train"), "configs/experiments.yaml: no experiment Other; allowed: BaseTask"),
        (("BaseTask",), "required: section"),
    ],
)
def test_bad_arguments_exit_2(root: Path, arguments: List[str], complaint: str) -> None:
    result = run(root, *arguments)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert not (root / "results").exists()


def test_a_results_folder_that_cannot_be_written_is_named(root: Path) -> None:
    (root / "results").write_text("a file where a folder should be")
    result = run(root, "BaseTask", "train")
    assert result.returncode == 2
    assert result.stderr.startswith("results/BaseTask/config/train.json: cannot be written (")
    assert result.stderr.count("\n") == 1


def test_a_shrunk_minibatch_is_told(root: Path) -> None:
    path = root / "configs" / "BaseTask.yaml"
    path.write_text(path.read_text().replace("num_envs: 512", "num_envs: 64"))
    result = run(root, "BaseTask", "train")
    assert result.returncode == 0
    assert result.stderr == "BaseTask: minibatch_size 2048 shrinks to 1024: horizon_length 16 x 64 environments\n"


TASK = """
import torch

from dexhand_env.env.task import Task, register_task


@register_task
class Own(Task):
    def compute_task_rewards(self):
        return {"height": self.hand_positions[:, 2]}

    def metrics(self):
        return {"NAME": self.hand_positions[:, 2] * (1.0 if self.config.hand.spawn_height_m < 1.0 else 2j)}
"""
OWN = """
task: own.py:Own
train: {num_envs: 8, max_iterations: 100}
selection: {first_seed: 1000000, episodes: 8}
evaluation:
  {first_seed: 2000000, episodes: 8, conditions: [training], variants: {high: {hand: {spawn_height_m: HEIGHT}}}}
report: {success_goal: 0.5}
"""


@pytest.mark.parametrize(
    ("metric", "height", "refused", "says"),
    [
        ("height_m", "0.9", [], ""),
        (
            "seed",
            "0.9",
            SECTIONS,
            "own.py:12: metrics(): seed is a column that every episode table has; allowed: another",
        ),
        (
            "height_m",
            "2.0",
            ["evaluation"],
            "own.py:12: metrics(): height_m is of the type complex64; allowed: float32",
        ),
    ],
)
def test_a_task_of_ones_own_is_tried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, height: str, refused: List[str], says: str
) -> None:
    """In every section; its variants before the one that plays them."""
    name = f"Own{metric}{height[0]}"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "experiments.yaml").write_text("Mine: [1]\n")
    (tmp_path / "configs" / "Mine.yaml").write_text(OWN.replace("HEIGHT", height).replace("Own", name))
    (tmp_path / "own.py").write_text(TASK.replace("NAME", metric).replace("Own", name))
    (tmp_path / f"{name}.yaml").write_text(f"task: {name}\nrewards: {{height: 1.0}}\n")
    monkeypatch.chdir(tmp_path)
    for section in SECTIONS:
        if section in refused:
            with pytest.raises(UserError, match=re.escape(says)):
                validate("Mine", section)
        else:
            validate("Mine", section)
        assert (tmp_path / "results" / "Mine" / "config" / f"{section}.json").exists() == (section not in refused)


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from dexhand_env.stages.validate import main; main(['BaseTask', 'nothing']);"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " ('torch', 'numpy', 'mujoco', 'rl_games', 'gymnasium', 'omegaconf', 'pandas', 'pyarrow')])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
