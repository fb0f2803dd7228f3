"""No setting of PPO without effect: each key of the schema is changed, and other weights must come of it.

A key that is added to the schema fails the first test until it has an entry here.
"""

from __future__ import annotations

import copy
import json
from typing import Any, Callable, Dict, Iterator, Mapping, Tuple

import pytest
import torch

from dexhand_env.config.allowed import field_type, is_model, keys_of
from dexhand_env.config.physics import load_physics
from dexhand_env.config.ppo import PPOParams
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.training import seed_everything
from dexhand_env.tasks.registry import make_env

from .runs import CRITIC, differences, params, task

CPU = torch.device("cpu")
WORLDS, ITERATIONS = 4, 2
Changes = Dict[str, Any]
OWN = "config.central_value_config"

ONE_VALUE = "the schema allows one value"
# Keys that decide no weight of this training, each with the reason.
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("algo.name", "model.name", "network.name", "config.ppo", "config.torch_compile"), ONE_VALUE),
    **dict.fromkeys((f"{OWN}.network.name", f"{OWN}.network.central_value"), ONE_VALUE),
    "config.save_frequency": "which checkpoints are written: test_training.test_saves_follow_the_frequency_and_the_end",
    "config.save_best_after": "whether a best checkpoint is: test_training.test_saves_follow_the_frequency_and_the_end",
    "config.mixed_precision": "on GPUs alone, as its description says",
}


def initializers(where: str, **context: Any) -> Dict[str, Tuple[Any, Changes]]:
    """Entries of an initializer's keys."""
    orthogonal = {**context, where: {"name": "orthogonal_initializer", "gain": 1.5}}
    constant = {**context, where: {"name": "const_initializer", "val": 0.01}}
    uniform = {**context, where: {"name": "random_uniform_initializer", "a": -0.1, "b": 0.1}}
    return {
        f"{where}.name": ("glorot_normal_initializer", orthogonal),
        f"{where}.gain": (0.5, orthogonal),
        f"{where}.val": (0.02, constant),
        f"{where}.a": (-0.2, uniform),
        f"{where}.b": (0.2, uniform),
    }


# By key: another value, and what else differs from BASE in both trainings, with it and without it.
CHANGED: Dict[str, Tuple[Any, Changes]] = {
    "network.separate": (True, {}),
    "network.normalization": ("layer_norm", {"network.mlp.d2rl": True}),
    "network.value_activation": ("tanh", {}),
    "network.mlp.units": ([12, 8], {}),
    "network.mlp.activation": ("tanh", {}),
    "network.mlp.d2rl": (True, {}),
    **initializers("network.mlp.initializer"),
    "network.space.continuous.mu_activation": ("tanh", {}),
    "network.space.continuous.sigma_activation": ("tanh", {}),
    "network.space.continuous.fixed_sigma": (False, {}),
    **initializers("network.space.continuous.mu_init"),
    **initializers("network.space.continuous.sigma_init", **{"network.space.continuous.fixed_sigma": False}),
    "config.learning_rate": (2e-2, {}),
    "config.lr_schedule": ("constant", {}),
    "config.schedule_type": ("standard", {}),
    "config.kl_threshold": (1.0, {}),
    "config.kl_threshold_last": (1e-6, {}),
    "config.sigma_last": (0.5, {}),
    "config.gamma": (0.5, {}),
    "config.tau": (0.5, {}),
    "config.horizon_length": (12, {"config.minibatch_size": 16}),
    "config.minibatch_size": (32, {}),
    "config.mini_epochs": (3, {}),
    "config.max_epochs": (ITERATIONS + 1, {}),
    "config.e_clip": (0.01, {}),
    "config.clip_value": (False, {}),
    "config.critic_coef": (0.5, {}),
    "config.entropy_coef": (0.1, {}),
    "config.bounds_loss_coef": (1.0, {"config.bound_loss_type": "regularisation"}),
    "config.bound_loss_type": ("regularisation", {"config.bounds_loss_coef": 1.0}),
    "config.truncate_grads": (False, {}),
    "config.grad_norm": (0.1, {}),
    "config.weight_decay": (0.1, {}),
    "config.normalize_input": (False, {}),
    "config.normalize_value": (False, {}),
    "config.normalize_advantage": (False, {}),
    "config.value_bootstrap": (False, {}),
    "config.reward_shaper.scale_value": (5.0, {"config.normalize_value": False}),
    "config.reward_shaper.shift_value": (1.0, {}),
    "config.reward_shaper.min_val": (0.0, {}),
    "config.reward_shaper.max_val": (0.0, {}),
}
# The same of a critic of its own.
CRITICS: Dict[str, Tuple[Any, Changes]] = {
    "minibatch_size": (32, {}),
    "mini_epochs": (3, {}),
    "learning_rate": (1e-2, {}),
    "lr_schedule": ("constant", {}),
    "clip_value": (False, {}),
    "normalize_input": (False, {}),
    "truncate_grads": (False, {}),
    "grad_norm": (0.1, {}),
    "network.normalization": ("layer_norm", {"network.mlp.d2rl": True, "network.mlp.units": [16, 8]}),
    "network.value_activation": ("tanh", {}),
    "network.mlp.units": ([12], {}),
    "network.mlp.activation": ("tanh", {}),
    "network.mlp.d2rl": (True, {"network.mlp.units": [16, 8]}),
    **initializers("network.mlp.initializer"),
}
for name, (other, context) in CRITICS.items():
    critic: Changes = {OWN: {**CRITIC, "minibatch_size": 16, "learning_rate": 2e-2}}
    CHANGED[f"{OWN}.{name}"] = (other, {**critic, **{f"{OWN}.{key}": value for key, value in context.items()}})
BASE: Changes = {
    "config.horizon_length": 8,
    "config.minibatch_size": 16,
    "config.mini_epochs": 2,
    "config.max_epochs": ITERATIONS,
    "config.learning_rate": 1e-2,
}


def leaves(section: Any, path: Tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted names of all keys that hold a value."""
    for name, info in keys_of(section).items():
        annotation, _ = field_type(info)
        if is_model(annotation):
            yield from leaves(annotation, (*path, name))
        else:
            yield ".".join((*path, name))


def test_every_key_has_an_entry() -> None:
    entries = [*CHANGED, *ELSEWHERE]
    assert sorted(leaves(PPOParams)) == sorted(set(entries))
    assert len(entries) == len(set(entries))


def with_changes(changes: Changes) -> Dict[str, Any]:
    """Checked parameters; changes are made in their order."""
    values: Dict[str, Any] = params()
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section[name]
        section[last] = copy.deepcopy(value)
    return PPOParams.model_validate(json.loads(json.dumps(values))).dump()


Trained = Callable[[Changes], Dict[str, Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains in one environment, always from its first state; gives what was learned. Equal trainings are done once."""
    short = task(episode_length_steps=5, observations={"policy": ["goal_errors"], "critic": ["joint_positions"]})
    env: DexHandEnv = make_env(short, load_physics("fast"), WORLDS, TrainingRandomness(0, CPU))
    begun = env.get_state()
    done: Dict[str, Dict[str, Any]] = {}

    def train(changes: Changes) -> Dict[str, Any]:
        name = json.dumps(changes)
        if name not in done:
            env.set_state(copy.deepcopy(begun))
            seed_everything(0, 1, False)
            agent = DexHandAgent(with_changes(changes), env, "BaseTask", 0, tmp_path_factory.mktemp("run"), CPU)
            agent.save_freq, agent.save_best_after = 0, 10**6
            agent.save = lambda fn: None  # type: ignore[method-assign]  # what is learned is looked at here
            agent.train()
            agent.writer.close()
            state = agent.get_full_state_weights()
            done[name] = {key: state[key] for key in ("model", "critic") if key in state}
        return done[name]

    return train


@pytest.mark.parametrize("key", CHANGED)
def test_another_value_trains_another_policy(trained: Trained, key: str) -> None:
    value, more = CHANGED[key]
    alike = {**BASE, **more}
    assert differences(trained({**alike, key: value}), trained(alike)) != []


def test_the_same_values_train_the_same_policy(trained: Trained) -> None:
    """Or the test above would say nothing."""
    assert differences(trained({**BASE, "config.tau": 0.95, "config.e_clip": 0.2}), trained(BASE)) == []
