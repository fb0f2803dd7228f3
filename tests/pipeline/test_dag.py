"""The pipeline end to end, by both tools, on a tiny experiment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from .clone import NOTHING, Clone, Run, assert_up_to_date, jobs
from .conftest import REPORT


def test_the_first_run_makes_everything_and_leaves_nothing_to_do(
    first_run: tuple[Clone, Run, dict[str, set[str]]], done: Clone
) -> None:
    assert len(jobs(first_run[1])) == 8
    assert (done.path / REPORT).stat().st_size > 10_000
    evaluation = json.loads((done.path / "results/Tiny/evaluation.json").read_text())
    assert set(evaluation["conditions"]) == {"training", "reference"}
    assert_up_to_date(done)
    assert done.git("status", "--porcelain").split() == ["??", "dvc.lock"]


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


def test_dvc_stops_where_it_has_read_stages_that_are_outdated(done: Clone) -> None:
    done.edit("configs/Tiny.yaml", "env: {sim: {physics: fast}, episode_length_steps: 40}\n", "")
    run = done.repro(check=False)
    assert run.code != 0
    assert "error: dvc.yaml: was out of date" in run.output
    assert "run it again" in run.output
    assert set(run.stages) == {"validate-Tiny-report"}


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


@pytest.mark.parametrize("tool", [pytest.param("snakemake", marks=pytest.mark.slow), "dvc"])
def test_a_new_experiment_is_a_config_and_a_line(done: Clone, tool: str) -> None:
    done.write("configs/Other.yaml", (done.path / "configs/Tiny.yaml").read_text())
    done.edit("configs/experiments.yaml", "Tiny: [1]\n", "Tiny: [1]\nOther: [5, 6]\n")
    run = done.everything(tool)
    assert not [stage for stage in run.stages if "Tiny" in stage]
    assert {"train-Other-5", "train-Other-6", "report-Other"} <= set(run.stages)
    evaluation = json.loads((done.path / "results/Other/evaluation.json").read_text())
    assert evaluation["seeds"] == [5, 6]
    assert_up_to_date(done)


def test_two_experiments_with_several_seeds_at_once(fresh: Callable[[str], Clone]) -> None:
    clone = fresh("Tiny: [1, 2, 3]\nOther: [1, 2]\n")
    clone.edit("configs/Other.yaml", "num_envs: 16", "num_envs: 32")
    clone.snakemake(cores=2)
    for name, seeds in (("Tiny", [1, 2, 3]), ("Other", [1, 2])):
        evaluation = json.loads((clone.path / f"results/{name}/evaluation.json").read_text())
        assert evaluation["seeds"] == seeds
        assert list(evaluation["conditions"]["training"]["per_seed"]) == [str(seed) for seed in seeds]
    assert_up_to_date(clone)
