"""The last check, on recorded evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dexhand_env.files import write_json
from dexhand_env.stages.check import main

FOLDER = Path("results/My")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(allowed: float, **conditions: dict[int, float]) -> None:
    """What the check reads: success rates by condition and training seed."""
    write_json(FOLDER / "config/report.json", {"report": {"success_goal": 0.9, "allowed_drop": allowed}})
    joined = {
        name: {"per_seed": {str(seed): {"success_rate": rate} for seed, rate in rates.items()}}
        for name, rates in conditions.items()
    }
    write_json(FOLDER / "evaluation.json", {"conditions": joined})


@pytest.mark.parametrize(
    ("allowed", "training", "reference", "code", "said"),
    [
        (0.1, {1: 0.99}, {1: 0.88}, 1, "My, seed 1: success 0.9900 under training, 0.8800 under reference physics; "),
        (0.1, {1: 0.99}, {1: 0.88}, 1, "a drop of 11.0 points, more than the 10 allowed by report.allowed_drop"),
        (0.2, {1: 0.99}, {1: 0.88}, 0, "a drop of 11.0 points, 20 allowed"),
        (0.1, {1: 0.9}, {1: 0.8}, 0, "a drop of 10.0 points, 10 allowed"),
        (0.0, {1: 0.9}, {1: 0.95}, 0, "a gain of 5.0 points"),
        # The mean loses 5 points; one seed loses 15.
        (0.1, {1: 0.9, 2: 0.9, 3: 0.9}, {1: 0.9, 2: 0.75, 3: 0.9}, 1, "My, seed 2: success 0.9000"),
    ],
)
def test_a_seed_that_loses_more_than_is_allowed_fails(
    capsys: pytest.CaptureFixture[str],
    allowed: float,
    training: dict[int, float],
    reference: dict[int, float],
    code: int,
    said: str,
) -> None:
    write_json(FOLDER / "checked.json", {})  # of an earlier evaluation
    record(allowed, training=training, reference=reference)
    assert main(["My"]) == code
    output = capsys.readouterr().out
    assert said in output
    assert output.count("\n") == 1
    assert (FOLDER / "checked.json").exists() == (code == 0)


def test_without_the_reference_physics_there_is_nothing_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    record(0.1, training={1: 0.9})
    assert main(["My"]) == 0
    assert "not tested under both" in capsys.readouterr().out
    assert json.loads((FOLDER / "checked.json").read_text()) == {"drop": None}


@pytest.mark.parametrize("damaged", [None, {"conditions": {"training": {"per_seed": {"1": {}}}}}, {"conditions": [1]}])
def test_a_missing_or_damaged_evaluation_is_one_line(capsys: pytest.CaptureFixture[str], damaged: Any) -> None:
    record(0.1, training={1: 0.9})
    (FOLDER / "evaluation.json").unlink()
    if damaged is not None:
        write_json(FOLDER / "evaluation.json", damaged)
    assert main(["My"]) == 2
    error = capsys.readouterr().err
    assert str(FOLDER / "evaluation.json") in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("section", [{}, {"report": {"success_goal": 0.9}}, {"report": None}])
def test_a_config_of_an_earlier_version_is_one_line(capsys: pytest.CaptureFixture[str], section: Any) -> None:
    record(0.1, training={1: 0.9})
    write_json(FOLDER / "config/report.json", section)
    assert main(["My"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{FOLDER}/config/report.json: has no report.allowed_drop; allowed: run first: python -m")
    assert error.count("\n") == 1
