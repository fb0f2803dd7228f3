"""The policies that come with the package: tested in a command, each with its card."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dexhand_env.commands.options import resolve
from dexhand_env.commands.released import POLICIES, evaluate_released, released_policies, released_run
from tests.options import train_options

from .programs import dexhand, files


def test_each_has_weights_its_settings_and_a_card() -> None:
    assert released_policies() == ["DexGrasp", "DexGraspGentle", "DexGraspRandomised"]
    for name in released_policies():
        card = (POLICIES / f"{name}.md").read_text(encoding="utf-8")
        assert (POLICIES / f"{name}.pth").stat().st_size < 2_000_000
        for heading in ("## What it does", "## How it was trained", "## Figures", "## Limits"):
            assert heading in card


@pytest.mark.parametrize(
    ("name", "physics"), [("DexGrasp", "default"), ("DexGraspGentle", "gentle"), ("DexGraspRandomised", "default")]
)
def test_it_grasps_here_and_now(tmp_path: Path, name: str, physics: str) -> None:
    result = dexhand(tmp_path, "evaluate", "--policy", name, "--episodes", "16")
    assert (result.returncode, result.stderr) == (0, "")
    last = result.stdout.splitlines()[-1]
    found = re.search(rf"under the {physics} physics: success (\d+) of 16 = ", last)
    assert found is not None, last
    assert int(found.group(1)) >= 14
    force = re.search(r"largest_fingertip_force_n: mean (\S+), 99 % below (\S+), largest (\S+)", result.stdout)
    assert force is not None
    mean, highest, largest = map(float, force.groups())
    assert 0 < mean < highest <= largest
    assert "deepest_penetration_m: mean" in result.stdout
    assert files(tmp_path) == {}


def test_a_finer_physics_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_released("DexGrasp", 2, "reference")
    assert "under the reference physics" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "DexGrsp"], "--policy: found 'DexGrsp'; allowed: DexGrasp"),
        (
            ["--policy", "DexGrasp", "--task", "DexGrasp"],
            "view: found --policy DexGrasp and --task; allowed: one of them",
        ),
        (["--policy", "DexGrasp", "object.shape=ball"], "object.shape"),
    ],
)
def test_a_mistake_in_watching_one_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = dexhand(tmp_path, "view", *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


def test_it_is_watched_in_its_own_task() -> None:
    run = resolve(released_run("DexGraspRandomised", train_options(headless=True)))
    assert run.task.randomisation.object_shapes == ("cube", "sphere", "cylinder", "box")
    assert run.task.randomisation.object_friction == (0.3, 1.2)
    assert run.checkpoint == POLICIES / "DexGraspRandomised.pth"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "DexGrsp"], "--policy: found 'DexGrsp'; allowed: DexGrasp"),
        (
            ["--policy", "DexGrasp", "--physics", "fine"],
            "--physics: found 'fine'; allowed: default, gentle, fast, reference",
        ),
        (["--policy", "DexGrasp", "--episodes", "0"], "--episodes"),
        (["BaseTask", "42", "--policy", "DexGrasp"], "found BaseTask and --policy DexGrasp; allowed: one of them"),
        (["BaseTask", "42", "--episodes", "5"], "--episodes: belongs to --policy"),
        ([], "an experiment and a seed are missing; allowed: <Experiment> <seed>, or --policy DexGrasp"),
        (["BaseTask"], "an experiment and a seed are missing"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = dexhand(tmp_path, "evaluate", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(tmp_path) == {}
