"""How the page writes numbers."""

from __future__ import annotations

import math
from datetime import datetime

NBSP = "\u00a0"
EN_DASH = "\u2013"
MINUS = "\u2212"
LARGEST_WRITTEN_OUT = 1e12  # from here on by its power of ten
UNITS = {
    "m_per_s": "m/s",
    "rad_per_s": "rad/s",
    "n_m": "N m",
    "m": "m",
    "rad": "rad",
    "s": "s",
    "steps": "steps",
    "n": "N",
    "kg": "kg",
}


def percent(fraction: float) -> str:
    """A rate with one decimal; all but perfect never reads as 100 %, all but hopeless never as 0 %."""
    tenths = round(fraction * 1000.0)
    tenths = min(tenths, 999) if fraction < 1.0 else tenths
    tenths = max(tenths, 1) if fraction > 0.0 else tenths
    return _tenths(tenths)


def percent_interval(interval: tuple[float, float] | list[float]) -> str:
    """Bounds rounded outward, so that a bound just short of a goal never reads as having reached it."""
    low = math.floor(interval[0] * 1000.0 + 1e-9)
    high = math.ceil(interval[1] * 1000.0 - 1e-9)
    return f"{_tenths(low).removesuffix(NBSP + '%')}{EN_DASH}{_tenths(high)}"


def points(fraction: float) -> str:
    """A difference of rates in percentage points."""
    return f"{100.0 * fraction:.1f}".removesuffix(".0").replace("-", MINUS)


def _tenths(tenths: int) -> str:
    text = f"{tenths / 10:.1f}".removesuffix(".0")
    return f"{text}{NBSP}%"


def integer(value: float) -> str:
    """Thousands apart: 409,600."""
    return f"{value:,.0f}".replace("-", MINUS)


def number(value: float | None) -> str:
    """Four significant digits, a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return EN_DASH
    text = f"{value:,.0f}" if 10_000 <= abs(value) < LARGEST_WRITTEN_OUT else f"{value:.4g}"
    return text.replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """Seconds in the unit that a person would use."""
    if seconds is None:
        return EN_DASH
    if seconds < 60:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest:02d}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes:02d}{NBSP}min"


def size(count: float | None) -> str:
    """Bytes in binary units."""
    if count is None:
        return EN_DASH
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f}{NBSP}{unit}"
        count /= 1024
    return f"{count:.1f}{NBSP}GiB"


def moment(started: str) -> str:
    """An ISO time as '2026-11-23 05:16 UTC'; anything else as it stands."""
    try:
        return datetime.fromisoformat(started).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return started


def label(name: str) -> str:
    """A column's name for a reader, its unit in brackets: ``position_error_m`` -> 'position error (m)'."""
    unit = next((unit for unit in UNITS if name.endswith("_" + unit) and len(name) > len(unit) + 1), None)
    stem = name if unit is None else name[: -len(unit) - 1]
    return stem.replace("_", " ") + ("" if unit is None else f" ({UNITS[unit]})")
