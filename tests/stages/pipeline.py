"""A tiny experiment in a folder of its own, taken through the stages in this process."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from dexhand_env.config.experiment import SECTIONS
from dexhand_env.config.layers import merge
from dexhand_env.stages.evaluate import evaluate
from dexhand_env.stages.select import select
from dexhand_env.stages.train import train
from dexhand_env.stages.validate import validate

ROOT = Path(__file__).resolve().parent.parent.parent
NAME, SEED = "Tiny", 3
FOLDER = Path("results") / NAME / f"seed{SEED}"
SMALL: dict[str, Any] = {
    "env": {"episode_length_steps": 20, "success": {"position_m": 0.3, "rotation_rad": 1.0, "finger_rad": 0.6}},
    "train": {
        "num_envs": 8,
        "max_iterations": 2,
        "params": {
            "network": {"mlp": {"units": [16, 16]}},
            "config": {"horizon_length": 8, "minibatch_size": 32, "mini_epochs": 2, "save_frequency": 1},
        },
    },
    "selection": {"episodes": 8},
    "evaluation": {"episodes": 8, "variants": {"hard": {"success": {"position_m": 0.001}}}},
}


def write_configs(root: Path, shipped: str = "BaseTask", small: dict[str, Any] = SMALL) -> None:
    """A shipped experiment made tiny, and its resolved sections under results/."""
    values = yaml.safe_load((ROOT / "configs" / f"{shipped}.yaml").read_text(encoding="utf-8"))
    (root / "configs").mkdir()
    (root / "configs" / f"{NAME}.yaml").write_text(yaml.safe_dump(merge(values, small)), encoding="utf-8")
    (root / "configs" / "experiments.yaml").write_text(f"{NAME}: [{SEED}]\n", encoding="utf-8")
    for section in SECTIONS:
        validate(NAME, section, root)


@contextlib.contextmanager
def inside(root: Path) -> Iterator[None]:
    """Work in ``root`` with one thread."""
    with contextlib.chdir(root), mock.patch.dict(os.environ, {"DEXHAND_THREADS": "1"}):
        yield


def run_all(root: Path) -> None:
    """Train, select and evaluate."""
    with inside(root):
        train(NAME, SEED)
        select(NAME, SEED)
        evaluate(NAME, SEED)


def digests(root: Path) -> dict[str, str]:
    """sha256 of every file of the seed that must not depend on when or how fast it was made."""
    folder = root / FOLDER
    timed = {"history.csv", "stages/train.json", "stages/select.json", "stages/evaluate.json"}
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if name not in timed}
