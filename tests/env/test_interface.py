"""What a policy's observations and actions mean: said alike by configuration and environment, kept, and compared."""

from __future__ import annotations

import io
from typing import Any, Dict, List, Tuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.interface import PolicyInterface, first_difference, interface_from_plain
from dexhand_env.errors import UserError
from dexhand_env.tasks.registry import policy_interface

from .environments import base_task, training_env
from .scripted_task import ScriptedTask, build, task_config

FAST = load_physics("fast")
OWN = policy_interface(base_task(observations={"policy": ["goal", "goal_errors"], "critic": ["joint_positions"]}), FAST)


def grasp(**overrides: Any) -> Any:
    return load_task("DexGrasp", {"sim": {"physics": "fast"}, **overrides})


@pytest.mark.parametrize(
    "config",
    [
        base_task(observations={"policy": ["goal_errors", "previous_actions"], "critic": ["fingertip_forces", "goal"]}),
        base_task(hand={"side": "left"}, actions={"mode": "position", "base": {"policy": False}}),
        base_task(actions={"fingers": {"policy": False}}),
        grasp(),
    ],
)
def test_a_configuration_says_the_same_as_the_environment_that_is_made_of_it(config: Any) -> None:
    env, said = training_env(2, config=config), policy_interface(config, FAST)
    assert said == env.interface
    assert [key for key, _ in said.policy] == list(config.observations.policy)
    assert [key for key, _ in said.critic] == list(config.observations.critic)
    assert (said.hand_side, said.action_mode) == (config.hand.side, config.actions.mode)
    assert (said.observation_size, said.num_actions) == (env.observation_sizes["policy"], env.num_actions)
    assert said.critic_size == env.observation_sizes.get("critic", 0)


def test_where_only_code_knows_the_observations_the_environment_says_them() -> None:
    rewards = {"number": 1.0, "constant": 0.0, "success": 1.0}
    env = build(ScriptedTask, task_config(rewards, observations={"policy": ["hand_position"]}), 2)
    assert env.interface.policy == (("hand_position", 3),)
    assert env.interface.driven_parts == ("base", "fingers")
    assert env.interface.control_dt_s == 0.02


def test_what_may_differ_when_a_policy_is_played_or_gone_on_with_is_no_part_of_it() -> None:
    """Physics, limits of speed and lead, fixed targets, randomisation, rewards, episodes' length."""
    changed = {
        "actions": {
            "lead_limit_s": 0.1,
            "base": {"linear_velocity_limit_m_per_s": 0.1, "fixed_targets": [0.1, 0, 0, 0, 0, 0]},
            "fingers": {"velocity_limit_rad_per_s": 0.5},
        },
        "hand": {"base_force_limit_n": 10.0},
        "randomisation": {"action_noise": 0.1, "action_delay_steps": [0, 2]},
        "rewards": {"success": 5.0},
        "episode_length_steps": 50,
    }
    assert policy_interface(base_task(**changed), load_physics("reference")) == policy_interface(base_task(), FAST)


@st.composite
def two_orders(draw: st.DrawFn) -> Tuple[List[Tuple[str, int]], List[Tuple[str, int]]]:
    keys = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
    listed = [(key, draw(st.integers(0, 3))) for key in keys]
    return listed, draw(st.permutations(listed))


@pytest.mark.parametrize("group", ["policy", "critic"])
@given(orders=two_orders())
def test_another_order_of_the_same_observations_differs_at_its_first_place(group: str, orders: Any) -> None:
    found, wanted = (OWN.model_copy(update={group: tuple(order)}) for order in orders)
    places = [place for place, (had, needed) in enumerate(zip(*orders)) if had != needed]
    difference = first_difference(found, wanted)
    if not places:
        assert difference is None
        return
    had, needed = (order[places[0]] for order in orders)
    assert difference == (
        f"observation {places[0] + 1} of the {group}: {had[0]} ({had[1]})",
        f"{needed[0]} ({needed[1]})",
    )


@pytest.mark.parametrize(
    ("changes", "found", "wanted"),
    [
        ({"hand_side": "left"}, "was trained with hand.side right", "hand.side left"),
        ({"action_mode": "position"}, "was trained with actions.mode position_delta", "actions.mode position"),
        (
            {"driven_parts": ("fingers",)},
            "was trained with actions of the base and the fingers",
            "actions of the fingers",
        ),
        ({"control_dt_s": 0.01}, "was trained with a control period of 0.02 s", "a control period of 0.01 s"),
        ({"policy": (("goal", 18),)}, "observation 2 of the policy: goal_errors (18)", "none"),
        ({"policy": (*OWN.policy, ("hand_position", 3))}, "observation 3 of the policy: none", "hand_position (3)"),
        ({"policy": (("goal", 17), ("goal_errors", 19))}, "observation 1 of the policy: goal (18)", "goal (17)"),
        ({"critic": ()}, "observation 1 of the critic: joint_positions (26)", "none"),
    ],
)
def test_the_first_difference_is_named(changes: Dict[str, Any], found: str, wanted: str) -> None:
    assert first_difference(OWN, OWN.model_copy(update=changes)) == (found, wanted)
    assert first_difference(OWN, OWN) is None


def test_the_plain_form_is_read_again_by_torch_without_code_and_is_the_same_bytes_each_time() -> None:
    def saved(interface: PolicyInterface) -> bytes:
        buffer = io.BytesIO()
        torch.save(interface.to_plain(), buffer)
        return buffer.getvalue()

    both = base_task(observations={"policy": ["goal", "hand_position"], "critic": ["hand_position", "goal"]})
    written = saved(policy_interface(both, FAST))
    read = interface_from_plain(torch.load(io.BytesIO(written), weights_only=True), "checkpoint x")
    assert read == policy_interface(both, FAST)
    assert saved(read) == written  # though what torch reads shares no strings with the configuration


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"hand_side": "middle"}, "interface.hand_side"),
        ({"hand_side": None}, "interface.hand_side"),
        ({"driven_parts": []}, "interface.driven_parts"),
        ({"driven_parts": ["wrist"]}, "interface.driven_parts[0]"),
        ({"control_dt_s": float("nan")}, "interface.control_dt_s"),
        ({"control_dt_s": "0.02"}, "interface.control_dt_s"),
        ({"policy": []}, "interface.policy"),
        ({"policy": [["goal"]]}, "interface.policy[0]"),
        ({"policy": [["goal", 18.0]]}, "interface.policy[0][1]"),
        ({"policy": [["goal", True]]}, "interface.policy[0][1]"),
        ({"policy": {"goal": 18}}, "interface.policy"),
        ({"critic": torch.zeros(3)}, "interface.critic"),
        ({"more": 1}, "interface.more"),
    ],
)
def test_a_damaged_one_is_refused_in_one_line(changes: Dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        interface_from_plain({**OWN.to_plain(), **changes}, "checkpoint x.pth")
    message = str(caught.value)
    assert message.startswith(f"checkpoint x.pth: {key}")
    assert message.endswith("; allowed: a checkpoint written by train.py")
    assert "\n" not in message


@pytest.mark.parametrize("values", [None, [], "right", torch.zeros(2), {}])
def test_something_else_in_its_place_is_refused_in_one_line(values: Any) -> None:
    with pytest.raises(UserError, match=r"checkpoint x\.pth: interface.* is damaged"):
        interface_from_plain(values, "checkpoint x.pth")
