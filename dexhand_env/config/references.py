"""References between keys: ``${section.key}`` stands for the value of another key of the same document.

Only values of the document can be named, never the environment or the clock, so a configuration is the same everywhere.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from dexhand_env.config.layers import KeyPath, Stack, contains, value_at
from dexhand_env.errors import UserError

MAX_TEXT = 10_000
MAX_CHAIN = 16
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_ALLOWED = "${section.key}, the path of a value in the same document"


def resolve(values: Dict[str, Any], stack: Stack) -> Dict[str, Any]:
    """``values`` (the stack, merged) with every reference replaced by what it names.

    A value that is one reference takes the named value's type; a reference within text is put in as text.

    Raises:
        UserError: a reference that names nothing, a section, or itself.
    """
    resolver = _Resolver(values, stack)
    resolved = resolver.value(values, (), ())
    assert isinstance(resolved, dict)
    return resolved


class _Resolver:
    def __init__(self, document: Dict[str, Any], stack: Stack) -> None:
        self._document = document
        self._stack = stack
        self._resolved: Dict[KeyPath, Any] = {}

    def value(self, value: Any, path: KeyPath, visiting: Tuple[KeyPath, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key), visiting) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*path, index), visiting) for index, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path, visiting)
        return value

    def _text(self, text: str, path: KeyPath, visiting: Tuple[KeyPath, ...]) -> Any:
        whole = _REFERENCE.fullmatch(text)
        if whole:
            return self._named(whole.group(1), path, visiting)
        parts: List[str] = []
        end = 0
        for match in _REFERENCE.finditer(text):
            named = self._named(match.group(1), path, visiting)
            if isinstance(named, list):
                raise UserError(self._stack.where(path), f"{match.group(0)[:60]} is a list inside text", _ALLOWED)
            parts += [text[end : match.start()], str(named)]
            end = match.end()
        joined = "".join(parts) + text[end:]
        if "${" in joined or len(joined) > MAX_TEXT:
            raise UserError(self._stack.where(path), f"found {text[:60]!r}", _ALLOWED)
        return joined

    def _named(self, name: str, path: KeyPath, visiting: Tuple[KeyPath, ...]) -> Any:
        target: KeyPath = tuple(int(part) if part.isdecimal() else part for part in name.strip().split("."))
        if not contains(self._document, target):
            raise UserError(self._stack.where(path), f"${{{name[:60]}}} names no value", _ALLOWED)
        if target in visiting or target == path:
            raise UserError(self._stack.where(path), f"${{{name[:60]}}} refers to itself", _ALLOWED)
        if len(visiting) >= MAX_CHAIN:
            raise UserError(self._stack.where(path), f"a chain of more than {MAX_CHAIN} references", _ALLOWED)
        if target not in self._resolved:
            self._resolved[target] = self._flat(name, target, path, visiting)
        return self._resolved[target]

    def _flat(self, name: str, target: KeyPath, path: KeyPath, visiting: Tuple[KeyPath, ...]) -> Any:
        """The resolved value at ``target``; only flat values can be named, so nothing can grow without bound."""
        value = value_at(self._document, target)
        nested = isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)
        if isinstance(value, dict) or nested:
            raise UserError(self._stack.where(path), f"${{{name[:60]}}} names a section", _ALLOWED)
        resolved = self.value(value, target, (*visiting, target))
        if isinstance(resolved, list) and any(isinstance(item, list) for item in resolved):
            raise UserError(self._stack.where(path), f"${{{name[:60]}}} names nested lists", _ALLOWED)
        return resolved
