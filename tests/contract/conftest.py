from __future__ import annotations

import pytest

from dexhand_env.sim import backends

from .backends import BACKENDS, Backend


@pytest.fixture(params=BACKENDS, ids=lambda backend: f"{backend.name}-{backend.device}")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend in turn."""
    return request.param


@pytest.fixture(autouse=True)
def every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in runs on cards too that are too new for Isaac Gym."""
    monkeypatch.setattr(backends, "ISAAC_GYM_CARDS", ((0, 0), (99, 0)))
