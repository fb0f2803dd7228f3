"""What the panel makes of text."""

from __future__ import annotations

import pytest

from dexhand_env.viewer.panel import plain


@pytest.mark.parametrize("text", ["/runs/Base_Task-1/nn/best.pth, iteration 3", "*<b>[x](y)</b>*; `z` # | ~ _a_"])
def test_text_is_shown_as_it_is_and_long_paths_can_be_broken(text: str) -> None:
    shown = plain(text)
    assert shown.replace("\\", "").replace("\u200b", "") == text
    assert all(shown[place - 1] == "\\" for place, sign in enumerate(shown) if sign in "*_<>[]()`#|~/-.")
    assert max(len(part) for part in shown.replace(" ", "\u200b").split("\u200b")) <= 24
