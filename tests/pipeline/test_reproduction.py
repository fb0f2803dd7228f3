"""The page names the commit that gives its numbers again."""

from __future__ import annotations

import json

from .clone import Clone


def test_an_edit_after_training_is_in_the_commit_that_the_page_names(done: Clone) -> None:
    first = done.git("rev-parse", "HEAD").strip()
    done.edit("configs/Tiny.yaml", "episodes: 12", "episodes: 13")
    done.git("commit", "--quiet", "--all", "--message", "More episodes")
    second = done.git("rev-parse", "HEAD").strip()
    run = done.snakemake("results/Tiny/report.html")
    assert "train-Tiny-1" not in run.stages
    stages = {
        name: json.loads((done.path / f"results/Tiny/seed1/stages/{name}.json").read_text(encoding="utf-8"))
        for name in ("train", "select", "evaluate")
    }
    assert {name: stage["commit"] for name, stage in stages.items()} == {
        "train": first,
        "select": first,
        "evaluate": second,
    }
    page = (done.path / "results/Tiny/report.html").read_text(encoding="utf-8")
    assert f"git checkout {second}" in page
    assert "That may give other numbers" not in page
