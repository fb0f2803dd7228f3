"""An experiment's files in a folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

import pytest
import yaml
from hypothesis import settings

from dexhand_env.config.layers import merge

ROOT = Path(__file__).resolve().parent.parent.parent
# No test depends on how fast the machine is.
settings.register_profile("config", deadline=None)
settings.load_profile("config")

Write = Callable[..., Path]


@pytest.fixture
def write_experiment(tmp_path: Path) -> Write:
    """A function that writes the shipped BaseTask experiment, with changes, and returns the root."""

    def write(changes: Optional[Dict[str, Any]] = None, seeds: Sequence[Any] = (42,), name: str = "BaseTask") -> Path:
        values = yaml.safe_load((ROOT / "configs" / "BaseTask.yaml").read_text())
        (tmp_path / "configs").mkdir(exist_ok=True)
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(merge(values, changes or {})))
        (tmp_path / "configs" / "experiments.yaml").write_text(yaml.safe_dump({name: list(seeds)}))
        return tmp_path

    return write
