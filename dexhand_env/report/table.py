"""The episode table that goes into the page: compact, failures first, bounded in size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dexhand_env.report.episodes import FIXED_COLUMNS, EpisodeTable
from dexhand_env.report.formats import label

MAX_ROWS = 4096  # about 300 KB of page; beyond it the most telling rows stay: failures, then the lowest returns
SHOWN_ROWS = 200


def episode_payload(tables: Mapping[int, EpisodeTable]) -> dict[str, Any]:
    """Columns and rows for the page's script, from each training seed's table.

    Rows stand failures first, then by rising return. ``total`` counts all episodes, ``rows`` holds at most
    :data:`MAX_ROWS` of them, ``shown`` is how many the page draws at once.
    """
    metrics = next(iter(tables.values())).metrics
    columns: list[dict[str, Any]] = [
        *([{"key": "train_seed", "label": "training seed", "choice": True}] if len(tables) > 1 else []),
        {"key": "condition", "label": "physics", "choice": True},
        {"key": "outcome", "label": "outcome", "choice": True},
        {"key": "episode", "label": "episode", "number": True},
        {"key": "seed", "label": "seed", "number": True},
        {"key": "return", "label": "return", "number": True},
        {"key": "length_steps", "label": "length (steps)", "number": True},
        *({"key": name, "label": label(name), "number": True} for name in metrics),
    ]
    rows = []
    for train_seed, table in tables.items():
        missing = [name for name in metrics if name not in table.columns]
        values = {name: table.columns[name] for name in (*FIXED_COLUMNS, *metrics) if name not in missing}
        values["train_seed"] = np.full(table.rows, str(train_seed))
        order = np.lexsort((values["return"], values["success"]))
        rows += [
            (bool(values["success"][row]), [_cell(values, column["key"], row) for column in columns]) for row in order
        ]
    returns = [column["key"] for column in columns].index("return")
    rows.sort(key=lambda row: (row[0], row[1][returns] if row[1][returns] is not None else -math.inf))
    kept = [row for _, row in rows[:MAX_ROWS]]
    return {"columns": columns, "rows": kept, "total": len(rows), "shown": SHOWN_ROWS}


def _cell(values: Mapping[str, Any], key: str, row: int) -> Any:
    if key not in values:
        return None
    value = values[key][row]
    if isinstance(value, (float, np.floating)):
        return float(f"{float(value):.4g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
