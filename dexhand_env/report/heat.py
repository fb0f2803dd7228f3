"""Colours of the heat map's cells."""

from __future__ import annotations

# Cividis in six steps, dark for rare success: its lightness rises evenly for every kind of colour vision. J. R. Nuñez
# and others, "Optimizing colormaps with consideration for color vision deficiency", PLOS ONE 13 (2018).
CIVIDIS = ((0, 34, 78), (53, 69, 108), (102, 105, 112), (148, 142, 119), (200, 184, 102), (254, 232, 56))
MIDDLE = 0.179  # the luminance that has the same contrast with black as with white, by WCAG's formula


def heat_style(rate: float, lowest: float) -> str:
    """CSS of a cell for a success rate on a scale from ``lowest`` to 1: its background, and text readable on it."""
    place = (max(rate, lowest) - lowest) / (1.0 - lowest) * (len(CIVIDIS) - 1)
    step = min(int(place), len(CIVIDIS) - 2)
    colour = [low + (high - low) * (place - step) for low, high in zip(CIVIDIS[step], CIVIDIS[step + 1], strict=True)]
    text = "#000" if luminance(colour) > MIDDLE else "#fff"
    return f"background:{_css(colour)};color:{text}"


def heat_gradient() -> str:
    """CSS of the whole scale from left to right."""
    return f"linear-gradient(to right,{','.join(map(_css, CIVIDIS))})"


def luminance(colour: list[float] | tuple[int, ...]) -> float:
    """Relative luminance of red, green, blue from 0 to 255: Web Content Accessibility Guidelines 2.2."""
    shares = [part / 255.0 for part in colour]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _css(colour: list[float] | tuple[int, ...]) -> str:
    return "rgb({} {} {})".format(*map(round, colour))
