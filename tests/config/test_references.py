"""References between keys of one document."""

from __future__ import annotations

import contextlib
from typing import Any, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.layers import Layer, Stack
from dexhand_env.config.references import resolve
from dexhand_env.errors import UserError


def resolved(values: Dict[str, Any]) -> Dict[str, Any]:
    stack = Stack([Layer("file.yaml", values)])
    return resolve(stack.merged(), stack)


def test_a_reference_takes_the_type_of_what_it_names() -> None:
    values = {"a": {"x": 3, "l": [1, 2]}, "b": "${a.x}", "c": "${b}", "d": "${a.l}", "e": ["${a.l.1}"], "f": "n${a.x}"}
    assert resolved(values) == {**values, "b": 3, "c": 3, "d": [1, 2], "e": [2], "f": "n3"}


def test_a_reference_follows_an_override() -> None:
    stack = Stack([Layer("low", {"a": 1, "b": "${a}"}), Layer("high", {"a": 2})])
    assert resolve(stack.merged(), stack) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"a": "${b}"}, "names no value"),
        ({"a": "${}"}, "names no value"),
        ({"a": "${a}"}, "refers to itself"),
        ({"a": "${b}", "b": "${a}"}, "refers to itself"),
        ({"a": "x${a}"}, "refers to itself"),
        ({"a": {"b": 1}, "c": "${a}"}, "names a section"),
        ({"a": "${oc.env:HOME}"}, "names no value"),
        ({"a": "${b"}, "found '\\${b'"),
        ({"a": "${${b}}", "b": "c", "c": 1}, "found"),
        ({"a": [1], "b": "x${a}"}, "list inside text"),
    ],
)
def test_a_bad_reference_is_refused_by_name(values: Dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        resolved(values)
    assert str(raised.value).startswith("file.yaml: ")


def test_references_cannot_grow_without_bound() -> None:
    texts: Dict[str, Any] = {"k0": "ha"}
    texts.update({f"k{n}": f"${{k{n - 1}}}${{k{n - 1}}}" for n in range(1, 60)})
    with pytest.raises(UserError):
        resolved(texts)
    lists: Dict[str, Any] = {"k0": [1, 1]}
    lists.update({f"k{n}": [f"${{k{n - 1}}}"] * 2 for n in range(1, 60)})
    with pytest.raises(UserError):
        resolved(lists)


@given(st.dictionaries(st.sampled_from("abc"), st.text(alphabet="${}abc.", max_size=12), max_size=3))
def test_any_references_are_resolved_or_refused(values: Dict[str, Any]) -> None:
    found: Dict[str, Any] = {}
    with contextlib.suppress(UserError):  # anything else is a failure
        found = resolved(values)
    assert not any("${" in str(value) for value in found.values())
