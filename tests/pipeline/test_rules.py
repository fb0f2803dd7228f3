"""Snakemake's rules say the same as dvc.yaml."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from .clone import ROOT, Clone, Run


def summary(clone: Clone) -> dict[str, set[str]]:
    """The inputs of each output, as Snakemake sees them."""
    text = clone.run("snakemake", "--detailed-summary", "results/Tiny/report.html").output
    lines = text[text.index("output_file\t") :].splitlines()
    rows = csv.DictReader(lines, delimiter="\t")
    return {row["output_file"]: set(row["input-file(s)"].split(",")) for row in rows}


def test_rules_read_and_write_what_stages_do(first_run: tuple[Clone, Run, dict[str, set[str]]]) -> None:
    clone = first_run[0]
    stages: dict[str, Any] = yaml.safe_load((clone.path / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = {name: [*stage.get("outs", []), *stage.get("metrics", [])] for name, stage in stages.items()}
    produced = {file for files in outs.values() for file in files}
    inputs = {name: {f".stage/{name}.txt", *(dep for dep in stages[name]["deps"] if dep in produced)} for name in outs}
    # One job writes the report and checks it.
    outs["report-Tiny"] += outs.pop("check-Tiny")
    inputs["report-Tiny"] |= inputs.pop("check-Tiny") - set(outs["report-Tiny"])
    assert summary(clone) == {file: inputs[name] for name, files in outs.items() for file in files}


def test_only_a_training_on_a_gpu_asks_for_one_and_a_profile_may_give_more(fresh: Callable[[str], Clone]) -> None:
    clone = fresh("Tiny: [1]\nOnGPU: [1]\n")
    clone.edit("configs/OnGPU.yaml", "sim: {", "sim: {backend: mujoco_warp, ")
    for more, expected in (([], {"Tiny": "0", "OnGPU": "1"}), (["--set-resources", "train:gpu=2"], {"OnGPU": "2"})):
        planned = clone.run("snakemake", "-n", "-p", *more).output
        asked = {name: gpus for gpus, name in re.findall(r"DEXHAND_GPUS=(\d) .* train-(\w+)-1", planned)}
        assert asked.items() >= expected.items()


def test_the_seeds_of_an_experiment_share_the_cores_out(fresh: Callable[[str], Clone]) -> None:
    clone = fresh("Tiny: [1]\nOther: [1, 2]\n")
    for more, expected in (
        ([], {"Tiny": "6", "Other": "3"}),
        (["--set-threads", "train=1"], {"Tiny": "1", "Other": "1"}),
    ):
        planned = clone.run("snakemake", "--cores", "6", "-n", "-p", *more).output
        given = {name: threads for threads, name in re.findall(r"DEXHAND_THREADS=(\d) .* train-(\w+)-1", planned)}
        assert given == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"train": "720", "select": "30", "evaluate": "30", "report": "30"}),
        (
            ["--default-resources", "slurm_account=me"],
            {"train": "720", "select": "30", "evaluate": "30", "report": "30"},
        ),
        (["--set-resources", "evaluate:runtime=9", "--set-threads", "train=2"], {"train": "720", "evaluate": "9"}),
    ],
)
def test_a_job_has_its_time_and_memory_whatever_options_a_cluster_needs(
    fresh: Callable[[str], Clone], options: list[str], expected: dict[str, str]
) -> None:
    clone = fresh("Tiny: [1]\n")
    # Where a job has a message, Snakemake prints nothing else of it.
    for file in clone.path.glob("workflow/rules/*.smk"):
        file.write_text(re.sub(r"    message:\n.*\n", "", file.read_text("utf-8")), encoding="utf-8")
    planned = clone.run("snakemake", "-n", *options).output
    jobs = dict(re.findall(r"^rule (\w+):\n((?:    .*\n)*)", planned, re.MULTILINE))
    for rule, minutes in expected.items():
        assert {f"runtime={minutes}", "mem_mb=4000"} <= set(re.findall(r"\w+=\w+", jobs[rule]))


def test_the_root_snakefile_is_short() -> None:
    assert len((ROOT / "Snakefile").read_text(encoding="utf-8").splitlines()) <= 40


def test_lint_finds_nothing(first_run: tuple[Clone, Run, dict[str, set[str]]]) -> None:
    assert "in a good condition" in first_run[0].run("snakemake", "--lint").output
