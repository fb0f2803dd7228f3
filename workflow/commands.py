"""What the Snakefile does before its rules: bring dvc.yaml and the stamps up to date, and build the rules' command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dexhand_env.errors import UserError
from dexhand_env.files import require_writable
from workflow.place import check_place, has_remote
from workflow.plan import Plan, read_variants, update
from workflow.stamps import outputs, refresh

# This project's DVC by its own name: which script is called `dvc` depends on what installed it. Threads stay out of
# DVC's command, which is part of the cache's key: they change how fast a stage is, not what comes out. hints.sed drops
# what DVC prints about git after every stage; the stage's lines reach the terminal and the log.
REPRODUCE = (
    "DEXHAND_THREADS={{threads}} python -m dexhand_env.commands.dvc --wait-for-lock repro{pull} --single-item"
    " {{params.stages}} 2>&1 | sed -u -f workflow/hints.sed | tee {{log}}"
)


@dataclass(frozen=True)
class Prepared:
    """What the rules need to know.

    Args:
        seeds: each experiment's training seeds.
        gpus: how many GPUs a training of each experiment asks for.
        reasons: what is new for each stage, in words.
    """

    seeds: dict[str, tuple[int, ...]]
    gpus: dict[str, int]
    reasons: dict[str, list[str]]


def prepare(root: Path, config: Mapping[str, Any]) -> Prepared:
    """Rewrite dvc.yaml and the stamps where they are out of date.

    A user's mistake ends the process with one line and exit code 2.

    Args:
        root: the folder of the Snakefile.
        config: what `--config` and `--configfile` gave.
    """
    try:
        check_place(root, config)
        variants = read_variants(root)
        plan, _ = update(root, variants)
        for folder in ("runs", *_folders(root, plan)):
            require_writable(root / folder)
        reasons = refresh(root, plan)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    seeds = {variant.name: variant.seeds for variant in variants}
    gpus = {variant.name: variant.gpus for variant in variants}
    return Prepared(seeds, gpus, reasons)


def _folders(root: Path, plan: Plan) -> list[str]:
    """The folders that stages write to, each once, the outer ones first."""
    files = [Path(out) for stage in plan["stages"].values() for out in outputs(stage)]
    folders = {str(file.parent) for file in files} | {str(file) for file in files if (root / file).is_dir()}
    return sorted(folders)


def prefer_own_environment() -> None:
    """See that jobs find this Python's own programs, without activation, and this folder's modules."""
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.environ.pop("PYTHONSAFEPATH", None)


def reproduce_command(root: Path) -> str:
    """The command of every rule: DVC decides whether the stages run, come out of its cache or are up to date."""
    # Without a remote DVC would warn at every stage that it has nothing to pull from.
    return REPRODUCE.format(pull=" --pull" if has_remote(root) else "")
