"""What the Snakefile does before its rules: bring dvc.yaml and the stamps up to date, and build the rules' command."""

from __future__ import annotations

import configparser
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from dexhand_env.errors import UserError
from dexhand_env.files import require_writable
from workflow.plan import read_variants, update
from workflow.stamps import refresh

# Threads stay out of DVC's command, which is part of the cache's key: they change how fast a stage is, not what comes
# out. hints.sed drops what DVC prints about git after every stage; the stage's lines reach the terminal and the log.
REPRODUCE = (
    "DEXHAND_THREADS={{threads}} dvc --wait-for-lock repro{pull} --single-item {{params.stages}} 2>&1"
    " | sed -u -f workflow/hints.sed | tee {{log}}"
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


def prepare(root: Path) -> Prepared:
    """Rewrite dvc.yaml and the stamps where they are out of date.

    A user's mistake ends the process with one line and exit code 2.
    """
    try:
        variants = read_variants(root)
        plan, _ = update(root, variants)
        for variant in variants:
            for folder in ("runs", *(f"results/{variant.name}/seed{seed}" for seed in variant.seeds)):
                require_writable(root / folder)
        reasons = refresh(root, plan)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    seeds = {variant.name: variant.seeds for variant in variants}
    gpus = {variant.name: variant.gpus for variant in variants}
    return Prepared(seeds, gpus, reasons)


def prefer_own_environment() -> None:
    """Put this Python's folder first on PATH: an unactivated virtual environment serves its own dvc and python."""
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    os.environ["PYTHONUNBUFFERED"] = "1"


def reproduce_command(root: Path) -> str:
    """The command of every rule: DVC decides whether the stages run, come out of its cache or are up to date."""
    # Without a remote DVC would warn at every stage that it has nothing to pull from.
    return REPRODUCE.format(pull=" --pull" if has_remote(root) else "")


def has_remote(root: Path) -> bool:
    """Whether DVC has a default remote to pull from, in the repository's settings or the user's."""
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR", os.path.expanduser("~/.config/dvc"))
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read([root / ".dvc/config", root / ".dvc/config.local", os.path.join(user, "config")])
    except configparser.Error:
        return True  # DVC says what is wrong with the file
    return parser.has_option("core", "remote")
