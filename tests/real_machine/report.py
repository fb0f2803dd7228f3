"""Writes what a run on a machine with Isaac Gym found into one file; a plugin of pytest.

python -m pytest -p tests.real_machine.report ...
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dexhand_env.files import write_text
from dexhand_env.stages.record import machine

FILE = Path("isaac_gym_report.json")
_RESULTS: dict[str, dict[str, Any]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how a test ended, why, and what it recorded."""
    if report.when != "call" and report.outcome == "passed":
        return
    result: dict[str, Any] = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        result["reason"] = report.longrepr[2]
    elif report.outcome == "failed":
        result["reason"] = str(report.longrepr)[-4000:]
    result.update(dict(report.user_properties))
    _RESULTS[report.nodeid] = result


def pytest_sessionfinish() -> None:
    """Write the file."""
    counts = Counter(result["outcome"] for result in _RESULTS.values())
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    report = {"made": made, "machine": machine(), "counts": dict(counts), "tests": _RESULTS}
    write_text(FILE, json.dumps(report, indent=2, sort_keys=True) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where it is."""
    terminalreporter.write_line(f"report: {FILE.resolve()}")
