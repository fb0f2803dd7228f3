"""Fixtures of the hand's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from .hand_models import Figures


@pytest.fixture(scope="session")
def figures() -> Figures:
    """What was read from the maker's model; the file's first line says where."""
    text = Path(__file__).with_name("dexhand021_figures.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
