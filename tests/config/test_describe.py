"""The documentation's tables are the schema's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dexhand_env.config.base_task import BaseTaskConfig
from dexhand_env.config.describe import TABLES, keys_table, render
from dexhand_env.config.registry import default_task

ROOT = Path(__file__).resolve().parent.parent.parent


DOCUMENTS = ("docs/configuration.md", "docs/dexgrasp.md", "configs/README.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_hold_the_present_tables(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert render(text) == text, f"run: python -m dexhand_env.config.describe {' '.join(DOCUMENTS)}"


def test_every_table_is_in_a_document() -> None:
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS)
    assert all(f"<!-- table {name} -->" in text for name in TABLES)


@pytest.mark.parametrize("name", list(TABLES))
def test_every_key_is_explained(name: str) -> None:
    rows = TABLES[name]().splitlines()[2:]
    assert rows
    assert all(row.replace("\\|", "").split("|")[-2].strip() for row in rows)


def test_a_row_tells_what_is_allowed_and_the_default() -> None:
    table = keys_table(BaseTaskConfig, default_task("BaseTask"))
    assert "| `success.position_m` | a number above 0 and at most 1 | 0.01 | largest distance" in table
    assert "| `sim.backend` | one of: auto, mujoco, mujoco_warp, isaac_gym | auto |" in table
