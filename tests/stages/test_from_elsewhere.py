"""What another experiment, seed or checkpoint left in a seed's folder is not taken for its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import load_checkpoint, save_checkpoint
from dexhand_env.stages.evaluate import evaluate

from .pipeline import FOLDER, NAME, SEED, digests, inside


def edit_selection(mine: Path, **changes: Any) -> None:
    path = mine / FOLDER / "selection.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def edit_best(mine: Path, **changes: Any) -> None:
    best = mine / FOLDER / "best.pth"
    save_checkpoint(best, {**load_checkpoint(best), **changes})


def put_another_checkpoint(mine: Path) -> None:
    """In the place of the chosen one."""
    best = mine / FOLDER / "best.pth"
    other = {1: 2, 2: 1}[load_checkpoint(best)["iteration"]]
    shutil.copy(mine / FOLDER / "checkpoints" / f"checkpoint_{other}.pth", best)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mine: edit_selection(mine, experiment="Other"), rf"selection\.json: is of Other seed {SEED}; allowed"),
        (lambda mine: edit_selection(mine, seed=7), rf"selection\.json: is of {NAME} seed 7; allowed"),
        (lambda mine: edit_selection(mine, chosen="gone.pth"), r"selection\.json: is damaged"),
        (lambda mine: edit_selection(mine, candidates=[]), r"selection\.json: is damaged"),
        (lambda mine: edit_selection(mine, candidates=3), r"selection\.json: is damaged"),
        (lambda mine: edit_best(mine, seed=7), rf"best\.pth: is iteration \d of seed 7; allowed: .* of seed {SEED}"),
        (
            put_another_checkpoint,
            rf"best\.pth: is iteration \d of seed {SEED}; allowed: iteration \d of seed {SEED}, which selection\.json",
        ),
    ],
    ids=["experiment", "seed", "chosen", "candidates", "none", "another seed's", "another checkpoint"],
)
def test_what_came_from_elsewhere_is_not_evaluated(mine: Path, change: Any, message: str) -> None:
    change(mine)
    before = digests(mine)
    with inside(mine), pytest.raises(UserError, match=message) as caught:
        evaluate(NAME, SEED)
    assert "\n" not in str(caught.value)
    assert digests(mine) == before
