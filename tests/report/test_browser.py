"""The page in a real browser: it loads from disk without errors or requests, draws, moves, and fits its window."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dexhand_env.report.browser import Page, browser_page, find_browser, wait_until
from dexhand_env.stages.report import write_report

from .synthetic import write_results
from .test_page import HOSTILE

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no browser")

A4_PX = 718  # between margins of 1 cm, at 96 pixels an inch
MARK = "svg .mark-line path, svg .mark-area path"
CHARTS_DRAWN = f"[...document.querySelectorAll('[data-chart]')].every(plot => plot.querySelector('{MARK}'))"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page() as opened:
        yield opened


@pytest.fixture
def opened(page: Page, reported: Path) -> Page:
    """The report, freshly loaded in a window of a desktop's size, for a reader who wants nothing to move by itself."""
    page.requests.clear()
    page.errors.clear()
    page.look(1400, 900, still=True)
    page.open((reported / "report.html").as_uri())
    return page


def _picture(page: Page) -> np.ndarray:
    """The replay's part of the window above its controls, (height, width, 3)."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(page.png("#stage"))).convert("RGB"))[:-60].astype(int)


TIME_S = "Number(document.querySelector('#stage iframe').contentDocument.querySelector('[role=slider]').ariaValueNow)"


def _start_replay(page: Page, name: str) -> None:
    """Start a replay and pause it: pictures of a scene that moves take long where the graphics card is emulated."""
    page.look(640, 480, still=True)
    page.evaluate("document.querySelector('#stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    page.evaluate(f"document.querySelector('[data-scene={name}]').click()")
    page.wait_for("document.querySelector('#stage iframe').contentDocument?.querySelector('[role=slider]') != null", 60)
    _press(page, code="Space")
    wait_until(lambda: len(np.unique(_picture(page).reshape(-1, 3), axis=0)) > 200, 60, "a hand in the replay")


def _press(page: Page, **key: str) -> None:
    """Press a key in the player and let it draw."""
    event = json.dumps({**key, "cancelable": True})
    page.evaluate(
        f"document.querySelector('#stage iframe').contentWindow.dispatchEvent(new KeyboardEvent('keydown', {event}))"
    )
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_charts_have_marks_and_nothing_is_fetched_or_complained_about(opened: Page) -> None:
    opened.wait_for(CHARTS_DRAWN)
    assert opened.evaluate("document.querySelectorAll('[data-chart]').length") >= 14
    _start_replay(opened, "best")
    outside = [address for address in opened.requests if not address.startswith(("file:", "data:", "blob:"))]
    assert outside == []
    assert [address for address in opened.requests if address.startswith("file:")] == [opened.evaluate("location.href")]
    assert opened.errors == []


def test_the_replay_moves_under_the_keys_and_by_itself(opened: Page) -> None:
    _start_replay(opened, "worst")
    assert opened.evaluate("document.querySelector('[data-scene=worst]').getAttribute('aria-pressed')") == "true"
    paused, before = opened.evaluate(TIME_S), _picture(opened)
    for _ in range(6):
        _press(opened, key="," if paused > 0.6 else ".")
    assert abs(opened.evaluate(TIME_S) - paused) == pytest.approx(0.3, abs=0.01)
    wait_until(lambda: bool(np.abs(_picture(opened) - before).max() > 60), 30, "a hand that moved")
    stepped = opened.evaluate(TIME_S)
    _press(opened, code="Space")
    opened.wait_for(f"{TIME_S} !== {stepped}")


def test_the_replay_waits_until_it_is_seen(page: Page, reported: Path) -> None:
    page.look(1400, 300)
    page.open((reported / "report.html").as_uri())
    assert page.evaluate("document.querySelector('#stage iframe')") is None
    page.evaluate("document.querySelector('#stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    page.wait_for("document.querySelector('#stage iframe') !== null")


def test_a_reader_who_wants_no_motion_starts_it_by_hand(opened: Page) -> None:
    opened.evaluate("document.querySelector('#stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    opened.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert opened.evaluate("document.querySelector('#stage iframe')") is None
    opened.evaluate("document.querySelector('#start').click()")
    opened.wait_for("document.querySelector('#stage iframe') !== null")


@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_no_part_is_wider_than_the_window(page: Page, reported: Path, width: int, dark: bool) -> None:
    page.look(width, 800, dark=dark, still=True)
    page.open((reported / "report.html").as_uri())
    page.wait_for(CHARTS_DRAWN)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # What scrolls on its own may be wider inside; everything else must end within the window.
    beyond = "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, .skip, .visually-hidden')"
    beyond += ").filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    assert page.evaluate(beyond) == []


def test_the_episode_table_shows_failures_first_and_sorts_and_filters(opened: Page) -> None:
    rows = "document.querySelectorAll('#table tbody tr').length"
    column = "[...document.querySelectorAll('#table tbody tr')].map(row => row.cells[{}].textContent)"
    assert opened.evaluate(rows) == 200
    outcomes = opened.evaluate(column.format(1))
    failures = outcomes.count("timeout")
    assert failures > 0
    assert outcomes[:failures] == ["timeout"] * failures
    opened.evaluate("[...document.querySelectorAll('#table th button')].find(b => b.textContent === 'return').click()")
    returns = [float(text.replace("−", "-").replace(",", "")) for text in opened.evaluate(column.format(4))]
    assert returns == sorted(returns)
    opened.evaluate(
        "(() => { const s = document.querySelectorAll('#filters select')[0]; s.value = 'reference';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert set(opened.evaluate(column.format(0))) == {"reference"}
    assert "1,024 episodes" in opened.evaluate("document.querySelector('#count').textContent")


def test_every_control_can_be_reached_and_has_a_name(opened: Page) -> None:
    nameless = (
        "[...document.querySelectorAll('button, select, a, summary')].filter(e => e.tabIndex < 0 || !(e.textContent"
    )
    assert opened.evaluate(nameless + " || e.getAttribute('aria-label') || '').trim()).length") == 0


def test_hostile_text_runs_nothing(page: Page, tmp_path: Path) -> None:
    folder = write_results(tmp_path, episodes=64, note=HOSTILE)
    write_report(folder)
    page.requests.clear()
    page.errors.clear()
    page.look(1400, 900, still=True)
    page.open((folder / "report.html").as_uri())
    page.wait_for(CHARTS_DRAWN)
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate(
        "[...document.querySelectorAll('#table td')].some(cell => cell.textContent.includes('<img src=x'))"
    )
    assert page.errors == []
    assert len(page.requests) == 1
    page.look(360, 800, still=True)  # its names are long words
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_on_paper_colours_are_told_and_nothing_is_cut_off(page: Page, tmp_path: Path) -> None:
    folder = write_results(tmp_path, episodes=64, note="W" * 200)
    write_report(folder)
    page.look(A4_PX, 900, still=True)
    page.open((folder / "report.html").as_uri())
    page.wait_for(CHARTS_DRAWN)
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    kept = "[...document.querySelectorAll('.legend i, .track .bar, .track .dot, .mini i')].map(e => "
    assert set(page.evaluate(kept + "getComputedStyle(e).printColorAdjust)")) == {"exact"}
    right = "Math.max(...[...document.querySelectorAll('table, .plot')].map(e => e.getBoundingClientRect().right))"
    assert page.evaluate(right) <= A4_PX + 1
    page.call("Emulation.setEmulatedMedia", media="", features=[])
