"""Why a stage runs, in words."""

from __future__ import annotations

from typing import Any

import pytest

from workflow.reasons import INPUTS_ARE_NEW, differences, explain

STAGE: dict[str, Any] = {"cmd": "run", "params": [{"a.yaml": ["x", "y"]}, {"b.yaml": None}]}
PARAMS: dict[str, Any] = {"a.yaml": {"x": {"z": 1, "w": 2}, "y": 3}, "b.yaml": {"k": [1]}}
SOURCES = {"code.py": "1f"}
SIZES = {"out": 5}
ENTRY: dict[str, Any] = {
    "cmd": "run",
    "params": {"a.yaml": {**PARAMS["a.yaml"], "unrelated": 0}, "b.yaml": {"k": [1]}},
    "deps": [{"path": "code.py", "md5": "1f"}, {"path": "gone.py", "md5": "2"}],
    "outs": [{"path": "out", "size": 5}],
}


def test_nothing_differs() -> None:
    assert differences(STAGE, PARAMS, SOURCES, SIZES, ENTRY) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"entry": None}, "it has not run here"),
        ({"entry": None, "sizes": {"out": None}}, "it has not run here"),
        ({"sizes": {"out": None}}, "out is missing"),
        ({"sizes": {"out": 6}}, "out changed"),
        ({"stage": {**STAGE, "cmd": "other"}}, "its command changed"),
        ({"sources": {"code.py": "20"}}, "code.py changed"),
        ({"sources": {"code.py": "1f", "new.py": "3"}}, "new.py changed"),
        ({"params": {**PARAMS, "b.yaml": {"k": [2]}}}, "b.yaml: k is [2], was [1]"),
        ({"params": {**PARAMS, "b.yaml": {"k": [1], "n": 1}}}, "b.yaml: n is 1, was not there"),
        ({"params": {**PARAMS, "a.yaml": {"x": {"z": 9, "w": 2}, "y": 3}}}, "a.yaml: x.z is 9, was 1"),
        ({"params": {**PARAMS, "a.yaml": {"x": {"w": 2}, "y": 3}}}, "a.yaml: x.z is not there, was 1"),
    ],
)
def test_what_differs_is_said(changed: dict[str, Any], words: str) -> None:
    inputs: dict[str, Any] = {"stage": STAGE, "params": PARAMS, "sources": SOURCES, "sizes": SIZES, "entry": ENTRY}
    assert differences(**{**inputs, **changed}) == [words]


def test_a_jobs_reason_is_short_and_has_no_braces() -> None:
    reasons = {"train-My-1": ["a is {}", "b", "c", "d", "e"], "train-My-2": []}
    why = explain(reasons, "train-{experiment}-{seed}")
    assert why({"experiment": "My", "seed": "1"}) == "a is (); b; c; and 2 more"
    assert why({"experiment": "My", "seed": "2"}) == INPUTS_ARE_NEW
