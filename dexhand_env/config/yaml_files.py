"""The only code that reads YAML.

It reads YAML 1.2's core schema (so ``3e-4`` is a number and ``no`` is text, as DVC reads them too), keeps the line
and column of every key, and refuses what hides mistakes: duplicate keys, aliases, tags, a second document.
Nothing here recurses, so a hostile file ends in an error and not in a crash.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import yaml

from dexhand_env.config.layers import KeyPath, Layer, dotted, merge, shown_path
from dexhand_env.errors import UserError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_DIGITS = 30

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED_INTEGER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")
_WORDS = {word: value for value, name in ((True, "true"), (False, "false"), (None, "null"))
          for word in (name, name.capitalize(), name.upper())}  # fmt: skip


def read_yaml(path: Union[str, os.PathLike[str]]) -> Layer:
    """Read one YAML file whose top is a mapping.

    Raises:
        UserError: a file that cannot be read, is not YAML, or breaks the rules above.
    """
    source = shown_path(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(source, f"cannot be read ({error.strerror})", "a readable YAML file") from error
    if len(data) > MAX_BYTES:
        raise UserError(source, f"{len(data)} bytes", f"at most {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(source, f"byte {error.start} is not UTF-8", "UTF-8 text") from error
    return parse_yaml(text, source)


def parse_yaml(text: str, source: str) -> Layer:
    """Parse YAML text whose top is a mapping; ``source`` names it in errors.

    Raises:
        UserError: as :func:`read_yaml`.
    """
    value, marks = _build(text, source)
    if not isinstance(value, dict):
        raise UserError(source, "is empty" if value is None else "holds no keys at its top", "a mapping of keys")
    return Layer(source, value, marks)


def parse_value(text: str, source: str) -> Any:
    """Parse one YAML value, e.g. ``2``, ``[1, 2]`` or ``{a: 1}``; empty text is null.

    Raises:
        UserError: as :func:`read_yaml`.
    """
    return _build(text, source)[0]


def parse_overrides(items: Sequence[str], source: str = "command line") -> Dict[str, Any]:
    """Turn ``["rewards.success=2"]`` into ``{"rewards": {"success": 2}}``; a later item wins over an earlier one.

    Raises:
        UserError: an item without ``=``, with an empty key, or with a value that is not YAML.
    """
    overrides: Dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise UserError(source, f"found {item[:60]!r}", "dotted.key=value")
        value = parse_value(text, f"{source}: {dotted(parts)}")
        for part in reversed(parts):
            value = {part: value}
        overrides = merge(overrides, value)
    return overrides


def _build(text: str, source: str) -> Tuple[Any, Dict[KeyPath, Tuple[int, int]]]:
    """Parse text to plain values and the place of each key and item."""
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise UserError(place, f"not valid YAML ({error.problem or error.context})") from error
    except yaml.YAMLError as error:
        raise UserError(source, f"not valid YAML ({error})") from error
    return builder.value, builder.marks


class _Builder:
    """Builds plain values from parser events, with its own stack in place of recursion."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.value: Any = None
        self.marks: Dict[KeyPath, Tuple[int, int]] = {}
        self._open: List[Any] = []  # the containers we are inside of
        self._path: List[Union[str, int]] = []  # the key or index each open container is filling
        self._key: Optional[str] = None  # the innermost mapping's key that waits for its value
        self._documents = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refused(event, "a second document", "one document a file")
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._refused(event, "an anchor or alias", "a reference such as ${section.key}")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._start(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._open.pop()
            self._leave()

    def _scalar(self, event: Any) -> None:
        if event.tag not in (None, "!"):
            raise self._refused(event, f"the tag {event.tag[:40]}", "values without a tag")
        value = self._plain(event) if event.implicit[0] else event.value
        if self._open and isinstance(self._open[-1], dict) and self._key is None:
            self._take_key(event, value)
        else:
            self._put(event, value)
            self._leave()

    def _start(self, event: Any) -> None:
        if event.tag is not None:
            raise self._refused(event, f"the tag {event.tag[:40]}", "values without a tag")
        if self._open and isinstance(self._open[-1], dict) and self._key is None:
            raise self._refused(event, "a key that is a list or mapping", "keys of plain text")
        if len(self._open) >= MAX_DEPTH:
            raise self._refused(event, f"nested deeper than {MAX_DEPTH}", "fewer levels")
        container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(event, container)
        self._open.append(container)
        self._key = None

    def _take_key(self, event: Any, key: Any) -> None:
        if not isinstance(key, str):
            raise self._refused(event, f"the key {event.value[:40]!r}", "keys of text; quote it if it is a name")
        if key in self._open[-1]:
            raise self._refused(event, f"the key {dotted((*self._path, key))} for the second time", "each key once")
        self._key = key
        self.marks[(*self._path, key)] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _put(self, event: Any, value: Any) -> None:
        if not self._open:
            self.value = value
            return
        container = self._open[-1]
        if isinstance(container, dict):
            assert self._key is not None
            container[self._key] = value
            self._path.append(self._key)
        else:
            self._path.append(len(container))
            container.append(value)
            self.marks[tuple(self._path)] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _leave(self) -> None:
        """A value is complete: the container round it waits for its next key or item."""
        if self._path:
            self._path.pop()
        self._key = None

    def _plain(self, event: Any) -> Any:
        text = event.value
        if text in ("", "~"):
            return None
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text) or _BASED_INTEGER.fullmatch(text):
            if len(text) > MAX_DIGITS:
                raise self._refused(event, f"a number of {len(text)} digits", "shorter numbers")
            return int(text, 10) if _INTEGER.fullmatch(text) else int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _INFINITE.fullmatch(text):
            return float("-inf") if text.startswith("-") else float("inf")
        return float("nan") if _NOT_A_NUMBER.fullmatch(text) else text

    def _refused(self, event: Any, found: str, allowed: str) -> UserError:
        mark = event.start_mark
        return UserError(f"{self.source}:{mark.line + 1}:{mark.column + 1}", f"found {found}", allowed)
