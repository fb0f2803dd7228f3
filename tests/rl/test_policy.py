from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.config.physics import load_physics
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import POLICY_KEYS, load_checkpoint, save_checkpoint
from dexhand_env.rl.play import play_episodes
from dexhand_env.rl.policy import Policy
from dexhand_env.rl.training import make_agent
from dexhand_env.tasks.base_task import BaseTask
from dexhand_env.tasks.registry import policy_interface

from .runs import params, spec, task

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def state(straight: Path) -> dict[str, object]:
    return load_checkpoint(straight / "nn" / "checkpoint_6.pth")


def observations(count: int = 50) -> torch.Tensor:
    return torch.randn(count, 124, generator=torch.Generator().manual_seed(0)) * 0.3


def test_it_acts_as_the_agents_mean(state: dict[str, object], straight: Path, tmp_path: Path) -> None:
    agent = make_agent(spec(), tmp_path / "run")
    agent.set_full_state_weights(load_checkpoint(straight / "nn" / "checkpoint_6.pth"))
    agent.model.eval()
    seen = observations()
    with torch.no_grad():
        found = agent.model({"is_train": False, "prev_actions": None, "obs": seen, "rnn_states": None})["mus"]
    actions = Policy(state, CPU)(seen)
    assert torch.equal(actions, torch.clamp(found, -1.0, 1.0))
    assert actions.shape == (50, 18)
    assert actions.std() > 0.0


def test_it_uses_no_random_numbers(state: dict[str, object]) -> None:
    policy = Policy(state, CPU)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = policy(observations())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    assert torch.equal(policy(observations()), first)


def test_it_does_not_learn_from_what_it_sees(state: dict[str, object]) -> None:
    policy = Policy(state, CPU)
    first = policy(observations())
    for _ in range(5):
        policy(observations() * 100.0)
    assert torch.equal(policy(observations()), first)
    assert not first.requires_grad


def test_actions_are_clipped(state: dict[str, object]) -> None:
    assert Policy(state, CPU)(observations() * 1e4).abs().max() <= 1.0


def test_another_environment_is_refused(state: dict[str, object]) -> None:
    """Another task, or a file that says no more of its observations and actions than how many there are."""
    own = policy_interface(spec().task, spec().physics)
    longer = own.model_copy(update={"policy": (*own.policy, ("hand_position", 35))})
    fewer = own.model_copy(update={"driven_parts": ("fingers",)})
    policy = Policy(state, CPU, "checkpoint x.pth")
    older = Policy({key: value for key, value in state.items() if key != "interface"}, CPU, "checkpoint x.pth")
    policy.check("BaseTask", own)
    older.check("BaseTask", own)
    for refusing, name, wanted in (
        (policy, "DexGrasp", own),
        (older, "DexGrasp", own),
        (older, "BaseTask", longer),
        (older, "BaseTask", fewer),
    ):
        with pytest.raises(
            UserError, match=r"checkpoint x\.pth: was trained for BaseTask with 124 observations and 18"
        ):
            refusing.check(name, wanted)


def test_weights_of_another_shape_are_refused(state: dict[str, object]) -> None:
    with pytest.raises(UserError, match="checkpoint: ") as caught:
        Policy({**state, "num_actions": 12}, CPU)
    assert "\n" not in str(caught.value)


def test_a_policy_file_needs_all_that_a_policy_needs(state: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    for key in POLICY_KEYS:
        save_checkpoint(path, {name: value for name, value in state.items() if name != key})
        with pytest.raises(UserError, match=f"lacks {key};"):
            load_checkpoint(path)
    save_checkpoint(path, {key: state[key] for key in POLICY_KEYS})
    assert Policy(load_checkpoint(path), CPU)(observations()).shape == (50, 18)


def fresh_policy(units: list[int], observed: int, num_actions: int, **mlp: object) -> Policy:
    """A policy with the weights that it would begin to learn with."""
    from rl_games.algos_torch.model_builder import ModelBuilder

    network = {key: params()[key] for key in ("algo", "model", "network")}
    network["network"]["mlp"].update(units=units, **mlp)
    sizes = {"actions_num": num_actions, "input_shape": (observed,), "num_seqs": 1, "value_size": 1}
    normalised = {"normalize_value": True, "normalize_input": True}
    torch.manual_seed(0)
    model = ModelBuilder().load(copy.deepcopy(network)).build({**sizes, **normalised})
    described = {"task": "BaseTask", "num_actions": num_actions, "observation_size": observed, "network": network}
    return Policy({**described, **normalised, "model": model.state_dict()}, CPU)


NETWORKS = [
    ([32, 32], 124, 18, {}),
    ([128, 64], 159, 18, {}),
    ([512, 256, 128], 124, 12, {"activation": "gelu"}),
    ([50], 35, 6, {"activation": "tanh"}),
    ([7, 5], 7, 3, {}),
    ([33, 9, 1], 5, 1, {}),
    ([30, 20], 21, 6, {"d2rl": True}),
]


@pytest.mark.parametrize(("units", "observed", "num_actions", "mlp"), NETWORKS)
def test_an_action_is_the_same_in_any_company(
    units: list[int], observed: int, num_actions: int, mlp: dict[str, object]
) -> None:
    """To the bit: however many there are, and wherever among them an observation stands."""
    policy = fresh_policy(units, observed, num_actions, **mlp)
    pool = torch.randn(200, observed, generator=torch.Generator().manual_seed(1))
    expected = policy(pool)
    assert len({tuple(row) for row in expected.tolist()}) > 100

    @settings(deadline=None, max_examples=40, derandomize=True)
    @given(st.lists(st.integers(0, len(pool) - 1), min_size=1, max_size=40))
    def same(rows: list[int]) -> None:
        assert torch.equal(policy(pool[rows]), expected[rows])

    same()
    for count in range(1, 70):
        assert torch.equal(policy(pool[count : 2 * count]), expected[count : 2 * count])


def test_a_tested_episode_has_the_same_bytes_in_any_company() -> None:
    """Physics, rewards and the network: one episode at a time, some at once, all at once."""
    hard = {"position_m": 0.02, "rotation_rad": 0.1, "finger_rad": 0.1, "hold_steps": 3}
    noisy = {"action_delay_steps": [0, 2], "action_noise": 0.05, "observation_noise": {"joint_positions": 0.01}}
    short = task(episode_length_steps=8, success=hard, randomisation=noisy)
    policy = fresh_policy([128, 64], 124, 18)
    tables = [play_episodes(short, load_physics("fast"), policy, 700, 13, worlds=worlds)[0] for worlds in (1, 4, 5, 13)]
    assert len(set(tables[0].returns.tolist())) == 13
    for table in tables[1:]:
        assert table.returns.tobytes() == tables[0].returns.tobytes()
        for name, values in tables[0].metrics.items():
            assert table.metrics[name].tobytes() == values.tobytes()


def test_metrics_whose_names_change_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, calls = BaseTask.metrics, itertools.count()

    def growing(self: BaseTask) -> dict[str, torch.Tensor]:
        late = {"late": torch.zeros(self.num_envs)} if next(calls) > 0 else {}
        return {**metrics(self), **late}

    monkeypatch.setattr(BaseTask, "metrics", growing)
    policy = fresh_policy([32, 32], 124, 18)
    with pytest.raises(UserError, match=r"metrics\(\): gives .* first and .*, late a step later"):
        play_episodes(task(episode_length_steps=8), load_physics("fast"), policy, 0, 2, worlds=2)
