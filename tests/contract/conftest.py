from __future__ import annotations

import pytest

from .backends import BACKENDS, Backend


@pytest.fixture(params=BACKENDS, ids=lambda backend: f"{backend.name}-{backend.device}")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend in turn."""
    return request.param
