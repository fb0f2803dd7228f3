"""Hints for set-ups that waste time: said where there is something better to do, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from dexhand_env.commands.hints import slow_setup, steps_on_gpu
from dexhand_env.errors import UserError
from dexhand_env.sim.backends import BACKENDS, check_backend

FINE: dict[str, Any] = {
    "num_envs": 4096,
    "sim_device": "cpu",
    "rl_device": "cpu",
    "threads": 4,
    "cores": 8,
    "processes": 1,
    "gpu": False,
    "gpu_physics": True,
}


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, None),
        ({"gpu": True}, "the CPU steps 4096 environments; a GPU would with --sim-device cuda:0"),
        ({"gpu": True, "rl_device": "cuda:0"}, "the CPU steps 4096 environments"),
        ({"gpu": True, "gpu_physics": False}, "while a GPU is idle; it would learn with --rl-device cuda:0"),
        ({"gpu": True, "gpu_physics": False, "rl_device": "cuda:0"}, None),
        ({"gpu": True, "sim_device": "cuda:0", "rl_device": "cuda:0"}, None),
        ({"gpu": True, "num_envs": 1024}, None),
        ({"threads": 8}, None),
        ({"threads": 9}, "9 threads share 8 cores; --threads 8 is faster"),
        ({"threads": 4, "processes": 2}, None),
        ({"threads": 5, "processes": 2}, "10 threads share 8 cores; --threads 4 is faster"),
        ({"threads": 1, "processes": 9}, None),
    ],
    ids=str,
)
def test_a_hint_says_what_is_better(facts: dict[str, Any], says: str | None) -> None:
    hints = slow_setup(**{**FINE, **facts})
    assert len(hints) == (says is not None)
    for hint in hints:
        assert hint.startswith("slow set-up: ")
        assert "\n" not in hint
        assert says is not None
        assert says in hint


def test_two_things_are_two_lines() -> None:
    assert len(slow_setup(**{**FINE, "gpu": True, "threads": 16})) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_device_that_is_refused_is_not_advised(backend: str) -> None:
    try:
        check_backend(backend, "cuda:0")
    except UserError:
        assert not steps_on_gpu(backend)
    else:
        assert steps_on_gpu(backend)
