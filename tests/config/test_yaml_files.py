"""Reading YAML: types, places, refusals, and no crash whatever the file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.yaml_files import parse_overrides, parse_value, parse_yaml, read_yaml
from dexhand_env.errors import UserError

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f", exclude_categories=["Cc"])
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(PRINTABLE, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(PRINTABLE, max_size=8), inner, max_size=4),
    max_leaves=15,
)


def complaint_about(read: Callable[[], object]) -> Optional[str]:
    """The user error's line, or None where there is none; any other error goes through."""
    try:
        read()
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("3.0e-4", 3e-4),
        (".5", 0.5),
        ("-1E3", -1000.0),
        ("010", 10),
        ("0x10", 16),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("None", "None"),
        ("null", None),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'3e-4'", "3e-4"),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{a: {b: [1]}}", {"a": {"b": [1]}}),
    ],
)
def test_values_are_typed_as_yaml_1_2_types_them(text: str, value: object) -> None:
    parsed = parse_value(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


@given(JSON_VALUES)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    assert parse_value(json.dumps(value, ensure_ascii=False), "here") == value


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    complaint = complaint_about(lambda: parse_yaml(text, "file.yaml"))
    assert complaint is None or complaint.startswith("file.yaml")
    assert "\n" not in (complaint or "")


@given(st.text(alphabet="{}[]:,-&*!?|>'\"#%@` \nab1.", max_size=60))
def test_any_mix_of_yaml_marks_is_read_or_refused(text: str) -> None:
    complaint = complaint_about(lambda: parse_yaml(text, "file.yaml"))
    assert complaint is None or complaint.startswith("file.yaml")


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"
    path.write_bytes(data)
    complaint = complaint_about(lambda: read_yaml(path))
    assert complaint is None or "file.yaml" in complaint


def test_every_key_and_item_knows_its_place() -> None:
    layer = parse_yaml("a: 1\nb:\n  c: [10,\n      {d: 2}]\n", "file.yaml")
    assert layer.marks == {("a",): (1, 1), ("b",): (2, 1), ("b", "c"): (3, 3), ("b", "c", 0): (3, 7),
                           ("b", "c", 1): (4, 7), ("b", "c", 1, "d"): (4, 8)}  # fmt: skip
    assert layer.where(("b", "c", 1, "d")) == "file.yaml:4:8: b.c[1].d"


@pytest.mark.parametrize(
    ("text", "place", "complaint"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1", "a for the second time"),
        ("x:\n  a: 1\n  a: 3\n", "f:3:3", "x.a for the second time"),
        ("a: &x 1\nb: *x\n", "f:1:4", "anchor or alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "f:1:4", "tag"),
        ("a: 1\n---\nb: 2\n", "f:2:1", "second document"),
        ("1: 2\n", "f:1:1", "quote it"),
        ("true: 2\n", "f:1:1", "quote it"),
        ("? [a]\n: 2\n", "f:1:3", "list or mapping"),
        ("a: b: c\n", "f:1:5", "not valid YAML"),
        ("a: 'x\n", "f:2:1", "not valid YAML"),
        ("\ta: 1\n", "f:1:1", "not valid YAML"),
        ("a: " + "[" * 100_000, "f:1:35", "nested deeper"),
        ("a: " + "9" * 5000, "f:1:4", "digits"),
        ("", "f", "empty"),
        ("# only a comment\n", "f", "empty"),
        ("[1, 2]", "f", "no keys"),
        ("a: \x01", "f", "not valid YAML"),
    ],
)
def test_what_hides_mistakes_is_refused_where_it_stands(text: str, place: str, complaint: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_yaml(text, "f")
    assert str(raised.value).startswith(f"{place}: ")
    assert complaint in str(raised.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    (tmp_path / "large.yaml").write_bytes(b"#" * 1_000_001)
    for name, complaint in [
        ("absent.yaml", "No such file"),
        (".", "directory"),
        ("latin.yaml", "byte 3 is not UTF-8"),
        ("large.yaml", "1000001 bytes"),
    ]:
        with pytest.raises(UserError, match=complaint) as raised:
            read_yaml(name)
        assert str(raised.value).startswith(f"{name}: ")


def test_overrides_are_dotted_keys_with_yaml_values() -> None:
    overrides = parse_overrides(["a.b=3e-4", "a.c=[1, x]", "d={e: 1}", "d.f=two=2", "a.b=true", "g="])
    assert overrides == {"a": {"b": True, "c": [1, "x"]}, "d": {"e": 1, "f": "two=2"}, "g": None}


@pytest.mark.parametrize("item", ["a", "=1", "a..b=1", ".a=1", "", "a=[1", "a=*x"])
def test_a_malformed_override_is_refused(item: str) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_overrides([item], source="--set")
