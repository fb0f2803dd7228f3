"""What DVC says is stale runs under Snakemake too, whatever the times of files say, and what is not does not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from .clone import ANOTHER_USER, NOTHING, Clone, assert_up_to_date
from .conftest import REPORT

CONFIG = "configs/Tiny.yaml"
SECONDS, DAYS, LONG_AGO = 600.0, 1e6, -5e8  # from now; nothing here takes ten minutes
REPORTS = ["check-Tiny", "report-Tiny", "validate-Tiny-report"]


def date(clone: Clone, patterns: Iterable[str], seconds: float) -> None:
    """Set the times of files and folders to this many seconds from now."""
    for path in [found for pattern in patterns for found in clone.path.glob(pattern)]:
        os.utime(path, (time.time() + seconds,) * 2, follow_symlinks=False)


def episodes_of(clone: Clone) -> int:
    """How many episodes the report is about."""
    results = json.loads((clone.path / "results/Tiny/evaluation.json").read_text("utf-8"))
    return int(results["conditions"]["training"]["episodes"])


@pytest.mark.parametrize(
    ("patterns", "seconds"),
    [
        pytest.param(["results/**/*"], SECONDS, id="all outputs, by minutes"),
        pytest.param(["results/**/*"], DAYS, id="all outputs, by days", marks=pytest.mark.slow),
        pytest.param(["results/Tiny/*.*"], DAYS, id="the last stage's outputs", marks=pytest.mark.slow),
        pytest.param([".stage/*", "results/**/*"], DAYS, id="stamps and outputs"),
        pytest.param([".stage/*"], DAYS, id="stamps alone", marks=pytest.mark.slow),
        pytest.param([CONFIG], DAYS, id="the config", marks=pytest.mark.slow),
        pytest.param([CONFIG], LONG_AGO, id="the config, long ago"),
    ],
)
def test_an_edit_is_seen_whatever_the_times(done: Clone, patterns: list[str], seconds: float) -> None:
    before = (done.path / REPORT).read_bytes()
    done.edit(CONFIG, "success_goal: 0.5", "success_goal: 0.6")
    date(done, patterns, seconds)
    assert done.snakemake().stages == REPORTS
    assert (done.path / REPORT).read_bytes() != before
    assert_up_to_date(done)


def test_times_ahead_alone_start_nothing(done: Clone) -> None:
    for patterns in (["results/**/*"], ["results/Tiny/seed1/checkpoints"], [".stage/*"]):
        date(done, patterns, DAYS)
        assert_up_to_date(done)


@pytest.mark.parametrize("ahead", [["results/Tiny/seed1/e*", "results/Tiny/seed1/r*", "results/Tiny/*.*"], [REPORT]])
def test_what_dvc_made_alone_is_newer_than_a_time_ahead(done: Clone, ahead: list[str]) -> None:
    """Everything before the report was made anew by the other tool, so nothing runs before it here."""
    done.edit(CONFIG, "episodes: 12", "episodes: 13")
    done.repro("evaluate-Tiny-1", "validate-Tiny-report")
    date(done, ahead, DAYS)
    assert done.snakemake().stages == ["check-Tiny", "report-Tiny"]
    assert episodes_of(done) == 13
    assert_up_to_date(done)


def test_what_dvc_made_alone_is_seen_where_its_times_are_old(done: Clone) -> None:
    done.edit(CONFIG, "episodes: 12", "episodes: 13")
    done.repro("evaluate-Tiny-1", "validate-Tiny-report")
    date(done, ["results/Tiny/seed1/*", "results/Tiny/config/*"], LONG_AGO)
    assert done.snakemake().stages == ["check-Tiny", "report-Tiny"]
    assert episodes_of(done) == 13


def test_a_comparison_dated_ahead_is_made_again(done: Clone) -> None:
    page = "results/comparison.html"
    done.snakemake(page)
    before = (done.path / page).read_text("utf-8")
    done.edit(CONFIG, "episodes: 12", "episodes: 13")
    done.repro()
    date(done, [page], DAYS)
    done.snakemake(page)
    assert (done.path / page).read_text("utf-8") != before


def cached_times(clone: Clone) -> dict[Path, int]:
    """The times of all objects of DVC's cache."""
    return {path: path.stat().st_mtime_ns for path in (clone.path / ".dvc/cache/files").rglob("*")}


@pytest.mark.parametrize("kind", ["symlink", pytest.param("hardlink", marks=pytest.mark.slow)])
def test_links_into_the_cache_start_nothing_and_its_objects_keep_their_times(done: Clone, kind: str) -> None:
    done.dvc("config", "cache.type", kind)
    done.dvc("checkout", "--relink")
    before = cached_times(done)
    for patterns, seconds in (([], 0.0), (["results/**/*.json"], LONG_AGO), (["results/Tiny/config/*"], DAYS)):
        if kind == "symlink":
            date(done, patterns, seconds)
        assert_up_to_date(done)
        assert cached_times(done) == before
    done.edit(CONFIG, "episodes: 12", "episodes: 13")
    done.repro()
    assert_up_to_date(done)
    assert episodes_of(done) == 13


@pytest.mark.skipif(os.geteuid() != 0, reason="no root")
@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda clone: None, id="copies"),
        pytest.param(lambda clone: clone.dvc("config", "cache.type", "symlink"), id="links"),
    ],
)
def test_files_of_another_user_start_nothing(
    done: Clone, open_folder: Path, prepare: Callable[[Clone], object]
) -> None:
    """A second user works on a folder that is open to all, whose files and cached objects are root's."""
    clone = done.copy(open_folder / "clone")
    prepare(clone)
    clone.dvc("checkout", "--relink")
    before = cached_times(clone)
    date(clone, ["results/**/*.json"], LONG_AGO)
    date(clone, ["results/Tiny/seed1/best.pth"], DAYS)
    for path in [clone.trace, clone.path, *clone.path.rglob("*")]:
        if path.is_dir() and ".dvc/cache" not in str(path):
            path.chmod(0o777)
    for path in (clone.path / ".dvc/tmp").rglob("*"):
        path.chmod(0o777)
    run = clone.run(*ANOTHER_USER, f"HOME={open_folder}", "USER=other", "snakemake", "--cores", "1")
    assert (run.stages, NOTHING in run.output) == ([], True), run.output
    assert cached_times(clone) == before
