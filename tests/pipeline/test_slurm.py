"""The pipeline on a SLURM cluster: `make test-slurm` installs one, and these tests start it on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .clone import Clone, Run, assert_up_to_date
from .cluster import Cluster, missing_programs, one_node_cluster
from .killing import digests, started

pytestmark = pytest.mark.slurm

# A node of two cores without accounting (no sacct), and times that suit it.
SETTINGS = ["--default-resources", "slurm_account=none", "slurm_partition=main", "mem_mb=500", "runtime=10"]
SETTINGS += ["--set-threads", "train=1", "select=1", "evaluate=1", "--latency-wait", "5"]
SETTINGS += ["--slurm-init-seconds-before-status-checks", "3", "--slurm-status-command", "squeue"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster."""
    assert not missing_programs(), f"run: make test-slurm (it installs {', '.join(missing_programs())})"
    with one_node_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def submit(clone: Clone, *settings: str) -> Run:
    """Run everything on the cluster."""
    run = clone.run("snakemake", "--profile", "profiles/slurm", *SETTINGS, *settings)
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
    submit(clone, "--set-resources", "train:gpu=1")
    jobs = {rule: of_rule(cluster, rule, since) for rule in ("validate", "train", "select", "evaluate", "report")}
    assert {rule: len(found) for rule, found in jobs.items()} == {
        "validate": 0,  # of a second; where snakemake runs
        "train": 2,
        "select": 2,
        "evaluate": 2,
        "report": 1,
    }
    assert {job["JobState"] for found in jobs.values() for job in found} == {"COMPLETED"}
    assert {job.get("TresPerJob") for job in jobs["train"]} == {"gres:gpu:1"}
    assert {job.get("TresPerJob") for job in jobs["evaluate"]} == {None}
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
        submit(clone, "--set-resources", "train:runtime=1", "--retries", "30")
        assert tool.wait() == 0
    states = [job["JobState"] for job in of_rule(cluster, "train", since)]
    assert len(states) > 1
    assert set(states[:-1]) <= {"TIMEOUT", "FAILED"}
    assert "TIMEOUT" in states
    assert states[-1] == "COMPLETED"
    assert json.loads((clone.path / "results/Tiny/seed1/stages/train.json").read_text())["resumed"] is True
    expected, found = digests(undisturbed), digests(clone)
    assert {name for name in expected if found[name] != expected[name]} == set()
    assert_up_to_date(clone)
