"""A row of docs/benchmarks.md and how rows are written."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured, the figures, the ratio or total that counts, and what it should be."""

    what: str
    figures: str
    result: str
    wanted: str


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | figures | result | wanted |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {row.what} | {row.figures} | {row.result} | {row.wanted} |" for row in rows]) + "\n"
