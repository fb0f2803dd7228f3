"""Curves that grow: success and the terms of the reward, over iterations of a training or seconds of play."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from dexhand_env.viewer.messages import TRAINING, Frame

if TYPE_CHECKING:
    import viser

POINTS = 300
COLOURS = ("#3b82f6", "#e8710a", "#12a37f", "#c2528b", "#a58b00", "#7c6cf0", "#d64545", "#00a3c7", "#7a9a1f", "#8a8f98")
REWARD = "reward/"
PADDING_PX = (16, 12, 0, 0)  # top, right, bottom, left: the numbers at an axis' ends would be cut through


class Chart:
    """The last :data:`POINTS` points of some lines in one chart.

    Args:
        gui: where it is put.
        title: above it.
        horizontal: what the x axis counts.
        scales: uPlot's.
    """

    def __init__(self, gui: viser.GuiApi, title: str, horizontal: str, scales: dict[str, Any] | None = None) -> None:
        self._gui = gui
        self._title = title
        self._horizontal = horizontal
        self._scales: dict[str, Any] = {"x": {"time": False}, **(scales or {})}
        self._points: deque[tuple[float, dict[str, float]]] = deque(maxlen=POINTS)
        self._node: Any = None
        self._lines: tuple[str, ...] = ()
        # viser keeps the order in which things were added, and the chart comes when its lines are known.
        self._folder = gui.add_folder(title)

    def add(self, x: float, values: dict[str, float]) -> None:
        """One more point of each line."""
        if values:
            self._points.append((x, values))

    def draw(self) -> None:
        """Send what has been added."""
        if not self._points:
            return
        lines = tuple(self._points[-1][1])
        data = (
            np.array([x for x, _ in self._points]),
            *(np.array([values.get(line, np.nan) for _, values in self._points]) for line in lines),
        )
        if self._node is not None and lines == self._lines:
            self._node.data = data
            return
        if self._node is not None:
            self._node.remove()
        self._lines = lines
        series: list[Any] = [{"label": self._horizontal}]
        for index, line in enumerate(lines):
            series.append({"label": line, "stroke": COLOURS[index % len(COLOURS)], "width": 2})
        with self._folder:
            self._node = self._gui.add_uplot(
                data, tuple(series), scales=self._scales, legend={"show": True}, padding=PADDING_PX, aspect=1.6
            )


class Curves:
    """Success above, reward terms below.

    Args:
        gui: where they are put.
        mode: ``TRAINING`` draws the history's rows, any other mode what the frames say.
        control_dt_s: control period.
    """

    def __init__(self, gui: viser.GuiApi, mode: str, control_dt_s: float) -> None:
        self._training = mode == TRAINING
        self._control_dt_s = control_dt_s
        self._last_seconds = 0.0
        horizontal = "iteration" if self._training else "seconds"
        self._success = Chart(gui, "Success rate", horizontal, {"y": {"range": (0.0, 1.0)}})
        # A step that ends an episode can be worth hundreds of others, which a mean over iterations evens out.
        scales = {} if self._training else {"y": {"distr": 4, "asinh": 0.1}}
        self._terms = Chart(gui, "Reward terms, weighted", horizontal, scales)

    def add(self, frame: Frame) -> None:
        """Take in what a frame brings."""
        if self._training:
            for row in frame.rows:
                rate = {"success_rate": row["success_rate"]} if "success_rate" in row else {}
                self._success.add(row["iteration"], rate)
                terms = {name[len(REWARD) :]: value for name, value in row.items() if name.startswith(REWARD)}
                self._terms.add(row["iteration"], terms)
            return
        seconds = frame.steps * self._control_dt_s
        if seconds == self._last_seconds:  # the same state again
            return
        self._last_seconds = seconds
        self._terms.add(seconds, dict(zip(frame.terms, frame.rewards.mean(axis=1).tolist(), strict=True)))
        if frame.finished:
            self._success.add(seconds, {"success_rate": frame.successes / frame.finished})

    def draw(self) -> None:
        """Send what has been added."""
        self._success.draw()
        self._terms.draw()
