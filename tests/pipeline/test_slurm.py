"""The pipeline on a SLURM cluster: `make test-slurm` installs one, and these tests start it on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .clone import ROOT, Clone, Run, assert_up_to_date
from .cluster import Cluster, missing_programs, one_node_cluster
from .killing import digests, started

pytestmark = pytest.mark.slurm

# docs/pipeline.md's command as it stands, then what a cluster without accounting (no sacct) needs, and less waiting.
DOCUMENTED = re.findall(
    r"^snakemake --profile profiles/slurm .*$", (ROOT / "docs/pipeline.md").read_text("utf-8"), re.MULTILINE
)
HERE = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "5"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster."""
    assert not missing_programs(), f"run: make test-slurm (it installs {', '.join(missing_programs())})"
    with one_node_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def submit(clone: Clone, *settings: str) -> Run:
    """Run everything on the cluster."""
    assert len(DOCUMENTED) == 1
    run = clone.run(*DOCUMENTED[0].split(), *HERE, *settings)
    print(run.output)
    return run


def of_rule(cluster: Cluster, rule: str, since: int) -> list[dict[str, str]]:
    """The jobs of a rule, but for those up to a number."""
    jobs = cluster.jobs().items()
    return [job for number, job in jobs if number > since and job.get("Comment", "").startswith(f"rule_{rule}_")]


def test_every_stage_is_a_job_and_gives_what_it_gives_here(
    cluster: Cluster, fresh: Callable[[str], Clone], first_run: tuple[Clone, Run, dict[str, set[str]]]
) -> None:
    clone, since = fresh("Tiny: [1, 2]\n"), max(cluster.jobs(), default=0)
    submit(clone)
    jobs = {rule: of_rule(cluster, rule, since) for rule in ("validate", "train", "select", "evaluate", "report")}
    assert {rule: len(found) for rule, found in jobs.items()} == {
        "validate": 0,  # of a second; where snakemake runs
        "train": 2,
        "select": 2,
        "evaluate": 2,
        "report": 1,
    }
    assert {job["JobState"] for found in jobs.values() for job in found} == {"COMPLETED"}
    assert {job.get("TresPerJob") for found in jobs.values() for job in found} == {None}
    asked = ("Partition", "TimeLimit", "MinMemoryNode", "CPUs/Task")
    for rule, expected in {
        "train": ("gpu", "12:00:00", "4000M", "4"),
        "evaluate": ("cpu", "00:30:00", "4000M", "4"),
        "report": ("cpu", "00:30:00", "4000M", "1"),
    }.items():
        assert {tuple(job[field] for field in asked) for job in jobs[rule]} == {expected}
    here, there = digests(first_run[0]), digests(clone)
    of_seed_1 = {name for name in here if "/seed1/" in name}
    assert of_seed_1
    assert {name for name in of_seed_1 if here[name] != there[name]} == set()
    assert_up_to_date(clone)


def test_a_training_that_runs_out_of_time_goes_on_in_the_next_job(
    cluster: Cluster, fresh: Callable[[str], Clone], tmp_path: Path
) -> None:
    since = max(cluster.jobs(), default=0)
    clone = fresh("Tiny: [1]\n")
    clone.edit("configs/Tiny.yaml", "max_iterations: 4", "max_iterations: 2000")
    clone.edit("configs/Tiny.yaml", "save_frequency: 1", "save_frequency: 500")
    undisturbed = clone.copy(tmp_path / "undisturbed")
    with started(undisturbed, "dvc", "evaluate-Tiny-1") as tool:
        submit(clone, "--set-resources", "train:runtime=1", "train:gpu=1", "--retries", "30")
        assert tool.wait() == 0
    trainings = of_rule(cluster, "train", since)
    assert {job.get("TresPerJob") for job in trainings} == {"gres:gpu:1"}
    states = [job["JobState"] for job in trainings]
    assert len(states) > 1
    assert set(states[:-1]) <= {"TIMEOUT", "FAILED"}
    assert "TIMEOUT" in states
    assert states[-1] == "COMPLETED"
    assert json.loads((clone.path / "results/Tiny/seed1/stages/train.json").read_text())["resumed"] is True
    expected, found = digests(undisturbed), digests(clone)
    assert {name for name in expected if found[name] != expected[name]} == set()
    assert_up_to_date(clone)
