"""PPO configurations: the guide's defaults, rl_games' traps, and minibatches that fit."""

from __future__ import annotations

import json
import re
from typing import Any, Dict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.config.ppo import PPOParams, fit_minibatch, largest_num_envs, load_ppo, train_file
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.errors import UserError

DEFAULT = load_ppo(train_file("BaseTask"))
CRITIC: Dict[str, Any] = {
    "minibatch_size": 4096,
    "mini_epochs": 4,
    "learning_rate": 1e-3,
    "clip_value": True,
    "normalize_input": True,
    "truncate_grads": True,
    "grad_norm": 1,
    "network": {"name": "actor_critic", "central_value": True, "mlp": DEFAULT.network.mlp.dump()},
}


def ppo(*overrides: str) -> PPOParams:
    return load_ppo(train_file("BaseTask"), parse_overrides([f"params.{item}" for item in overrides], "--set"), "--set")


def test_the_defaults_are_the_guides() -> None:
    config = DEFAULT.config
    assert (config.learning_rate, config.gamma) == (3e-4, 0.99)
    assert (config.horizon_length, config.minibatch_size, config.mini_epochs) == (16, 8192, 8)
    assert config.max_epochs == 10000
    assert DEFAULT.network.space.continuous.sigma_init.val == 0.0


def test_a_dump_is_json_without_absent_keys_and_loads_to_an_equal_configuration() -> None:
    dump = json.loads(json.dumps(DEFAULT.dump(), allow_nan=False))
    assert PPOParams.model_validate(dump) == DEFAULT
    assert "central_value_config" not in dump["config"]
    assert dump["network"]["space"]["continuous"]["mu_activation"] == "None"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("config.score_to_win=1", "params.config.score_to_win: this key is not taken: it would stop training"),
        ("config.max_steps=1", "params.config.max_steps: this key is not taken: it is broken in rl_games"),
        ("config.num_actors=1", "this key is not taken: the number of environments decides it"),
        ("config.device=cpu", "this key is not taken: set --rl-device"),
        ("load_checkpoint=true", "params.load_checkpoint: this key is not taken: rl_games ignores it"),
        ("torch_threads=2", "this key is not taken: set --threads or the environment variable DEXHAND_THREADS"),
        ("network.rnn={}", "this key is not taken: recurrent policies are not supported"),
        ("network.space.discrete={}", "this key is not taken: the hand's actions are continuous"),
        ("config.gama=1", "params.config.gama: unknown key; allowed: gamma (the nearest), or one of the"),
        ("config.lr_schedule=null", "found null; allowed: adaptive, linear, constant"),
        ("config.bounds_loss_coef=null", "found null; allowed: a number from 0 to"),
        ("config.kl_threshold='1e-3'", "found '1e-3'; allowed: a number above 0 and at most 10"),
        ("config.sigma_last=1", "found 1; allowed: a number above 0 and below 1"),
        ("config.kl_threshold_last=0", "found 0; allowed: a number above 0 and at most 10"),
        ("config.gamma=1.01", "found 1.01; allowed: a number from 0 to 1"),
        ("config.minibatch_size=0", "found 0; allowed: a whole number from 1 to"),
        ("config.torch_compile=true", "found true; allowed: false"),
        ("config.ppo=false", "found false; allowed: true"),
        ("network.space.continuous.mu_activation=null", "found null; allowed: relu, tanh"),
        ("network.space.continuous.sigma_init.val=null", "sigma_init.val: missing key; allowed: a number"),
        (
            "network.space.continuous.sigma_init.name=default",
            "val: default does not take it; allowed: no argument; null",
        ),
        ("network.mlp.units=[]", "found a list of 0 items; allowed: a list of 1 or more items"),
        ("network.mlp.units=[64, 0]", "params.network.mlp.units[1]: found 0; allowed: a whole number from 1"),
        ("model.name=continuous_a2c", "found 'continuous_a2c'; allowed: continuous_a2c_logstd"),
        ("algo.name=sac", "found 'sac'; allowed: a2c_continuous"),
        ("seed=1", "params.seed: this key is not taken: set --seed"),
    ],
)
def test_what_rl_games_would_ignore_or_crash_on_is_refused(override: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        ppo(override)
    assert message in str(raised.value)


def test_a_threshold_that_the_schedule_does_not_look_at_is_refused() -> None:
    assert ppo("config.kl_threshold_last=0.01").config.kl_threshold_last == 0.01
    with pytest.raises(UserError) as raised:
        ppo("config.kl_threshold_last=0.01", "config.lr_schedule=linear")
    found = "kl_threshold_last: lr_schedule linear does not look at it; allowed: lr_schedule adaptive"
    assert found in str(raised.value)


@pytest.mark.parametrize(
    ("key", "switch", "allowed"),
    [
        ("kl_threshold=0.01", "lr_schedule=constant", "lr_schedule adaptive"),
        ("kl_threshold=0.01", "lr_schedule=linear", "lr_schedule adaptive"),
        ("grad_norm=0.5", "truncate_grads=false", "truncate_grads true"),
        ("bound_loss_type=regularisation", "bounds_loss_coef=0", "bounds_loss_coef above 0"),
    ],
)
def test_a_key_that_another_switches_off_is_refused(key: str, switch: str, allowed: str) -> None:
    ppo(f"config.{switch}")
    ppo(f"config.{key}")
    with pytest.raises(UserError, match=f"{key.partition('=')[0]}: .* does not look at it; allowed: {allowed}"):
        ppo(f"config.{key}", f"config.{switch}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["network.normalization=layer_norm"],
            "params.network.normalization: rl_games leaves it out without mlp.d2rl; allowed: mlp.d2rl true, or null",
        ),
        (
            ["network.normalization=batch_norm", "network.mlp.d2rl=false"],
            "params.network.normalization: rl_games leaves it out without mlp.d2rl",
        ),
        (
            ["network.space.continuous.sigma_init={name: orthogonal, val: null}"],
            "continuous.sigma_init.name: orthogonal is for a layer's weights, and with fixed_sigma true there are none",
        ),
        (
            ["config.schedule_type=standard", "config.lr_schedule=constant"],
            "params.config.schedule_type: lr_schedule constant does not look at it; allowed: lr_schedule adaptive or",
        ),
    ],
)
def test_a_key_that_another_one_makes_useless_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        ppo(*overrides)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_so_it_is_in_a_critic_of_its_own() -> None:
    network = {**CRITIC["network"], "normalization": "layer_norm"}
    with pytest.raises(UserError, match=r"central_value_config\.network\.normalization: rl_games leaves it out"):
        load_ppo(
            train_file("BaseTask"), {"params": {"config": {"central_value_config": {**CRITIC, "network": network}}}}
        )
    network["mlp"] = {**network["mlp"], "d2rl": True}
    load_ppo(train_file("BaseTask"), {"params": {"config": {"central_value_config": {**CRITIC, "network": network}}}})


def test_only_a_learned_deviation_can_be_bounded() -> None:
    assert ppo("config.sigma_last=0.2").config.sigma_last == 0.2
    with pytest.raises(UserError) as raised:
        ppo("config.sigma_last=0.2", "network.space.continuous.fixed_sigma=false")
    assert "config.sigma_last: it bounds a standard deviation that is learned as its logarithm" in str(raised.value)
    assert str(raised.value).endswith("allowed: fixed_sigma true and sigma_activation None")


def test_keys_that_rl_games_needs_are_required() -> None:
    needed = ["lr_schedule", "kl_threshold", "bounds_loss_coef", "normalize_advantage", "entropy_coef", "reward_shaper"]
    for key in needed:
        values = DEFAULT.dump()
        del values["config"][key]
        with pytest.raises(ValueError, match=key):
            PPOParams.model_validate(values)


def test_a_small_run_shrinks_its_minibatch_with_a_notice() -> None:
    fitted, notice = fit_minibatch(DEFAULT, 64)
    assert fitted.config.minibatch_size == 16 * 64
    assert notice == "minibatch_size 8192 shrinks to 1024: horizon_length 16 x 64 environments"
    assert DEFAULT.config.minibatch_size == 8192
    assert fit_minibatch(DEFAULT, 1024) == (DEFAULT, None)


def test_batch_norm_needs_two_samples() -> None:
    params = ppo("network.normalization=batch_norm", "network.mlp.d2rl=true", "config.horizon_length=1")
    with pytest.raises(UserError, match="minibatch_size: 1 sample has no deviation, and batch_norm divides by it"):
        fit_minibatch(params, 1)
    assert fit_minibatch(params, 2)[0].config.minibatch_size == 2


def test_the_critics_minibatch_is_fitted_too() -> None:
    params = load_ppo(train_file("BaseTask"), {"params": {"config": {"central_value_config": CRITIC}}})
    fitted, notice = fit_minibatch(params, 64)
    assert fitted.config.central_value_config is not None
    assert fitted.config.central_value_config.minibatch_size == 1024
    assert notice is not None
    assert notice.count("shrinks") == 2


def test_a_minibatch_that_does_not_divide_names_what_would() -> None:
    with pytest.raises(UserError) as raised:
        fit_minibatch(DEFAULT, 1000, where="my.yaml: train.params.config.minibatch_size")
    assert str(raised.value) == (
        "my.yaml: train.params.config.minibatch_size: 8192 does not divide horizon_length 16 x num_envs 1000 = 16000; "
        "allowed: minibatch_size 8000 or 16000, or num_envs 512 or 1024"
    )


@given(st.integers(1, 64), st.integers(1, 3000), st.integers(1, 5000))
def test_minibatches_fit_or_the_nearest_that_do_are_named(horizon: int, num_envs: int, size: int) -> None:
    def sized(minibatch_size: int) -> PPOParams:
        config = DEFAULT.config.model_copy(update={"horizon_length": horizon, "minibatch_size": minibatch_size})
        return DEFAULT.model_copy(update={"config": config})

    try:
        fitted, notice = fit_minibatch(sized(size), num_envs)
    except UserError as error:
        sizes, counts = (re.findall(r"\d+", part) for part in str(error).split("; allowed: ")[1].split(", or num_envs"))
        assert sizes
        assert counts
        assert all(fit_minibatch(sized(int(other)), num_envs)[1] is None for other in sizes)
        for count in counts:
            fit_minibatch(sized(size), int(count))  # does not raise
        between = range(min(map(int, counts)) + 1, num_envs) if int(counts[0]) < num_envs else range(0)
        assert all(horizon * n > size and horizon * n % size for n in between)
    else:
        assert horizon * num_envs % fitted.config.minibatch_size == 0
        assert (notice is None) == (fitted.config.minibatch_size == size)
        assert fitted.config.minibatch_size <= size


def test_rl_games_builds_the_default_network_and_every_initializer_and_activation() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("rl_games")
    from rl_games.algos_torch.model_builder import ModelBuilder

    arguments: Dict[str, Dict[str, Any]] = {
        "const_initializer": {"val": 0.1},
        "random_uniform_initializer": {"a": -0.1, "b": 0.1},
    }
    initializers = ["default", "const_initializer", "orthogonal_initializer", "glorot_normal_initializer"]
    initializers += ["glorot_uniform_initializer", "random_uniform_initializer", "kaiming_normal", "orthogonal"]
    activations = ["relu", "tanh", "sigmoid", "elu", "selu", "swish", "gelu", "softplus", "None"]
    variants: list[Dict[str, Any]] = [{}]
    variants += [{"mlp": {"initializer": {"name": name, **arguments.get(name, {})}}} for name in initializers]
    variants += [{"mlp": {"activation": name}, "value_activation": name} for name in activations]
    variants += [{"mlp": {"d2rl": True}}, {"separate": True, "mlp": {"d2rl": True}, "normalization": "layer_norm"}]
    for variant in variants:
        small = {"mlp": {"units": [8, 8], **variant.pop("mlp", {})}, **variant}
        params = load_ppo(train_file("BaseTask"), {"params": {"network": small}}).dump()
        shape = {"actions_num": 18, "input_shape": (124,), "num_seqs": 1, "value_size": 1}
        model = ModelBuilder().load(params).build({**shape, "normalize_value": True, "normalize_input": True})
        out = model({"is_train": False, "prev_actions": None, "obs": torch.zeros(2, 124), "rnn_states": None})
        assert out["mus"].shape == (2, 18)
        assert torch.allclose(out["sigmas"], torch.ones(2, 18))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 400), st.none() | st.integers(1, 400), st.integers(0, 200))
def test_the_largest_number_of_environments_is_the_last_that_is_taken(
    horizon: int, size: int, critic: int | None, at_most: int
) -> None:
    config: Dict[str, Any] = {"horizon_length": horizon, "minibatch_size": size}
    if critic is not None:
        config["central_value_config"] = {**CRITIC, "minibatch_size": critic}
    params = load_ppo(train_file("BaseTask"), {"params": {"config": config}})

    def taken(num_envs: int) -> bool:
        try:
            fit_minibatch(params, num_envs)
        except UserError:
            return False
        return True

    assert largest_num_envs(params, at_most) == max((n for n in range(1, at_most + 1) if taken(n)), default=0)
