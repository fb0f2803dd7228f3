"""Training again on purpose."""

from __future__ import annotations

import json
import shutil

from .clone import Clone
from .killing import digests

AGAIN = ["--force", "--single-item", "train-Tiny-1"]


def test_a_forced_run_says_that_it_trains_nothing_and_how_it_would(done: Clone) -> None:
    before = digests(done)
    (folder,) = (done.path / "runs").iterdir()
    line = f"already trained in runs/{folder.name}; published again; remove it to train anew"
    assert line in done.repro(*AGAIN).output
    shutil.rmtree(folder)
    assert "already trained" not in done.repro(*AGAIN).output
    assert json.loads((done.path / "results/Tiny/seed1/stages/train.json").read_text("utf-8"))["resumed"] is False
    assert digests(done) == before
