"""Seeds of processes that never meet those of another training, and determinism where it was asked for."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.schema import SEED_LIMIT
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.errors import UserError
from dexhand_env.rl.distributed import Processes
from dexhand_env.rl.seeding import CUBLAS, make_cublas_deterministic, process_seed
from dexhand_env.rl.training import make_agent

from .runs import differences, in_subprocess, spec

CPU = torch.device("cpu")


@given(st.integers(0, SEED_LIMIT - 1), st.integers(1, 1000), st.integers(0, SEED_LIMIT - 1))
def test_no_process_draws_as_the_first_one_of_any_training(seed: int, rank: int, other: int) -> None:
    """A CPU's generator takes the last 32 bits of a seed."""
    assert process_seed(other, 0) == other
    assert process_seed(seed, rank) % 2**32 >= SEED_LIMIT
    assert process_seed(seed, rank) < 2**63
    assert process_seed(seed, rank) == process_seed(seed, rank)


def test_processes_of_neighbouring_seeds_draw_different_episodes_and_noise() -> None:
    seen = set()
    worlds = torch.ones(2, dtype=torch.bool)
    for seed, rank in product(range(40), range(16)):
        own = process_seed(seed, rank)
        noise = torch.randn(2, generator=torch.Generator().manual_seed(own))
        seen.add((*TrainingRandomness(own, CPU).uniform(worlds, 1)[:, 0].tolist(), *noise.tolist()))
    assert len(seen) == 40 * 16


@pytest.mark.parametrize("own", [None, ":16:8", ":4096:8"])
def test_cublas_is_asked_to_be_deterministic_unless_it_was(own: Any) -> None:
    environment: Dict[str, str] = {} if own is None else {CUBLAS: own}
    make_cublas_deterministic(environment)
    assert environment == {CUBLAS: own or ":4096:8"}


def test_another_setting_of_cublas_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        make_cublas_deterministic({CUBLAS: ":0:0"})
    assert str(raised.value) == f"{CUBLAS}: :0:0 is not deterministic; allowed: :4096:8 or :16:8, or unset"


DETERMINISTIC = """
import os, sys
from pathlib import Path
import torch
from dexhand_env.rl.training import make_agent, run_training
from tests.rl.runs import params, spec
run_training(spec(deterministic=True, params=params(max_epochs=1)), Path(sys.argv[1]))
assert torch.are_deterministic_algorithms_enabled()
assert not torch.backends.cudnn.benchmark
assert not torch.backends.cuda.matmul.allow_tf32
print(os.environ.get("CUBLAS_WORKSPACE_CONFIG"))
"""


def test_what_determinism_was_asked_for_stays_after_a_training(tmp_path: Path) -> None:
    """rl_games' own runner would turn on what picks another algorithm each time; on the CPU cuBLAS is left alone."""
    done = in_subprocess(DETERMINISTIC, str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(os.environ.get(CUBLAS))


class Second(Processes):
    """As the second process of a training sees itself, but for the others."""

    rank = 1


def test_the_second_process_is_not_the_next_seeds_first(tmp_path: Path) -> None:
    """Neither in its episodes nor in its noise."""
    second = make_agent(spec(seed=1), tmp_path / "second", Second())
    drawn = [second._env.get_state()["task"], torch.randn(4)]
    following = make_agent(spec(seed=2), tmp_path / "following")
    other = [following._env.get_state()["task"], torch.randn(4)]
    assert {"/0/goal", "/1"} <= set(differences(drawn, other))
    for agent in (second, following):
        agent.writer.close()
