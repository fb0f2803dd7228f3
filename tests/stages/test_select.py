from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.errors import UserError
from dexhand_env.stages.select import choose, select

from .pipeline import FOLDER, NAME, SEED, inside

candidates = st.lists(
    st.fixed_dictionaries(
        {
            "success_rate": st.sampled_from([0.0, 0.5, 1.0]),
            "mean_return": st.sampled_from([-3.0, -1.0, 2.0]),
            "iteration": st.integers(1, 5),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(candidates)
def test_success_then_return_then_the_earliest(found: list[dict[str, Any]]) -> None:
    best = choose(found)
    assert best in found
    for other in found:
        if other["success_rate"] != best["success_rate"]:
            assert other["success_rate"] < best["success_rate"]
        elif other["mean_return"] != best["mean_return"]:
            assert other["mean_return"] < best["mean_return"]
        else:
            assert other["iteration"] >= best["iteration"]


@pytest.mark.parametrize("made", [False, True], ids=["missing", "empty"])
def test_without_checkpoints_nothing_is_written(mine: Path, made: bool) -> None:
    for path in (mine / FOLDER / "checkpoints").iterdir():
        path.unlink()
    if not made:
        (mine / FOLDER / "checkpoints").rmdir()
    for name in ("selection.json", "best.pth", "stages/select.json"):
        (mine / FOLDER / name).unlink()
    with inside(mine), pytest.raises(UserError, match="checkpoints: holds no checkpoint"):
        select(NAME, SEED)
    for name in ("selection.json", "best.pth", "stages/select.json"):
        assert not (mine / FOLDER / name).exists()


def test_a_damaged_checkpoint_is_refused_and_the_old_choice_stays(mine: Path) -> None:
    before = (mine / FOLDER / "selection.json").read_bytes(), (mine / FOLDER / "best.pth").read_bytes()
    path = mine / FOLDER / "checkpoints" / "checkpoint_2.pth"
    path.write_bytes(path.read_bytes()[:1000])
    with inside(mine), pytest.raises(UserError, match=r"checkpoint_2\.pth: cannot be read as weights"):
        select(NAME, SEED)
    assert ((mine / FOLDER / "selection.json").read_bytes(), (mine / FOLDER / "best.pth").read_bytes()) == before
