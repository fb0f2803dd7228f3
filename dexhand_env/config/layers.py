"""Values that know which file and line they came from, and how layers of them merge.

A *layer* is one file, or one section of it, or a set of options from the command line. Layers are stacked, lowest
first: mappings merge key by key, everything else (lists too) is replaced by the higher layer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

KeyPath = Tuple[Union[str, int], ...]


def dotted(path: Sequence[Union[str, int]]) -> str:
    """A key's path as text: ``("params", "mlp", "units", 0)`` -> ``params.mlp.units[0]``; long keys are cut."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() and len(part) <= 40 else f"{part[:40]!r}..."
            text += f".{name}" if text else name
    return text


def shown_path(path: Union[str, os.PathLike[str]]) -> str:
    """A file's name as errors show it: relative to the working directory where the file lies below it."""
    resolved = Path(path).resolve()
    try:
        return str(resolved.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Dict[str, Any]:
    """A new mapping: ``upper`` over ``lower``, nested mappings merged, lists and scalars replaced."""
    merged: Dict[str, Any] = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def contains(values: Any, path: KeyPath) -> bool:
    """Whether ``path`` leads to something in nested mappings and lists."""
    for part in path:
        in_mapping = isinstance(values, Mapping) and part in values
        in_list = isinstance(values, (list, tuple)) and isinstance(part, int) and part < len(values)
        if not (in_mapping or in_list):
            return False
        values = values[part]
    return True


def value_at(values: Any, path: KeyPath) -> Any:
    """What lies at ``path``.

    Raises:
        KeyError, IndexError: where nothing does.
    """
    for part in path:
        values = values[part]
    return values


@dataclass(frozen=True)
class Layer:
    """Values and where they came from.

    Args:
        source: the file or option, as errors name it.
        values: the (nested) mapping.
        marks: key path -> (line, column), both from 1; may be incomplete or empty.
        prefix: where in the source's own document these values sit; shown in errors.
    """

    source: str
    values: Mapping[str, Any]
    marks: Mapping[KeyPath, Tuple[int, int]] = field(default_factory=dict)
    prefix: KeyPath = ()

    def section(self, *path: str) -> Layer:
        """The layer of the mapping at ``path``; an empty one where the path is absent."""
        values: Any = value_at(self.values, path) if contains(self.values, path) else {}
        marks = {key[len(path) :]: mark for key, mark in self.marks.items() if key[: len(path)] == path}
        return Layer(self.source, values if isinstance(values, Mapping) else {}, marks, self.prefix + path)

    def where(self, path: KeyPath) -> str:
        """``file:line:column: dotted.key`` as far as known."""
        mark = self.marks.get(path)
        place = self.source if mark is None else f"{self.source}:{mark[0]}:{mark[1]}"
        key = dotted(self.prefix + path)
        return f"{place}: {key}" if key else place


@dataclass(frozen=True)
class Stack:
    """Layers, lowest first.

    Args:
        layers: what belongs to one configuration: its file and what overrides it.
        defaults: below them all and shared with other configurations, so an absent key is never missing from there.
    """

    layers: Sequence[Layer]
    defaults: Optional[Layer] = None

    def merged(self) -> Dict[str, Any]:
        """The values of all layers, merged; references (``${...}``) still unresolved."""
        values: Dict[str, Any] = {}
        for layer in self._all():
            values = merge(values, layer.values)
        return values

    def _all(self) -> List[Layer]:
        return list(self.layers) if self.defaults is None else [self.defaults, *self.layers]

    def where(self, path: KeyPath) -> str:
        """Which layer decided the value at ``path``, as :meth:`Layer.where` puts it.

        For an absent key this is the lowest layer that has the mapping it is missing from.
        """
        for layer in reversed(self._all()):
            if contains(layer.values, path):
                return layer.where(path)
        for length in range(len(path) - 1, -1, -1):
            for layer in self.layers:
                if contains(layer.values, path[:length]):
                    mark = layer.marks.get(path[:length])
                    return Layer(layer.source, {}, {path: mark} if mark else {}, layer.prefix).where(path)
        raise AssertionError("the empty path is in every layer")  # pragma: no cover


def differences(default: Mapping[str, Any], values: Mapping[str, Any], prefix: str) -> List[Dict[str, Any]]:
    """The leaves (lists are leaves) in which ``values`` differs from ``default``, sorted by key.

    Returns:
        ``[{"key": "<prefix>.a.b", "default": ..., "value": ...}]``; an absent leaf counts as None.
    """
    found: List[Dict[str, Any]] = []
    for key in sorted(set(default) | set(values)):
        below, above = default.get(key), values.get(key)
        name = f"{prefix}.{key}"
        if isinstance(below, Mapping) or isinstance(above, Mapping):
            found += differences(
                below if isinstance(below, Mapping) else {}, above if isinstance(above, Mapping) else {}, name
            )
        elif below != above:
            found.append({"key": name, "default": below, "value": above})
    return found
