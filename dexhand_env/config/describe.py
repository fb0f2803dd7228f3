"""Tables of every key, for the documentation: rendered from the schemas, so that they cannot drift from them.

    python -m dexhand_env.config.describe docs/configuration.md docs/dexgrasp.md configs/README.md

rewrites, in each file, what stands between ``<!-- table NAME -->`` and ``<!-- end of table -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple, Type

from pydantic import BaseModel

from dexhand_env.config.allowed import field_type, in_words, is_model, keys_of
from dexhand_env.config.base_task import BaseTaskConfig
from dexhand_env.config.dex_grasp import DexGraspConfig
from dexhand_env.config.experiment import ExperimentFile
from dexhand_env.config.layers import contains, value_at
from dexhand_env.config.network import Initializer
from dexhand_env.config.physics import Physics, physics_presets
from dexhand_env.config.ppo import CentralValue, PPOFile, load_ppo, train_file
from dexhand_env.config.registry import default_task
from dexhand_env.config.task import COMMON_OBSERVATIONS, TaskConfig
from dexhand_env.files import write_text

_TABLE = re.compile(r"(<!-- table (\w+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)
# Sections that come up more than once, or seldom, have a table of their own.
_OWN_TABLES: Mapping[Any, str] = {Initializer: "an initializer", CentralValue: "a central value"}

Row = Tuple[str, ...]


def keys_table(model: Type[BaseModel], defaults: Mapping[str, Any]) -> str:
    """A Markdown table of a schema's keys, depth first: key, what is allowed, default, meaning."""
    return _markdown(("key", "allowed", "default", "meaning"), _rows(model, defaults, ()))


def _rows(model: Type[BaseModel], defaults: Mapping[str, Any], path: Tuple[str, ...]) -> List[Row]:
    rows: List[Row] = []
    for name, info in keys_of(model).items():
        here = (*path, name)
        annotation, constraints = field_type(info)
        if is_model(annotation) and annotation not in _OWN_TABLES:
            rows += _rows(annotation, defaults, here)
            continue
        default = _default(value_at(defaults, here)) if contains(defaults, here) else ""
        if not default and not info.is_required():
            default = "(left out)"
        allowed = _OWN_TABLES.get(annotation) or in_words(annotation, constraints)
        rows.append((f"`{'.'.join(here)}`", allowed, default, info.description or ""))
    return rows


def _default(value: Any) -> str:
    if isinstance(value, dict):
        return "" if "name" not in value else ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        alike = len(value) > 3 and len(set(value)) == 1
        return f"{len(value)} x {value[0]}" if alike else f"[{', '.join(str(item) for item in value)}]"
    return str(value)


def _markdown(head: Row, rows: Sequence[Row]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in cells)


def _own_keys(model: Type[TaskConfig], task: str) -> str:
    """The keys that a task has beyond those of every task."""
    rows = _rows(model, default_task(task), ())
    own = [row for row in rows if re.split(r"[`.]", row[0])[1] not in TaskConfig.model_fields]
    return _markdown(("key", "allowed", "default", "meaning"), own)


def _observations(model: Type[TaskConfig], task: str, common: bool = True) -> str:
    rows = []
    for key, (meaning, length) in (model.OBSERVATION_KEYS or {}).items():
        if key in COMMON_OBSERVATIONS and not common:
            continue
        tasks = "every task" if key in COMMON_OBSERVATIONS else task
        rows.append((f"`{key}`", "number of actions" if length is None else str(length), tasks, meaning))
    return _markdown(("key", "values", "in", "meaning"), rows)


def _rewards(model: Type[TaskConfig], task: str) -> str:
    weights = default_task(task)["rewards"]
    names = model.REWARD_NAMES or {}
    rows = [(f"`{name}`", str(weights[name]), meaning) for name, meaning in names.items()]
    return _markdown(("term", "default weight", "meaning of the unweighted term"), rows)


def _presets() -> str:
    presets = list(physics_presets().values())
    meanings = {row[0]: row[-1] for row in _rows(Physics, {}, ()) if row[0] != "`name`"}
    rows = []
    for key, meaning in meanings.items():
        path = tuple(key.strip("`").split("."))
        rows.append((key, *(str(value_at(preset.dump(), path)) for preset in presets), meaning))
    return _markdown(("key", *(f"`{preset.name}`" for preset in presets), "meaning"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "task": lambda: keys_table(BaseTaskConfig, default_task("BaseTask")),
    "observations": lambda: _observations(BaseTaskConfig, "BaseTask"),
    "rewards": lambda: _rewards(BaseTaskConfig, "BaseTask"),
    "dexgrasp": lambda: _own_keys(DexGraspConfig, "DexGrasp"),
    "dexgrasp_observations": lambda: _observations(DexGraspConfig, "DexGrasp", common=False),
    "dexgrasp_rewards": lambda: _rewards(DexGraspConfig, "DexGrasp"),
    "physics": _presets,
    "ppo": lambda: keys_table(PPOFile, {"params": load_ppo(train_file("BaseTask")).dump()}),
    "initializer": lambda: keys_table(Initializer, {}),
    "central_value": lambda: keys_table(CentralValue, {}),
    "experiment": lambda: keys_table(ExperimentFile, {}),
}


def render(text: str) -> str:
    """``text`` with every marked table rendered anew.

    Raises:
        KeyError: a marker that names no table.
    """
    made: Dict[str, str] = {}

    def table(match: re.Match[str]) -> str:
        name = match.group(2)
        made[name] = made.get(name) or TABLES[name]()
        return f"{match.group(1)}\n{made[name]}\n{match.group(4)}"

    return _TABLE.sub(table, text)


def main(files: List[str]) -> int:
    """Rewrite the tables of the files."""
    for name in files:
        path = Path(name)
        write_text(path, render(path.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
