"""The typed form of a PPO configuration: rl_games' own YAML, ``params: {algo, model, network, config}``.

Checked against rl_games 1.6.5: every key that its continuous PPO needs is required here, keys that it would ignore or
that crash it are refused with the reason, and keys that this program sets itself are refused too.
"""

from __future__ import annotations

import itertools
import math
import os
from typing import Any, ClassVar, Dict, List, Literal, Mapping, Optional, Tuple, Union

from pydantic import Field, model_validator

from dexhand_env.config.check import check
from dexhand_env.config.layers import Stack
from dexhand_env.config.network import CentralNetwork, CriticNetwork, Model, Network
from dexhand_env.config.registry import Overrides, as_layer, find_task
from dexhand_env.config.schema import Section, problem
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError

_SET_FROM_ENVS = "the number of environments decides it"
_RUN_FOLDER = "the run's name and folder come from --experiment-name"


class RewardShaper(Section):
    """What is done to a reward before learning."""

    scale_value: float = Field(gt=0, le=1e6, description="the reward is multiplied by this")
    shift_value: Optional[float] = Field(default=None, description="added to the reward before scaling")
    min_val: Optional[float] = Field(default=None, description="the scaled reward is cut below this")
    max_val: Optional[float] = Field(default=None, description="the scaled reward is cut above this")


class CentralValue(Section):
    """A critic with a network of its own, which sees the critic's observations and no others."""

    minibatch_size: int = Field(ge=1, le=2**31, description="samples in a minibatch; divides horizon x environments")
    mini_epochs: int = Field(ge=1, le=1000, description="passes over the samples in an update")
    learning_rate: float = Field(gt=0, le=1, description="learning rate")
    lr_schedule: Optional[Literal["linear", "constant"]] = Field(default=None, description="learning-rate schedule")
    clip_value: bool = Field(description="clip the value loss")
    normalize_input: bool = Field(description="normalise observations by running statistics")
    truncate_grads: bool = Field(description="clip gradients to grad_norm")
    grad_norm: float = Field(gt=0, le=1e6, description="largest norm of the gradients")
    network: CentralNetwork = Field(description="the network")


class PPOConfig(Section):
    """The `config` section: PPO's hyper-parameters."""

    REFUSED_KEYS: ClassVar[Mapping[str, str]] = {
        "score_to_win": "it would stop training at a reward, before the iterations are done",
        "max_steps": "it is broken in rl_games 1.6.5; set max_epochs",
        "max_frames": "the length of training is max_epochs",
        "minibatch_size_per_env": "set minibatch_size",
        "games_to_track": _SET_FROM_ENVS,
        "num_actors": _SET_FROM_ENVS,
        "device": "set --rl-device",
        "device_name": "set --rl-device",
        "multi_gpu": "the launcher decides it",
        "name": _RUN_FOLDER,
        "full_experiment_name": _RUN_FOLDER,
        "train_dir": _RUN_FOLDER,
        "env_name": "the task decides it",
        "env_config": "the task's YAML holds it",
        "features": "the program sets it",
        "print_stats": "the log holds what it would print",
        "seq_length": "recurrent policies are not supported",
        "seq_len": "recurrent policies are not supported",
        "player": "policies are tested by this program, not by rl_games' player",
    }

    learning_rate: float = Field(gt=0, le=1, description="learning rate (at the start, where the schedule changes it)")
    lr_schedule: Literal["adaptive", "linear", "constant"] = Field(
        description="adaptive: follows kl_threshold; linear: falls to 1e-6 at max_epochs; constant"
    )
    schedule_type: Optional[Literal["legacy", "standard"]] = Field(
        default=None,
        description="change the rate after each minibatch (legacy, rl_games' default) or after each pass (standard); "
        "not with lr_schedule constant",
    )
    kl_threshold: float = Field(gt=0, le=10, description="the KL divergence that the adaptive schedule aims at")
    kl_threshold_last: Optional[float] = Field(
        default=None,
        gt=0,
        le=10,
        description="kl_threshold becomes this, evenly over the second half of max_epochs (lr_schedule adaptive only); "
        "left out: it stays",
    )
    sigma_last: Optional[float] = Field(
        default=None,
        gt=0,
        lt=1,
        description="the actions' standard deviation is kept below a bound that falls from 1 to this over the second "
        "half of max_epochs, evenly in its logarithm (fixed_sigma true only); left out: it is as learned",
    )
    gamma: float = Field(ge=0, le=1, description="discount factor")
    tau: float = Field(ge=0, le=1, description="lambda of generalised advantage estimation")
    horizon_length: int = Field(ge=1, le=100_000, description="steps of every environment before an update")
    minibatch_size: int = Field(
        ge=1, le=2**31, description="samples in a minibatch; divides horizon_length x environments, and shrinks to it"
    )
    mini_epochs: int = Field(ge=1, le=1000, description="passes over the samples in an update")
    max_epochs: int = Field(ge=1, le=10**9, description="iterations of training; --max-iterations overrides it")
    save_frequency: int = Field(ge=1, le=10**9, description="iterations between checkpoints")
    save_best_after: int = Field(ge=0, le=10**9, description="iterations before a best checkpoint may be kept")
    e_clip: float = Field(gt=0, le=10, description="clipping range of the policy's ratio")
    clip_value: bool = Field(description="clip the value loss by e_clip")
    critic_coef: float = Field(ge=0, le=1e6, description="weight of the value loss")
    entropy_coef: float = Field(ge=0, le=1e3, description="weight of the entropy bonus")
    bounds_loss_coef: float = Field(
        ge=0, le=1e6, description="weight of the loss that keeps action means within [-1.1, 1.1]; 0 for none"
    )
    bound_loss_type: Optional[Literal["bound", "regularisation"]] = Field(
        default=None, description="penalise means beyond the bound (rl_games' default) or all means"
    )
    truncate_grads: bool = Field(description="clip gradients to grad_norm")
    grad_norm: float = Field(gt=0, le=1e6, description="largest norm of the gradients")
    weight_decay: Optional[float] = Field(default=None, ge=0, le=1, description="Adam's weight decay; 0 by default")
    normalize_input: bool = Field(description="normalise observations by running statistics")
    normalize_value: bool = Field(description="normalise returns by running statistics")
    normalize_advantage: bool = Field(description="normalise advantages in each update")
    value_bootstrap: bool = Field(description="count an episode that times out as going on, by its value")
    reward_shaper: RewardShaper = Field(description="what is done to a reward before learning")
    ppo: Literal[True] = Field(description="always true: the clipped policy loss")
    mixed_precision: bool = Field(description="bfloat16 networks, on a GPU")
    torch_compile: Literal[False] = Field(
        description="always false: on a GPU learning is a CUDA graph already, on a CPU compiling gained nothing"
    )
    central_value_config: Optional[CentralValue] = Field(
        default=None, description="a critic with a network of its own; leave it out for none"
    )

    @model_validator(mode="after")
    def _schedules_a_rate_that_changes(self) -> PPOConfig:
        if self.schedule_type is not None and self.lr_schedule == "constant":
            found = "lr_schedule constant does not look at it"
            raise problem(found, "lr_schedule adaptive or linear, or null", ("schedule_type",))
        return self

    @model_validator(mode="after")
    def _adapts_to_both_thresholds(self) -> PPOConfig:
        if self.kl_threshold_last is not None and self.lr_schedule != "adaptive":
            raise problem(
                f"lr_schedule {self.lr_schedule} does not look at it", "lr_schedule adaptive", ("kl_threshold_last",)
            )
        return self


class Algorithm(Section):
    """rl_games' algorithm."""

    name: Literal["a2c_continuous"] = Field(description="PPO with continuous actions")


class PPOParams(Section):
    """The `params` section: all that rl_games is given."""

    REFUSED_KEYS: ClassVar[Mapping[str, str]] = {
        "load_checkpoint": "rl_games ignores it; set --checkpoint",
        "load_path": "set --checkpoint",
        "torch_threads": "set --threads or the environment variable DEXHAND_THREADS",
        "seed": "set --seed; an experiment's seeds stand in configs/experiments.yaml",
    }

    algo: Algorithm = Field(description="the algorithm")
    model: Model = Field(description="the model")
    network: Network = Field(description="the network")
    config: PPOConfig = Field(description="PPO's hyper-parameters")

    @model_validator(mode="after")
    def _bounds_a_learned_deviation(self) -> PPOParams:
        space = self.network.space.continuous
        if self.config.sigma_last is not None and not (space.fixed_sigma and space.sigma_activation == "None"):
            found = "it bounds a standard deviation that is learned as its logarithm"
            raise problem(found, "fixed_sigma true and sigma_activation None", ("config", "sigma_last"))
        return self


class PPOFile(Section):
    """A whole PPO file."""

    params: PPOParams = Field(description="all that rl_games is given")


def train_file(task: str) -> str:
    """The PPO YAML of a task (see :class:`TaskEntry`)."""
    return str(find_task(task).train_file)


def load_ppo(path: Union[str, os.PathLike[str]], overrides: Overrides = None, source: str = "overrides") -> PPOParams:
    """A PPO configuration: the YAML with the overrides on top, checked.

    Args:
        path: a file in rl_games' form.
        overrides: values over the file's, nested as there (``{"params": {"config": {"gamma": 0.9}}}``).
        source: names the overrides in errors; a Layer brings its own name and lines.

    Raises:
        UserError: a file that cannot be read, or the first problem in it.
    """
    stack = Stack([read_yaml(path), as_layer(overrides, source)])
    params = check(PPOFile, stack).params
    _refuse_idle(params.config, stack)
    return params


def _refuse_idle(config: PPOConfig, stack: Stack) -> None:
    """Refuse to set, over a file that has to name it, a key that another one switches off.

    Raises:
        UserError: the first.
    """
    changed = stack.layers[-1].values.get("params", {}).get("config", {})
    for key, idle, found, allowed in (
        ("kl_threshold", config.lr_schedule != "adaptive", f"lr_schedule {config.lr_schedule}", "lr_schedule adaptive"),
        ("grad_norm", not config.truncate_grads, "truncate_grads false", "truncate_grads true"),
        ("bound_loss_type", config.bounds_loss_coef == 0, "bounds_loss_coef 0", "bounds_loss_coef above 0"),
    ):
        if key in changed and idle:
            raise UserError(stack.where(("params", "config", key)), f"{found} does not look at it", allowed)


def fit_minibatch(
    params: PPOParams, num_envs: int, where: str = "params.config.minibatch_size"
) -> Tuple[PPOParams, Optional[str]]:
    """Make the minibatches fit ``horizon_length * num_envs`` samples.

    Args:
        num_envs: environments of one process.
        where: names the minibatch size in errors.

    Returns:
        The parameters, with minibatches larger than the samples shrunk to them, and a one-line notice if any were.

    Raises:
        UserError: more samples than a minibatch holds and not a multiple of it; names the nearest sizes that would do.
            Or a minibatch of one sample, where batch_norm needs two.
    """
    horizon, notices = params.config.horizon_length, []
    changes: Dict[str, Any] = {}
    size = _fitted(params.config.minibatch_size, horizon, num_envs, where)
    _refuse_one_of_a_batch(params.network, size, where)
    if size != params.config.minibatch_size:
        notices.append(f"minibatch_size {params.config.minibatch_size} shrinks to {size}")
        changes["minibatch_size"] = size
    critic = params.config.central_value_config
    if critic is not None:
        size = _fitted(critic.minibatch_size, horizon, num_envs, f"{where} (central_value_config)")
        _refuse_one_of_a_batch(critic.network, size, f"{where} (central_value_config)")
        if size != critic.minibatch_size:
            notices.append(f"central_value_config.minibatch_size {critic.minibatch_size} shrinks to {size}")
            changes["central_value_config"] = critic.model_copy(update={"minibatch_size": size})
    if not changes:
        return params, None
    fitted = params.model_copy(update={"config": params.config.model_copy(update=changes)})
    return fitted, f"{' and '.join(notices)}: horizon_length {horizon} x {num_envs} environments"


def largest_num_envs(params: PPOParams, at_most: int) -> int:
    """The largest number of environments up to ``at_most`` that :func:`fit_minibatch` takes; 0 where there is none."""
    config = params.config
    critic = config.central_value_config
    sizes = {config.minibatch_size} if critic is None else {config.minibatch_size, critic.minibatch_size}
    found = [0]
    for choice in itertools.product(*(((size, True), (size, False)) for size in sizes)):
        # Each minibatch either shrinks to the samples, which are then fewer, or divides them.
        limit = min([at_most, *((size - 1) // config.horizon_length for size, shrinks in choice if shrinks)])
        step = 1
        for size in (size for size, shrinks in choice if not shrinks):
            whole = size // math.gcd(size, config.horizon_length)
            step = step * whole // math.gcd(step, whole)
        found.append(limit // step * step)
    return max(found)


def _fitted(size: int, horizon: int, num_envs: int, where: str) -> int:
    samples = horizon * num_envs
    if samples % size == 0 or size > samples:
        return min(size, samples)
    raise UserError(
        where,
        f"{size} does not divide horizon_length {horizon} x num_envs {num_envs} = {samples}",
        f"minibatch_size {_either(_nearest_divisors(samples, size))}, or num_envs "
        f"{_either(_nearest_num_envs(size, horizon, num_envs))}",
    )


def _refuse_one_of_a_batch(network: CriticNetwork, size: int, where: str) -> None:
    if size == 1 and network.normalization == "batch_norm":
        raise UserError(where, "1 sample has no deviation, and batch_norm divides by it", "2 or more, or layer_norm")


def _nearest_divisors(samples: int, size: int) -> List[int]:
    """The divisors of ``samples`` next below and next above ``size``."""
    small = [n for n in range(1, math.isqrt(samples) + 1) if samples % n == 0]
    divisors = small + [samples // n for n in small]
    return [max(n for n in divisors if n < size), min(n for n in divisors if n > size)]


def _nearest_num_envs(size: int, horizon: int, num_envs: int) -> List[int]:
    """The numbers of environments next below and next above that give whole minibatches, or just one, shrunk."""
    step = size // math.gcd(size, horizon)
    below = max(num_envs // step * step, min(size // horizon, num_envs - 1))
    return [n for n in (below, (num_envs // step + 1) * step) if n >= 1]


def _either(numbers: List[int]) -> str:
    return " or ".join(str(number) for number in numbers)
