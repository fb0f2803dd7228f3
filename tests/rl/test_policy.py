from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import POLICY_KEYS, load_checkpoint, save_checkpoint
from dexhand_env.rl.policy import Policy
from dexhand_env.rl.training import make_agent
from dexhand_env.tasks.registry import policy_interface

from .runs import spec

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
    for refusing, task, wanted in (
        (policy, "DexGrasp", own),
        (older, "DexGrasp", own),
        (older, "BaseTask", longer),
        (older, "BaseTask", fewer),
    ):
        with pytest.raises(
            UserError, match=r"checkpoint x\.pth: was trained for BaseTask with 124 observations and 18"
        ):
            refusing.check(task, wanted)


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
