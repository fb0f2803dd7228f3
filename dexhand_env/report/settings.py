"""The experiment's settings as a tree that marks what departs from the defaults."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One key: a branch has ``children``, a leaf its ``value`` as text; ``changed`` also holds for the parents."""

    key: str
    value: str
    children: list[Setting]
    changed: bool


def settings_tree(config: Mapping[str, Any], changed_keys: Collection[str], prefix: str = "") -> list[Setting]:
    """``config`` as settings; ``changed_keys`` are dotted, like ``train.params.config.gamma``."""
    settings = []
    for key, value in config.items():
        path = f"{prefix}{key}"
        changed = path in changed_keys or any(other.startswith(path + ".") for other in changed_keys)
        if isinstance(value, Mapping) and value:
            settings.append(Setting(str(key), "", settings_tree(value, changed_keys, path + "."), changed))
        else:
            settings.append(Setting(str(key), value_text(value), [], changed))
    return settings


def value_text(value: Any) -> str:
    """A setting's value as it would stand in the YAML file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
