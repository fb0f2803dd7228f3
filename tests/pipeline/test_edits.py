"""What runs after an edit, under either tool, and that undoing the edit under the other runs nothing."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from .clone import TOOLS, Clone, assert_up_to_date, jobs, other

CHECKS = ["validate-Tiny-report"]
RETESTS = ["evaluate-Tiny-1", "report-Tiny"]  # with the same result, which is not checked again
TESTS = [*RETESTS, "check-Tiny"]


class Edit(NamedTuple):
    """A piece of text in a file, what takes its place, and the stages that have to run."""

    file: str
    old: str
    new: str
    stages: list[str]


CONFIG = "configs/Tiny.yaml"
CHANGED = "# changed\nfrom __future__"
EDITS = {
    "report settings": Edit(CONFIG, "success_goal: 0.5", "success_goal: 0.6", [*CHECKS, "report-Tiny", "check-Tiny"]),
    "evaluation settings": Edit(CONFIG, "episodes: 12", "episodes: 13", [*CHECKS, "validate-Tiny-evaluation", *TESTS]),
    "selection settings": Edit(
        CONFIG, "episodes: 8", "episodes: 9", [*CHECKS, "validate-Tiny-selection", "select-Tiny-1", *TESTS]
    ),
    "training settings": Edit(
        CONFIG,
        "num_envs: 16",
        "num_envs: 32",
        [*CHECKS, "validate-Tiny-train", "train-Tiny-1", "select-Tiny-1", *TESTS],
    ),
    "report code": Edit("dexhand_env/report/page.py", "from __future__", CHANGED, ["report-Tiny"]),
    "evaluation code": Edit("dexhand_env/stages/evaluate.py", "from __future__", CHANGED, RETESTS),
    # The same policy comes out, so it is neither chosen nor tested again.
    "training code": Edit("dexhand_env/rl/agent.py", "from __future__", CHANGED, ["report-Tiny", "train-Tiny-1"]),
}


# Each is undone under the other tool, so that one of the two already takes both.
ALSO_SLOW = (
    ("selection settings", "dvc"),
    ("report settings", "snakemake"),
    ("report code", "dvc"),
    ("training code", "dvc"),
)


def reason(edit: Edit) -> str:
    """Why Snakemake says that a job runs."""
    if edit.file != CONFIG:
        return f"({edit.file} changed)"
    (key, old), new = edit.old.split(": "), edit.new.split(": ")[1]
    return f"{key} is {new}, was {old}"


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        pytest.param(name, tool, marks=[pytest.mark.slow] * (name == "evaluation code" or (name, tool) in ALSO_SLOW))
        for name in EDITS
        for tool in TOOLS
    ],
)
def test_an_edit_runs_the_stages_that_use_it_and_its_undo_none(done: Clone, name: str, tool: str) -> None:
    edit, before = EDITS[name], done.contents()
    done.edit(edit.file, edit.old, edit.new)
    run = done.everything(tool)
    assert run.stages == sorted(edit.stages)
    if tool == "snakemake":
        # Where the same policy comes out, jobs after the training find that nothing is new. The report's job checks.
        own = [stage for stage in edit.stages if stage != "check-Tiny"]
        assert len(jobs(run)) == len(own) + 2 * (name == "training code")
        assert any(reason(edit) in job for job in jobs(run))
    assert_up_to_date(done)
    changed = {file for file, content in done.contents().items() if content != before[file]}
    assert ("results/Tiny/seed1/best.pth" in changed) == (name == "training settings")
    done.edit(edit.file, edit.new, edit.old)
    back = done.everything(other(tool))
    assert back.stages == []
    assert "is cached - skipping run, checking out outputs" in back.output
    assert done.contents() == before


def test_the_new_number_of_episodes_is_what_is_tested(done: Clone) -> None:
    done.edit(CONFIG, "episodes: 12", "episodes: 13")
    done.snakemake()
    evaluation = json.loads((done.path / "results/Tiny/evaluation.json").read_text())
    assert evaluation["conditions"]["training"]["episodes"] == 13
