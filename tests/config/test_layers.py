"""Merging layers, naming where a value came from, and listing differences."""

from __future__ import annotations

from typing import Any, Dict

from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.layers import Layer, Stack, differences, dotted, merge

KEYS = st.sampled_from(["a", "b", "c"])
LEAVES = st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2)
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3), lambda inner: st.dictionaries(KEYS, inner | LEAVES, max_size=3)
)
# A key is always a section (s...) or always a leaf (l...), as it is in files that fit one schema.
SHAPED = st.recursive(
    st.dictionaries(st.sampled_from(["l1", "l2"]), LEAVES, max_size=2),
    lambda inner: st.builds(
        lambda leaves, sections: {**leaves, **sections},
        st.dictionaries(st.sampled_from(["l1", "l2"]), LEAVES, max_size=2),
        st.dictionaries(st.sampled_from(["s1", "s2"]), inner, max_size=2),
    ),
    max_leaves=6,
)


@given(SHAPED, SHAPED, SHAPED)
def test_merging_is_associative_for_layers_of_one_schema(one: Dict, two: Dict, three: Dict) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(TREES)
def test_merging_with_nothing_or_itself_changes_nothing(tree: Dict) -> None:
    assert merge(tree, {}) == merge({}, tree) == merge(tree, tree) == tree


@given(TREES, TREES)
def test_every_leaf_above_wins_and_neither_side_changes(lower: Dict, upper: Dict) -> None:
    before = repr((lower, upper))
    merged = merge(lower, upper)
    assert repr((lower, upper)) == before

    def check(above: Dict[str, Any], result: Dict[str, Any]) -> None:
        for key, value in above.items():
            if isinstance(value, dict):
                check(value, result[key])
            else:
                assert result[key] == value

    check(upper, merged)
    assert merge(merged, upper) == merged


@given(SHAPED, SHAPED)
def test_differences_rebuild_the_values(default: Dict, above: Dict) -> None:
    values = merge(default, above)
    rebuilt = default
    for difference in differences(default, values, "x"):
        nested: Any = difference["value"]
        for part in reversed(difference["key"].split(".")[1:]):
            nested = {part: nested}
        rebuilt = merge(rebuilt, nested)
    assert differences(rebuilt, values, "x") == []
    assert differences(values, values, "x") == []


def test_differences_are_sorted_leaves() -> None:
    found = differences({"b": {"x": 1}, "a": [1]}, {"b": {"x": 2, "y": 3}, "a": [1, 2]}, "env")
    assert found == [
        {"key": "env.a", "default": [1], "value": [1, 2]},
        {"key": "env.b.x", "default": 1, "value": 2},
        {"key": "env.b.y", "default": None, "value": 3},
    ]


def test_a_value_is_named_by_the_highest_layer_that_holds_it() -> None:
    low = Layer("low.yaml", {"a": {"b": 1, "c": 2}}, {("a", "b"): (3, 5)})
    high = Layer("high.yaml", {"env": {"a": {"c": [7]}}}, {("env", "a", "c"): (9, 1)}).section("env")
    stack = Stack([low, high])
    assert stack.merged() == {"a": {"b": 1, "c": [7]}}
    assert stack.where(("a", "b")) == "low.yaml:3:5: a.b"
    assert stack.where(("a", "c")) == "high.yaml:9:1: env.a.c"
    assert stack.where(("a", "c", 0)) == "high.yaml: env.a.c[0]"
    assert stack.where(("a", "missing")) == "low.yaml: a.missing"
    assert stack.where(()) == "high.yaml: env"


def test_keys_are_shown_safely() -> None:
    assert dotted(("params", "units", 0)) == "params.units[0]"
    assert len(dotted(("k" * 5000,))) < 60
    assert "\x1b" not in dotted(("\x1b[31m",))


@given(SHAPED, SHAPED, SHAPED)
def test_defaults_lie_below_all_layers_and_lack_nothing(defaults: Dict, lower: Dict, upper: Dict) -> None:
    layers = [Layer("file", lower), Layer("options", upper)]
    stack = Stack(layers, Layer("defaults", defaults))
    assert stack.merged() == Stack([Layer("defaults", defaults), *layers]).merged()
    assert stack.where(("absent",)) == "file: absent"
    for key in defaults:
        assert (stack.where((key,)) == f"defaults: {key}") == (key not in lower and key not in upper)
