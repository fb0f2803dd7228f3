"""Any number of environments and any horizon can be trained with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable

import pytest
import torch

from dexhand_env.config.ppo import PPOParams, fit_minibatch
from dexhand_env.rl.checkpoint import TRAINING_KEYS, checkpoint_name, load_checkpoint
from dexhand_env.rl.training import TrainingSpec, run_training

from .runs import CRITIC, critic_spec, differences, params, spec


def sized(
    make: Callable[..., TrainingSpec], num_envs: int, horizon: int, minibatch: int, **config: Any
) -> TrainingSpec:
    """A specification whose minibatches are fitted as the programs fit them."""
    settings = make()
    changes = dict(horizon_length=horizon, minibatch_size=minibatch, max_epochs=2, **config)
    if settings.params["config"].get("central_value_config"):
        changes["central_value_config"] = {**CRITIC, "minibatch_size": minibatch}
    fitted, _ = fit_minibatch(PPOParams.model_validate(params(**changes)), num_envs)
    return dataclasses.replace(settings, num_envs=num_envs, params=fitted.dump())


# Samples that are odd, a single one, minibatches of a single one, and some in each dimension.
SIZES = [(10, 25, 8192), (50, 1, 8192), (5, 10, 25), (1, 1, 1), (3, 7, 8192), (3, 7, 1), (1, 13, 13), (2, 1, 1)]


@pytest.mark.parametrize("make", [spec, critic_spec], ids=["policy and value", "a critic of its own"])
@pytest.mark.parametrize(("num_envs", "horizon", "minibatch"), SIZES)
def test_a_rollout_of_any_size_is_learned_from(
    tmp_path: Path, make: Callable[..., TrainingSpec], num_envs: int, horizon: int, minibatch: int
) -> None:
    result = run_training(sized(make, num_envs, horizon, minibatch), tmp_path / "run")
    assert (result.iterations, result.frames) == (2, 2 * num_envs * horizon)
    first, last = (load_checkpoint(tmp_path / "run" / "nn" / checkpoint_name(i), TRAINING_KEYS) for i in (1, 2))
    learned = {name for name in first["model"] if not torch.equal(first["model"][name], last["model"][name])}
    assert "a2c_network.mu.weight" in learned
    assert "a2c_network.sigma" in learned
    if "critic" in first:
        assert differences(first["critic"], last["critic"]) != []
    assert all(bool(torch.isfinite(values).all()) for values in last["model"].values())
