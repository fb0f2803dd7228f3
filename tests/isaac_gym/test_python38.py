"""Training's code runs on Python 3.8, the newest that Isaac Gym has."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from dexhand_env.config.layers import merge
from tests.commands.programs import ROOT
from tests.stages.pipeline import FOLDER, NAME, SEED, write_configs

from .interpreters import STAND_IN, environment, python38, run

# All that training may import, in the order of its layers; what MuJoCo steps is not for that Python.
FOLDERS = ("commands", "config", "env", "hand", "rl", "sim", "stages", "tasks")
NOT_THERE = {f"commands/{name}.py" for name in ("doctor", "dvc", "released", "video", "view")}
NOT_THERE |= {f"stages/{name}.py" for name in ("check", "compare", "evaluate", "report", "select")}
# What Python 3.8 has not, or not there: functions and methods, and names by their module.
METHODS = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "readlink", "hardlink_to", "bit_count"}
NAMES = {"typing": {"Annotated", "ParamSpec", "Self", "TypeAlias"}, "functools": {"cache"}, "itertools": {"pairwise"}}
NAMES["math"] = {"lcm", "nextafter", "ulp"}
BUILTIN = {"dict", "frozenset", "list", "set", "tuple", "type"}


def sources() -> list[Path]:
    """The files of training."""
    package = ROOT / "dexhand_env"
    files = [file for folder in FOLDERS for file in sorted((package / folder).rglob("*.py"))]
    return [file for file in files if file.relative_to(package).as_posix() not in NOT_THERE]


def newer(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines that use what Python 3.8 has not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (
                (node.lineno, name.name) for name in node.names if name.name in NAMES.get(node.module or "", ())
            )
        elif isinstance(node, ast.Call) and any(keyword.arg == "strict" for keyword in node.keywords):
            if isinstance(node.func, ast.Name) and node.func.id == "zip":
                yield node.lineno, "zip(strict)"
        elif isinstance(node, ast.ClassDef):
            yield from _evaluated(node)


def _evaluated(section: ast.ClassDef) -> Iterator[tuple[int, str]]:
    """Annotations of a class of fields that pydantic evaluates."""
    if not any("Section" in ast.unparse(base) or "Config" in ast.unparse(base) for base in section.bases):
        return
    for field in section.body:
        for node in ast.walk(field.annotation) if isinstance(field, ast.AnnAssign) else ():
            name = node.value.id if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) else ""
            if name in BUILTIN or isinstance(node, ast.BinOp):
                yield field.lineno, ast.unparse(node)


def test_nothing_newer_is_used() -> None:
    found = {}
    for file in sources():
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
        found.update({f"{file.relative_to(ROOT)}:{line}": what for line, what in newer(tree)})
    assert found == {}


def test_python38_compiles_it() -> None:
    program = python38()
    if program is None:
        pytest.skip("no Python 3.8")
    code = "import sys\nfor name in sys.argv[1:]: compile(open(name, encoding='utf-8').read(), name, 'exec')"
    result = subprocess.run([program, "-c", code, *map(str, sources())], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


CLASS = """\
from dexhand_env.env.task import Task, register_task


@register_task
class Own(Task):
    def compute_task_rewards(self):
        return {"still": -self.hand_positions[:, 2:].abs().sum(dim=1)}

    def observations(self):
        return {**super().observations(), "height": lambda: self.hand_positions[:, 2:]}
"""
OWN = "task: Own\nrewards: {still: 1.0}\nobservations: {policy: [joint_positions, height]}\n"


def of_python38(**more: str) -> dict[str, str]:
    program = python38()
    assert program is not None, "run: make test-isaacgym38"
    return environment(STAND_IN, Path(program), DEXHAND_GPUS="0", **more)


@pytest.mark.isaacgym38
def test_python38_trains_what_this_python_selects_and_tests(tmp_path: Path) -> None:
    """BaseTaskIsaacGym with as few worlds as BaseTask.yaml has for one core."""
    few = yaml.safe_load((ROOT / "configs" / "BaseTask.yaml").read_text(encoding="utf-8"))
    small = merge({key: few[key] for key in ("env", "train")}, {"env": {"sim": {"backend": "isaac_gym"}}})
    write_configs(tmp_path, "BaseTaskIsaacGym", small)
    for stage in ("train", "select", "evaluate"):
        result = run(tmp_path, of_python38(), "-m", f"dexhand_env.stages.{stage}", NAME, str(SEED))
        assert (result.returncode, result.stderr) == (0, ""), stage
    records = {
        stage: json.loads((tmp_path / FOLDER / "stages" / f"{stage}.json").read_text(encoding="utf-8"))
        for stage in ("train", "select")
    }
    assert records["train"]["python"].startswith("3.8.")
    assert records["train"]["command"] == f"-m dexhand_env.stages.train {NAME} {SEED}"
    assert records["train"]["versions"]["torch"].startswith("2.4.1")
    assert records["select"]["python"].startswith("{}.{}.".format(*sys.version_info))
    evaluation = json.loads((tmp_path / FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["conditions"]["training"]["success_rate"] > 0.9


@pytest.mark.isaacgym38
def test_python38_trains_and_tests_a_task_of_ones_own_by_train_py(tmp_path: Path) -> None:
    """Its observations are declared in its code alone, which MuJoCo tries out; that Python has none that could."""
    (tmp_path / "own.py").write_text(CLASS, encoding="utf-8")
    (tmp_path / "Own.yaml").write_text(OWN, encoding="utf-8")
    program = (str(ROOT / "train.py"), "--task", "own.py:Own", "--headless", "sim.backend=isaac_gym")
    few = ("--num-envs", "8", "params.config.horizon_length=8", "params.config.minibatch_size=32")
    for iterations, more in (("2", ()), ("3", ("--checkpoint", "latest"))):
        options = (*program, *few, "--max-iterations", iterations, *more)
        result = run(tmp_path, of_python38(), *options)
        assert (result.returncode, result.stderr) == (0, "")
    tested = run(tmp_path, of_python38(), *program, "--checkpoint", "latest", "--test", "--episodes", "3")
    assert (tested.returncode, tested.stderr) == (0, "")


@pytest.mark.isaacgym38
def test_a_run_with_a_viewer_says_that_there_is_none(tmp_path: Path) -> None:
    options = (
        "--num-envs",
        "8",
        "params.config.horizon_length=8",
        "params.config.minibatch_size=32",
        "--max-iterations",
        "1",
    )
    result = run(tmp_path, of_python38(), str(ROOT / "train.py"), "sim.backend=isaac_gym", *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no viewer: " in result.stdout
