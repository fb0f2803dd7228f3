"""The page of several experiments: what it says, what it leaves out, and that a browser draws it without a request."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dexhand_env.errors import UserError
from dexhand_env.report.browser import browser_page, find_browser
from dexhand_env.stages.compare import compare
from dexhand_env.stages.report import write_report

from .synthetic import write_results
from .test_page import HOSTILE


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "results"
    for name, seeds, rate, note in (("Good", (1, 2), 0.98, ""), ("Poor", (42,), 0.9, HOSTILE)):
        write_report(write_results(folder, experiment=name, seeds=seeds, success_rate=rate, episodes=256, note=note))
    return folder


@pytest.fixture(scope="module")
def text(results: Path) -> str:
    return compare(["Good", "Poor"], results).read_text(encoding="utf-8")


def test_it_says_whether_they_differ(text: str) -> None:
    row = text[text.index('<td class="text">Good</td><td class="text">Poor</td><td>training</td>') :]
    difference = float(row.split('<td class="n">')[1].split("</td>")[0])
    assert -10.0 < difference < -5.0
    assert "episodes, of these seeds alone" in row


def test_it_shows_settings_that_differ_and_no_others(text: str) -> None:
    settings = text[text.index('id="settings"') : text.index('id="payload"')]
    assert '<th scope="row">note</th><td class="text">–</td>' in settings
    assert "gamma" not in settings


def test_a_users_text_is_escaped(text: str) -> None:
    assert HOSTILE not in text


def test_an_experiment_without_results_is_named(results: Path) -> None:
    page = compare(["Good", "Nothing"], results).read_text(encoding="utf-8")
    missing = page[page.index("<strong>Nothing</strong>: ") :][:400]
    assert (
        "Nothing/config/report.json: file is missing. <code>snakemake --cores 1 results/Nothing/report.html</code>"
        in missing
    )
    assert "There is one experiment with results" in page


def test_seeds_stand_side_by_side(text: str) -> None:
    assert text.count("<li>seed 1: ") == text.count("<li>seed 2: ") == 2  # under each physics
    assert "<li>seed 42: " not in text  # the only one is the experiment's own rate


def test_nothing_is_written_without_any_results(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "Good", tmp_path / "Good")
    (tmp_path / "Good" / "evaluation.json").unlink()
    with pytest.raises(UserError, match=r"evaluation\.json: file is missing"):
        compare(["Good"], tmp_path)
    with pytest.raises(UserError, match="experiment"):
        compare(["../Good"], tmp_path)
    assert not (tmp_path / "comparison.html").exists()


@pytest.mark.skipif(find_browser() is None, reason="no browser")
def test_a_browser_draws_it_and_asks_for_nothing(results: Path, text: str) -> None:
    path = compare(["Good", "Poor"], results)
    with browser_page() as page:
        for width in (360, 1400):
            page.requests.clear()
            page.look(width, 900, still=True)
            page.open(path.as_uri())
            page.wait_for(
                "[...document.querySelectorAll('[data-chart]')].every(p => p.querySelector('.mark-line path'))"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            outside = [request for request in page.requests if not request.startswith(("data:", "blob:"))]
            assert outside == [path.as_uri()]
            # What scrolls on its own can be scrolled by keys.
            assert page.evaluate(
                "[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0 && e.ariaLabel)"
            )
        assert page.errors == []
