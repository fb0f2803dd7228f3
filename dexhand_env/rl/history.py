"""The learning curve as a CSV file: one row an iteration, columns as they first appear."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Dict, List, Optional

from dexhand_env.errors import UserError
from dexhand_env.files import write_text


class History:
    """Rows of a training run, on disk whenever :meth:`write` was called.

    Args:
        path: the CSV file.
        last_iteration: iteration of the checkpoint that training goes on from, 0 for a fresh run.
        earlier: the history of the run that the checkpoint lies in, whose rows up to ``last_iteration`` are kept; by
            default ``path`` itself.
    """

    def __init__(self, path: Path, last_iteration: int = 0, earlier: Optional[Path] = None) -> None:
        self._path = path
        self._has_news = False
        self._rows: List[Dict[str, str]] = []
        source = earlier or path
        if last_iteration and source.is_file():
            with source.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            try:
                self._rows = [row for row in rows if int(row["iteration"]) <= last_iteration]
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(str(source), "is no learning curve", "a history.csv as train.py writes it") from error

    def latest(self, column: str) -> float:
        """A number of the last row; 0 where there is none."""
        return float(self._rows[-1].get(column) or 0.0) if self._rows else 0.0

    def append(self, row: Dict[str, float]) -> None:
        """Add a row; numbers are written with six significant digits."""
        self._has_news = True
        self._rows.append(
            {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in row.items()}
        )

    def write(self) -> None:
        """Replace the file by all rows; nothing happens before a row was added."""
        if not self._has_news:
            return
        columns: Dict[str, None] = {}
        for row in self._rows:
            columns.update(dict.fromkeys(row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, fieldnames=list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._path, buffer.getvalue())
