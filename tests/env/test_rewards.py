from __future__ import annotations

from typing import Any, Dict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.errors import UserError

from .scripted_task import ScriptedTask, build, script, task_config

weights = st.floats(-10.0, 10.0, width=32)


def scripted(rewards: Dict[str, float], cls: Any = ScriptedTask) -> DexHandEnv:
    return build(cls, task_config(rewards), num_envs=3)


@settings(max_examples=25)
@given(number=weights, constant=weights, action_rate=weights, success=weights)
def test_the_reward_is_the_weighted_sum(number: float, constant: float, action_rate: float, success: float) -> None:
    given_weights = {"number": number, "constant": constant, "action_rate": action_rate, "success": success}
    env = scripted(given_weights)
    script(env).succeed[1] = True
    env.hand.previous_actions = torch.zeros(3, 18)
    step = env.step(torch.full((3, 18), 0.5))
    raw = {
        "number": torch.tensor([1.0, 2.0, 3.0]),
        "constant": torch.full((3,), 0.5),
        "action_rate": torch.full((3,), 0.25),
        "success": torch.tensor([0.0, 1.0, 0.0]),
    }
    assert step.terms.raw.keys() == step.terms.weighted.keys() == raw.keys()
    total = torch.zeros(3)
    for name, term in raw.items():
        torch.testing.assert_close(step.terms.raw[name], term)
        torch.testing.assert_close(step.terms.weighted[name], given_weights[name] * term)
        total += given_weights[name] * term
    torch.testing.assert_close(step.terms.total, total, rtol=1e-5, atol=1e-5)
    assert torch.equal(step.rewards, step.terms.total)


@settings(max_examples=20)
@given(count=st.integers(5, 12), worlds=st.integers(1, 40), seed=st.integers(0, 1000))
def test_a_worlds_sum_has_the_same_bits_in_any_company(count: int, worlds: int, seed: int) -> None:
    """The order of a sum over terms may not depend on the number of worlds."""
    values = torch.randn(count, worlds, generator=torch.Generator().manual_seed(seed))

    class Many(ScriptedTask):
        def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
            chosen = values[:, : self.num_envs]
            return {f"term_{index}": chosen[index] for index in range(count)}

    def totals(number: int) -> torch.Tensor:
        env = build(Many, task_config({f"term_{index}": 0.7 for index in range(count)}), num_envs=number)
        return env.step(torch.zeros(number, 18)).terms.total

    assert torch.equal(totals(1)[0], totals(worlds)[0])


def test_action_rate_is_the_mean_squared_change() -> None:
    env = scripted({"number": 0.0, "constant": 0.0, "action_rate": 1.0})
    first, second = torch.rand(2, 3, 18, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(env.step(first).rewards, first.square().mean(dim=1))
    torch.testing.assert_close(env.step(second).rewards, (second - first).square().mean(dim=1))


def test_common_terms_may_be_left_out_but_no_term_of_the_task() -> None:
    env = scripted({"number": 1.0, "constant": 1.0})
    assert set(env.step(torch.zeros(3, 18)).terms.raw) == {"number", "constant"}
    with pytest.raises(UserError, match=r"rewards\.constant: missing: .* returns this term; allowed: a weight"):
        scripted({"number": 1.0})


def test_a_weight_without_a_term_is_refused() -> None:
    with pytest.raises(UserError, match=r"rewards\.nummer: no reward term has this name; allowed: .*constant, number"):
        scripted({"number": 1.0, "constant": 1.0, "nummer": 1.0})


class Unrewarded(ScriptedTask):
    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        return {}


def test_a_task_without_terms_needs_a_weight_of_some_term() -> None:
    with pytest.raises(UserError, match="rewards: no term has a weight"):
        scripted({}, Unrewarded)
    assert scripted({"success": 1.0}, Unrewarded).step(torch.zeros(3, 18)).rewards.tolist() == [0.0] * 3


class Endless(ScriptedTask):
    """A term that is not finite in the second world, and one in double precision."""

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        known = super().compute_task_rewards()
        return {"number": known["number"].double(), "constant": known["constant"] / torch.tensor([1.0, 0.0, 1.0])}


def test_a_weight_of_0_leaves_a_term_out_whatever_it_is() -> None:
    step = scripted({"number": 2.0, "constant": 0.0}, Endless).step(torch.zeros(3, 18))
    assert step.rewards.tolist() == [2.0, 4.0, 6.0]
    assert step.rewards.dtype == torch.float32
    assert step.terms.weighted["constant"].tolist() == [0.0, 0.0, 0.0]
    assert step.terms.raw["constant"].tolist() == [0.5, float("inf"), 0.5]
    assert scripted({"number": 2.0, "constant": 1.0}, Endless).step(torch.zeros(3, 18)).rewards[1] == float("inf")


class Fading(ScriptedTask):
    """A term that is given in the first steps alone."""

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        known = super().compute_task_rewards()
        return known if len(self.updated) < 3 else {"constant": known["constant"]}


def test_a_term_that_is_gone_is_not_counted_as_nothing() -> None:
    env = scripted({"number": 2.0, "constant": 1.0}, Fading)
    for _ in range(2):
        env.step(torch.zeros(3, 18))
    with pytest.raises(
        UserError, match=r"rewards\.number: compute_task_rewards\(\) does not return this term any more"
    ):
        env.step(torch.zeros(3, 18))
