"""Why a stage has to run, in words: how what is here differs from the run that dvc.lock remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional

MOST = 3
INPUTS_ARE_NEW = "what it reads is made anew"
Stage = dict[str, Any]


def differences(
    stage: Stage,
    params: Mapping[str, Any],
    sources: Mapping[str, Optional[str]],
    sizes: Mapping[str, Optional[int]],
    entry: Optional[Stage],
) -> list[str]:
    """What differs; nothing does where the outputs on disk come from this command, these sources and parameters.

    As DVC does it, what dvc.lock holds beyond the stage's own lists counts for nothing.

    Args:
        stage: the stage in dvc.yaml.
        params: the values of its parameters, by file.
        sources: hashes of the sources that are its own; None for a file that is not there.
        sizes: bytes of its outputs; None for what is not there.
        entry: the stage in dvc.lock; None where it has not run.
    """
    if entry is None:
        return ["it has not run here"]
    found = [] if entry["cmd"] == stage["cmd"] else ["its command changed"]
    for file, keys in (item for listed in stage.get("params", []) for item in listed.items()):
        recorded = entry.get("params", {}).get(file, {})
        before = recorded if keys is None else {key: recorded[key] for key in keys if key in recorded}
        found += [f"{file}: {words}" for words in _changes(before, params[file], "")]
    before = {item["path"]: item.get("md5") for item in entry.get("deps", [])}
    found += [f"{path} changed" for path, value in sources.items() if before.get(path) != value]
    written = {item["path"]: item.get("size") for item in entry.get("outs", [])}
    found += [f"{path} is missing" for path, size in sizes.items() if size is None]
    found += [f"{path} changed" for path, size in sizes.items() if size is not None and written.get(path) != size]
    return found


def explain(reasons: Mapping[str, list[str]], *patterns: str) -> Callable[[Any], str]:
    """An input function for Snakemake: the reasons of the stages that ``patterns`` name with a job's wildcards."""

    def words(wildcards: Any) -> str:
        names = [pattern.format(**dict(wildcards.items())) for pattern in patterns]
        found = list(dict.fromkeys(reason for name in names for reason in reasons.get(name, [])))
        rest = len(found) - MOST
        # Braces would be taken for more wildcards.
        text = "; ".join([*found[:MOST], *([f"and {rest} more"] if rest > 0 else [])]) or INPUTS_ARE_NEW
        return text.replace("{", "(").replace("}", ")")

    return words


def _changes(before: Any, now: Any, key: str) -> list[str]:
    """How two values differ, each key on its own."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(name for name in now if name not in before)]
        return [
            words
            for name in keys
            for words in _changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
        ]
    return [f"{key} is {_short(now)}, was {_short(before)}"]


def _short(value: Any) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
