"""What can be chosen and read beside the picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dexhand_env.hand.joints import CONTROL_NAMES, CONTROL_RANGES
from dexhand_env.viewer.messages import BY_HAND, MOST_WORLDS, PLAYING, TRAINING, Controls, Frame, Setup

if TYPE_CHECKING:
    import viser

SPEEDS: dict[str, float | None] = {
    "as fast as it goes": None,
    "4 ×": 4.0,
    "1 × (real time)": 1.0,
    "0.5 ×": 0.5,
    "0.1 ×": 0.1,
}
FASTEST, REAL_TIME = "as fast as it goes", "1 × (real time)"
MEANING = {
    TRAINING: "Training. Pause and speed hold the training up; its weights stay the same.",
    PLAYING: "A trained policy plays, without noise.",
    BY_HAND: "The sliders below move the hand, no faster than its velocity limits.",
}


def plain(text: str) -> str:
    """Text for a panel that takes Markdown: every sign as it is, and paths broken where they do not fit."""
    escaped = re.sub(r"([^\w\s]|_)", r"\\\1", text)
    return re.sub(r"([/_.-])", "\\1\u200b", escaped)  # a space without width


def first_speed(mode: str) -> float | None:
    """The speed before anybody chooses one: a training is not held up, the rest is in real time."""
    return None if mode == TRAINING else 1.0


class Panel:
    """The panel, read by :meth:`controls` and written by :meth:`show`.

    Args:
        gui: viser's.
        setup: what is shown.
    """

    def __init__(self, gui: viser.GuiApi, setup: Setup) -> None:
        self._setup = setup
        self._steps = self._resets = 0
        self._last: Frame | None = None
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label(setup.title)
        gui.add_markdown(MEANING[setup.mode])
        self._status = gui.add_markdown("")
        most = min(MOST_WORLDS, setup.num_envs)
        with gui.add_folder("Time"):
            self._paused: Any = gui.add_checkbox("pause", initial_value=False)
            step = gui.add_button("one step")
            step.on_click(lambda _: self._count("_steps"))
            speed = FASTEST if setup.mode == TRAINING else REAL_TIME
            self._speed: Any = gui.add_dropdown("speed", tuple(SPEEDS), initial_value=speed)
            if setup.mode != TRAINING:
                gui.add_button("new episodes").on_click(lambda _: self._count("_resets"))
        with gui.add_folder("Worlds"):
            self._count_shown = gui.add_number("shown", initial_value=min(setup.shown, most), min=1, max=most, step=1)
            self._first = gui.add_number("first", initial_value=0, min=0, max=setup.num_envs - 1, step=1)
            self._forces = gui.add_checkbox("fingertip forces", initial_value=True)
            self._goals = gui.add_checkbox("goals and targets", initial_value=True)
        self._sliders = self._add_sliders(gui) if setup.mode == BY_HAND else []

    def _add_sliders(self, gui: viser.GuiApi) -> list[Any]:
        with gui.add_folder("Controls (m, rad)"):
            return [
                gui.add_slider(name, min=low, max=high, step=0.01, initial_value=min(max(start, low), high))
                for name, (low, high), start in zip(CONTROL_NAMES, CONTROL_RANGES, self._setup.start, strict=True)
            ]

    def _count(self, name: str) -> None:
        setattr(self, name, getattr(self, name) + 1)

    @property
    def shows_forces(self) -> bool:
        """Whether contact forces are wanted."""
        return bool(self._forces.value)

    @property
    def shows_goals(self) -> bool:
        """Whether goals and targets are wanted."""
        return bool(self._goals.value)

    @property
    def worlds(self) -> tuple[int, ...]:
        """Numbers of the worlds to draw."""
        first = int(self._first.value)
        return tuple(range(first, min(first + int(self._count_shown.value), self._setup.num_envs)))

    def controls(self) -> Controls:
        """What is chosen now."""
        return Controls(
            worlds=self.worlds,
            paused=bool(self._paused.value),
            steps=self._steps,
            speed=SPEEDS[self._speed.value],
            resets=self._resets,
            sliders=tuple(slider.value for slider in self._sliders),
        )

    def let_go(self) -> None:
        """Nobody looks any longer: hold nothing up."""
        unheld = ((self._paused, False), (self._speed, FASTEST if self._setup.mode == TRAINING else REAL_TIME))
        for handle, value in unheld:
            if handle.value != value:
                handle.value = value

    def show(self, frame: Frame) -> None:
        """Write what a frame says; called about twice a second."""
        lines = [plain(frame.note)] if frame.note else []
        if self._last is not None and frame.seconds > self._last.seconds:
            rate = (frame.steps - self._last.steps) / (frame.seconds - self._last.seconds)
            frames = rate * self._setup.num_envs
            lines.append(f"{rate:.0f} control steps/s, {frames:,.0f} frames/s in {self._setup.num_envs} worlds")
        if frame.finished:
            rate = frame.successes / frame.finished
            lines.append(f"{frame.successes:,} of {frame.finished:,} episodes in success ({rate:.1%})")
        self._last = frame
        self._status.content = "  \n".join(lines)
