from __future__ import annotations

from typing import Optional, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.actions import Actions
from dexhand_env.env.actions import HandControls
from dexhand_env.hand.joints import CONTROL_NAMES, CONTROL_RANGES

DT_S = 0.02
MODES = ("position", "position_delta")
LIMITS = (0.5, 0.4, 0.3, 1.5, 1.4, 1.3, *(2.0 + 0.1 * index for index in range(12)))
MAX_CHANGE = torch.tensor(LIMITS) * DT_S
RANGES = torch.tensor(CONTROL_RANGES)
# Rounding in float32 of a target of at most 3.14.
ROUNDING = 1e-6


def settings(
    mode: str,
    base: bool = True,
    fingers: bool = True,
    lead_limit_s: Optional[float] = None,
    limits: Sequence[float] = LIMITS,
) -> Actions:
    return Actions.model_validate(
        {
            "mode": mode,
            "lead_limit_s": lead_limit_s,
            "base": {
                "policy": base,
                "linear_velocity_limit_m_per_s": list(limits[:3]),
                "angular_velocity_limit_rad_per_s": list(limits[3:6]),
                "fixed_targets": [0.1, -0.1, 0.2, 0.3, -0.3, 0.5],
            },
            "fingers": {
                "policy": fingers,
                "velocity_limit_rad_per_s": list(limits[6:]),
                "fixed_targets": [0.2] * 12,
            },
        }
    )


def controls(mode: str, base: bool = True, fingers: bool = True, lead_limit_s: Optional[float] = None) -> HandControls:
    return HandControls(settings(mode, base, fingers, lead_limit_s), DT_S, torch.device("cpu"))


def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Numbers in [0, 1] with the ends well represented."""
    values = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.clamp(values * 1.4 - 0.2, 0.0, 1.0)


def within_range(seed: int, worlds: int) -> torch.Tensor:
    return RANGES[:, 0] + drawn(seed, worlds, 18) * (RANGES[:, 1] - RANGES[:, 0])


parts = st.sampled_from([(True, True), (True, False), (False, True)])
seeds = st.integers(0, 2**31)


@given(mode=st.sampled_from(MODES), part=parts, seed=seeds)
def test_targets_stay_in_range_and_below_the_limit(mode: str, part: tuple[bool, bool], seed: int) -> None:
    hand = controls(mode, *part)
    targets = hand.with_fixed(within_range(seed, 5))
    for step in range(6):
        moved = hand.apply(targets, drawn(seed + step, 5, hand.num_actions) * 2.0 - 1.0, targets)
        assert moved.shape == (5, 18)
        assert (moved >= RANGES[:, 0]).all()
        assert (moved <= RANGES[:, 1]).all()
        assert ((moved - targets).abs() <= MAX_CHANGE + ROUNDING).all()
        fixed = [index for index in range(18) if index not in hand.policy_controls.tolist()]
        assert torch.equal(moved[:, fixed], targets[:, fixed])
        targets = moved


@given(seed=seeds, part=parts)
def test_no_action_in_delta_mode_is_no_motion(seed: int, part: tuple[bool, bool]) -> None:
    hand = controls("position_delta", *part)
    targets = hand.with_fixed(within_range(seed, 4))
    assert torch.equal(hand.apply(targets, torch.zeros(4, hand.num_actions), targets), targets)


@given(seed=seeds)
def test_a_delta_action_is_a_share_of_the_limit(seed: int) -> None:
    hand = controls("position_delta")
    middle = RANGES.mean(dim=1).repeat(3, 1)
    actions = drawn(seed, 3, 18) * 2.0 - 1.0
    torch.testing.assert_close(
        hand.apply(middle, actions, middle) - middle, actions * MAX_CHANGE, rtol=0.0, atol=ROUNDING
    )


def test_other_limits_count_at_once() -> None:
    hand = controls("position_delta", lead_limit_s=1.0)
    slower = settings("position_delta", lead_limit_s=DT_S / 2.0, limits=[limit / 2.0 for limit in LIMITS])
    targets, forward = torch.zeros(1, 18) + RANGES.mean(dim=1), torch.ones(1, 18)
    assert torch.allclose(hand.apply(targets, forward, targets) - targets, MAX_CHANGE, atol=ROUNDING)
    hand.use(slower)
    assert torch.allclose(hand.apply(targets, forward, targets) - targets, MAX_CHANGE / 4.0, atol=ROUNDING)


@given(seed=seeds)
def test_a_position_action_names_a_place_in_the_range(seed: int) -> None:
    hand = controls("position")
    actions = drawn(seed, 3, 18) * 2.0 - 1.0
    named = RANGES[:, 0] + (actions + 1.0) / 2.0 * (RANGES[:, 1] - RANGES[:, 0])
    targets = within_range(seed + 1, 3)
    distance = (named - targets).abs()
    for _ in range(int((distance / MAX_CHANGE).max()) + 2):
        targets = hand.apply(targets, actions, targets)
        assert ((named - targets).abs() <= distance + ROUNDING).all()
        distance = (named - targets).abs()
    torch.testing.assert_close(targets, named, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(("action", "end"), [(-1.0, 0), (1.0, 1)])
@pytest.mark.parametrize("mode", MODES)
def test_the_ends_of_the_range_are_reached(mode: str, action: float, end: int) -> None:
    hand = controls(mode)
    targets = torch.zeros(1, 18)
    for _ in range(400):
        targets = hand.apply(targets, torch.full((1, 18), action), targets)
    torch.testing.assert_close(targets[0], RANGES[:, end])


@given(mode=st.sampled_from(MODES), seed=seeds, lead_limit_s=st.floats(0.01, 1.0))
def test_no_target_leads_by_more_than_its_limit(mode: str, seed: int, lead_limit_s: float) -> None:
    """Wherever the controls are; no other target is changed."""
    limited, free = controls(mode, lead_limit_s=lead_limit_s), controls(mode)
    targets, positions, actions = within_range(seed, 4), within_range(seed + 1, 4), drawn(seed + 2, 4, 18) * 2.0 - 1.0
    lead = torch.tensor(LIMITS) * lead_limit_s
    moved, unlimited = (hand.apply(targets, actions, positions) for hand in (limited, free))
    assert ((moved - positions).abs() <= lead + ROUNDING).all()
    assert (moved >= RANGES[:, 0]).all()
    assert (moved <= RANGES[:, 1]).all()
    near = (unlimited - positions).abs() <= lead - ROUNDING
    assert torch.equal(moved[near], unlimited[near])


def test_a_fixed_control_may_be_far_from_its_target() -> None:
    hand = controls("position_delta", base=False, lead_limit_s=0.05)
    targets = hand.with_fixed(torch.zeros(1, 18))
    moved = hand.apply(targets, torch.ones(1, 12), torch.zeros(1, 18))
    assert torch.equal(moved[:, :6], targets[:, :6])


@given(seed=seeds)
def test_the_coupling_can_be_undone(seed: int) -> None:
    hand = controls("position")
    values = within_range(seed, 4)
    joints = hand.to_joints(values)
    assert joints.shape == (4, 26)
    torch.testing.assert_close(hand.from_joints(joints), values)


def test_a_control_is_where_its_joints_are_on_average() -> None:
    hand = controls("position")
    values = torch.zeros(1, 18)
    joints = hand.to_joints(values)
    spread = CONTROL_NAMES.index("spread")
    joints[0, 6 + 4 * 4] = 0.6  # the little finger's spread alone, which turns twice as far as the others'
    assert float(hand.from_joints(joints)[0, spread]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("part", "expected"),
    [((True, True), range(18)), ((True, False), range(6)), ((False, True), range(6, 18))],
)
def test_the_policy_moves_the_parts_it_is_given(part: tuple[bool, bool], expected: range) -> None:
    hand = controls("position_delta", *part)
    assert hand.num_actions == len(expected)
    assert hand.policy_controls.tolist() == list(expected)
    start = torch.full((1, 18), 0.1)
    moved = hand.apply(start, torch.ones(1, hand.num_actions), start)
    assert (moved[0] != 0.1).nonzero()[:, 0].tolist() == list(expected)
    fixed = hand.with_fixed(torch.full((1, 18), 0.15))[0]
    wanted = [
        0.15 if index in expected else ([0.1, -0.1, 0.2, 0.3, -0.3, 0.5] + [0.2] * 12)[index] for index in range(18)
    ]
    torch.testing.assert_close(fixed, torch.tensor(wanted))
