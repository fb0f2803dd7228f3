"""The policies that come with the package: tested in a command, each with its card."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from dexhand_env.commands import released
from dexhand_env.commands.options import resolve
from dexhand_env.commands.released import POLICIES, evaluate_released, released_policies, released_run
from dexhand_env.config.physics import load_physics
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import load_checkpoint, stored_interface
from dexhand_env.tasks.registry import policy_interface
from tests.options import train_options

from .programs import dexhand, files, train

SEEN = list(resolve(released_run("DexGrasp", train_options(headless=True))).task.observations.policy)
PLACES = SEEN.index("object_position"), SEEN.index("target_position")


def swapped() -> str:
    """DexGrasp's observations with the object's position in the target's place, which has as many values."""
    keys, (first, second) = list(SEEN), PLACES
    keys[first], keys[second] = keys[second], keys[first]
    return f"observations.policy=[{','.join(keys)}]"


def test_each_has_weights_its_settings_and_a_card() -> None:
    assert released_policies() == ["DexGrasp", "DexGraspGentle", "DexGraspRandomised"]
    for name in released_policies():
        card = (POLICIES / f"{name}.md").read_text(encoding="utf-8")
        assert (POLICIES / f"{name}.pth").stat().st_size < 2_000_000
        for heading in ("## What it does", "## How it was trained", "## Figures", "## Limits"):
            assert heading in card


@pytest.mark.parametrize("name", released_policies())
def test_its_weights_say_what_they_are_for(name: str) -> None:
    """Just what the settings beside them say."""
    run = resolve(released_run(name, train_options(headless=True)))
    said = stored_interface(load_checkpoint(POLICIES / f"{name}.pth"), name)
    assert said is not None
    assert said == policy_interface(run.task, load_physics(run.task.sim.physics)).without_critic()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (swapped(), f"observation {PLACES[0] + 1} of the policy: object_position (3); allowed: target_position (3)"),
        ("hand.side=left", "was trained with hand.side right; allowed: hand.side left"),
        ("actions.mode=position", "was trained with actions.mode position_delta; allowed: actions.mode position"),
    ],
    ids=["permuted", "left", "position"],
)
def test_it_is_played_in_no_other_hand_and_with_no_other_observations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    """Of as many values: by --test, by the viewer, and by the settings beside it."""
    shutil.copy(POLICIES / "DexGrasp.pth", tmp_path / "grasp.pth")
    before = files(tmp_path)
    options = ("--headless", "--task", "DexGrasp", "--checkpoint", "grasp.pth", override)
    played = train(tmp_path, *options, "--test", "--episodes", "2", "--num-envs", "2")
    shown = dexhand(tmp_path, "view", "--policy", "DexGrasp", "--viewer-port", "0", "--num-envs", "1", override)
    for result, file in ((played, "grasp.pth"), (shown, f"{POLICIES}/DexGrasp.pth")):
        (line,) = result.stderr.splitlines()
        assert (result.returncode, line.partition(" ")[2]) == (2, f"checkpoint {file}: {message}")
    assert files(tmp_path) == before

    key, _, value = override.partition("=")
    section, _, name = key.partition(".")
    settings = {"task": "DexGrasp", "env": {section: {name: yaml.safe_load(value)}}}
    (tmp_path / "DexGrasp.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (tmp_path / "grasp.pth").rename(tmp_path / "DexGrasp.pth")
    monkeypatch.setattr(released, "POLICIES", tmp_path)
    with pytest.raises(UserError) as caught:
        evaluate_released("DexGrasp", 2)
    assert str(caught.value) == f"policy {tmp_path}/DexGrasp.pth: {message}"


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
