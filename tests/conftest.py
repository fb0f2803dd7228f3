"""A skipped test is a failed one, unless this machine is known to lack what it needs."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# Before torch, as Isaac Gym asks of everybody.
sys.path.insert(0, str(Path(__file__).parent / "stand_in"))
import isaacgym  # noqa: F401

EXPECTED_SKIPS = (
    "no browser",
    "no CUDA",
    "no OpenGL",
    "no Warp",
    "no Python 3.8",
    "no root",
    "no ssh server",
    "no two GPUs",
    "PhysX",
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the pipeline's tests of one file on one worker, and begin with them, for they are the longest."""
    pipeline = [item for item in items if "tests/pipeline" in item.path.as_posix()]
    for item in pipeline:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items[:] = pipeline + [item for item in items if item not in pipeline]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an unexpected skip into a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_unless_expected(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    report = yield
    if report.skipped:
        _fail_unless_expected(report)
    return report


def _fail_unless_expected(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(EXPECTED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped: {reason!r}; only these reasons are expected: {', '.join(EXPECTED_SKIPS)}"
