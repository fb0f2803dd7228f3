"""The pipeline end to end, by both tools, on a tiny experiment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow.stamps import SNAKEMAKE_TIMESTAMP

from .clone import Clone, Run, jobs
from .conftest import REPORT

UP_TO_DATE = "Data and pipelines are up to date."
NOTHING = "Nothing to be done"


def contents(root: Path) -> dict[Path, bytes]:
    """The results and dvc.yaml."""
    results = (path for path in (root / "results").rglob("*") if path.is_file() and path.name != SNAKEMAKE_TIMESTAMP)
    return {path: path.read_bytes() for path in (root / "dvc.yaml", *results)}


def assert_up_to_date(clone: Clone) -> None:
    """Neither tool finds anything to do, and the working tree is clean but for the edits and dvc.lock."""
    assert UP_TO_DATE in clone.dvc("status").output
    assert clone.repro().stages == []
    run = clone.snakemake()
    assert (NOTHING in run.output, run.stages) == (True, []), run.output


def test_the_first_run_makes_everything_and_leaves_nothing_to_do(
    first_run: tuple[Clone, Run, dict[str, set[str]]], done: Clone
) -> None:
    assert len(jobs(first_run[1])) == 8
    assert (done.path / REPORT).stat().st_size > 10_000
    evaluation = json.loads((done.path / "results/Tiny/evaluation.json").read_text())
    assert set(evaluation["conditions"]) == {"training", "reference"}
    assert_up_to_date(done)
    assert done.git("status", "--porcelain").split() == ["??", "dvc.lock"]


def test_an_evaluation_edit_tests_and_reports_anew_and_undoing_it_runs_nothing(done: Clone) -> None:
    done.edit("configs/Tiny.yaml", "episodes: 12", "episodes: 13")
    run = done.snakemake()
    expected = ["evaluate-Tiny-1", "report-Tiny", "validate-Tiny-evaluation", "validate-Tiny-report"]
    assert run.stages == expected
    assert len(jobs(run)) == len(expected)
    evaluation = json.loads((done.path / "results/Tiny/evaluation.json").read_text())
    assert evaluation["conditions"]["training"]["episodes"] == 13
    assert_up_to_date(done)
    done.edit("configs/Tiny.yaml", "episodes: 13", "episodes: 12")
    assert done.repro().stages == []
    evaluation = json.loads((done.path / "results/Tiny/evaluation.json").read_text())
    assert evaluation["conditions"]["training"]["episodes"] == 12
    assert_up_to_date(done)


def test_comments_the_order_of_keys_and_touching_start_nothing(done: Clone) -> None:
    config = (done.path / "configs/Tiny.yaml").read_text()
    sections = config.splitlines()[1:]
    block = sections.index("train:")
    done.write("configs/Tiny.yaml", "\n".join([*sections[block:], "# a comment", *sections[:block]]) + "\n")
    for file in done.path.glob("dexhand_env/**/*.py"):
        os.utime(file)
    os.utime(done.path / "results/Tiny/config/train.json")
    run = done.snakemake()
    assert (NOTHING in run.output, run.stages) == (True, []), run.output
    assert_up_to_date(done)


def test_a_training_edit_trains_and_undoing_it_brings_the_old_policy_back(done: Clone) -> None:
    best = (done.path / "results/Tiny/seed1/best.pth").read_bytes()
    done.edit("configs/Tiny.yaml", "num_envs: 16", "num_envs: 32")
    assert "train-Tiny-1" in done.repro().stages
    assert (done.path / "results/Tiny/seed1/best.pth").read_bytes() != best
    assert_up_to_date(done)
    done.edit("configs/Tiny.yaml", "num_envs: 32", "num_envs: 16")
    run = done.snakemake()
    assert run.stages == []
    assert "is cached - skipping run, checking out outputs" in run.output
    assert (done.path / "results/Tiny/seed1/best.pth").read_bytes() == best
    assert_up_to_date(done)


def test_a_change_of_code_runs_the_stages_that_use_it(done: Clone) -> None:
    def edited(file: str) -> list[str]:
        done.write(file, (done.path / file).read_text() + "\n# changed\n")
        return done.snakemake().stages

    assert edited("dexhand_env/report/page.py") == ["report-Tiny"]
    assert edited("dexhand_env/stages/evaluate.py") == ["evaluate-Tiny-1", "report-Tiny"]
    assert_up_to_date(done)


def test_a_clone_that_pulls_has_nothing_to_do(done: Clone, tmp_path: Path) -> None:
    done.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    done.git("add", "--all")
    done.git("commit", "--quiet", "--message", "Results")
    done.dvc("push", "--run-cache")
    for name in ("pulled", "not-pulled"):
        done.git("clone", "--quiet", str(done.path), str(tmp_path / name))
    pulled, not_pulled = (Clone(tmp_path / name, tmp_path / f"{name}-trace") for name in ("pulled", "not-pulled"))
    pulled.dvc("pull")
    assert_up_to_date(pulled)
    assert pulled.git("status", "--porcelain") == ""
    assert not_pulled.snakemake().stages == []
    assert (not_pulled.path / REPORT).read_bytes() == (done.path / REPORT).read_bytes()
    assert_up_to_date(not_pulled)


def test_a_new_experiment_is_a_config_and_a_line(done: Clone) -> None:
    done.write("configs/Other.yaml", (done.path / "configs/Tiny.yaml").read_text())
    done.edit("configs/experiments.yaml", "Tiny: [1]\n", "Tiny: [1]\nOther: [5, 6]\n")
    run = done.repro()
    assert not [stage for stage in run.stages if "Tiny" in stage]
    assert {"train-Other-5", "train-Other-6", "report-Other"} <= set(run.stages)
    evaluation = json.loads((done.path / "results/Other/evaluation.json").read_text())
    assert evaluation["seeds"] == [5, 6]
    assert_up_to_date(done)


def test_dvc_stops_where_it_has_read_stages_that_are_outdated(done: Clone) -> None:
    done.edit("configs/Tiny.yaml", "env: {sim: {physics: fast}, episode_length_steps: 40}\n", "")
    run = done.repro(check=False)
    assert run.code != 0
    assert "error: dvc.yaml: was out of date" in run.output
    assert "run it again" in run.output
    assert set(run.stages) == {"validate-Tiny-report"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("configs/experiments.yaml", "[1]", "[1, one]"),
        ("configs/Tiny.yaml", "task: BaseTask", "task: NoTask"),
        ("configs/Tiny.yaml", "num_envs: 16", "num_envs: many"),
        ("configs/Tiny.yaml", "first_seed: 2000", "first_seed: 1000"),
    ],
)
def test_both_tools_refuse_a_mistake_in_the_same_words(done: Clone, file: str, old: str, new: str) -> None:
    before, original = contents(done.path), (done.path / file).read_text()
    done.edit(file, old, new)
    snakemake, dvc = done.snakemake(check=False), done.repro(check=False)
    lines = [{line for line in run.output.splitlines() if line.startswith("error: ")} for run in (snakemake, dvc)]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 1
    assert snakemake.code == 2
    assert dvc.code != 0
    assert set(dvc.stages) <= {"plan", "validate-Tiny-report"}
    done.write(file, original)
    assert done.snakemake().stages == []
    assert_up_to_date(done)
    assert contents(done.path) == before


def test_three_seeds_at_once_give_one_report(fresh: Callable[[str], Clone]) -> None:
    clone = fresh("Tiny: [1, 2, 3]\n")
    clone.snakemake(cores=2)
    evaluation = json.loads((clone.path / "results/Tiny/evaluation.json").read_text())
    assert evaluation["seeds"] == [1, 2, 3]
    assert set(evaluation["conditions"]["training"]["per_seed"]) == {"1", "2", "3"}
    assert_up_to_date(clone)


def test_snakemake_notices_what_dvc_made_while_it_was_not_looking(done: Clone) -> None:
    before = (done.path / "results/Tiny/evaluation.json").read_bytes()
    done.edit("configs/Tiny.yaml", "episodes: 12", "episodes: 13")
    done.repro()
    done.edit("configs/Tiny.yaml", "episodes: 13", "episodes: 12")
    run = done.snakemake()
    assert "is cached - skipping run, checking out outputs" in run.output
    assert run.stages == []
    assert (done.path / "results/Tiny/evaluation.json").read_bytes() == before
    assert_up_to_date(done)


def test_damaged_and_deleted_results_come_back_from_the_cache(done: Clone) -> None:
    before = contents(done.path)
    best = done.path / "results/Tiny/seed1/best.pth"
    best.write_bytes(best.read_bytes()[:100])
    (done.path / "results/Tiny/seed1/checkpoints/checkpoint_2.pth").unlink()
    (done.path / "results/Tiny/config/train.json").unlink()
    assert done.snakemake().stages == []
    assert contents(done.path) == before
    assert_up_to_date(done)
