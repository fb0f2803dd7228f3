"""Shared by all rules: an up-to-date dvc.yaml, the stamps of its stages, and the command that runs a stage."""

import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from workflow.commands import prefer_own_environment, prepare, reproduce_command
from workflow.reasons import explain

prefer_own_environment()
PREPARED = prepare(ROOT, config)
SEEDS, REASONS = PREPARED.seeds, PREPARED.reasons
REPRODUCE = reproduce_command(ROOT)
CORES_OF_A_CLUSTER_JOB = 4
TRAIN_ON_GPUS = f"DEXHAND_GPUS={{resources.gpu}} {REPRODUCE}"


wildcard_constraints:
    experiment="|".join(SEEDS),
    seed=r"\d+",
    section="report|train|selection|evaluation",


def of_every_seed(*patterns):
    """An input function: these files of all training seeds of an experiment."""

    def files(wildcards):
        seeds = SEEDS[wildcards.experiment]
        return expand(patterns, experiment=wildcards.experiment, seed=seeds)

    return files


def gpus_of_training(wildcards):
    """One where the experiment trains on a GPU; a profile or --set-resources train:gpu=2 gives more."""
    return PREPARED.gpus[wildcards.experiment]


def share_of_cores(wildcards):
    """All cores, shared out among the experiment's seeds, which run side by side; on a cluster each has a node's own."""
    if workflow.remote_exec or not workflow.local_exec:
        return CORES_OF_A_CLUSTER_JOB
    return max(workflow.cores // len(SEEDS[wildcards.experiment]), 1)
