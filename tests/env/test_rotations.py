"""Quaternions against products of rotation matrices, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.env.rotations import angle_between, quaternion_from_hinges, turned_back

angles = st.tuples(*[st.floats(-math.pi, math.pi)] * 3)
axes = st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1)


def about(axis: int, angle: float) -> np.ndarray:
    """Matrix of a turn about a coordinate axis."""
    cosine, sine = math.cos(angle), math.sin(angle)
    first, second = [index for index in range(3) if index != axis]
    result = np.eye(3)
    result[first, first] = result[second, second] = cosine
    sign = -1.0 if axis == 1 else 1.0
    result[first, second], result[second, first] = -sign * sine, sign * sine
    return result


def matrix(quaternion: torch.Tensor) -> np.ndarray:
    """Columns are the turned axes: v + 2 w (u x v) + 2 u x (u x v)."""
    w, u = float(quaternion[0]), quaternion[1:].double().numpy()
    return np.stack([v + 2 * w * np.cross(u, v) + 2 * np.cross(u, np.cross(u, v)) for v in np.eye(3)], axis=1)


def single(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


def turn(axis: tuple[float, float, float], angle: float) -> torch.Tensor:
    unit = np.asarray(axis) / np.linalg.norm(axis)
    return single((math.cos(angle / 2), *(math.sin(angle / 2) * unit)))


@given(angles)
def test_hinges_turn_about_their_own_x_then_y_then_z(values: tuple[float, float, float]) -> None:
    found = quaternion_from_hinges(single(values))
    assert float(found.norm()) == pytest.approx(1.0, abs=1e-6)
    expected = about(0, values[0]) @ about(1, values[1]) @ about(2, values[2])
    np.testing.assert_allclose(matrix(found[0]), expected, atol=3e-6)


@given(angles, angles)
def test_the_angle_is_that_of_the_relative_rotation(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    a, b = quaternion_from_hinges(single(first)), quaternion_from_hinges(single(second))
    relative = matrix(a[0]).T @ matrix(b[0])
    sine = np.linalg.norm(relative - relative.T) / (2 * math.sqrt(2))
    expected = math.atan2(sine, (np.trace(relative) - 1) / 2)
    assert float(angle_between(a, b)) == pytest.approx(expected, abs=5e-6)


@given(axes, st.floats(0.0, math.pi), angles)
def test_a_known_turn_is_measured(
    axis: tuple[float, float, float], angle: float, frame: tuple[float, float, float]
) -> None:
    start = quaternion_from_hinges(single(frame))
    step = turn(axis, angle)
    w1, u1, w2, u2 = start[0, 0], start[0, 1:], step[0, 0], step[0, 1:]
    end = torch.cat(((w1 * w2 - u1 @ u2)[None], w1 * u2 + w2 * u1 + torch.linalg.cross(u1, u2)))[None]
    assert float(angle_between(start, end)) == pytest.approx(angle, abs=2e-6)


@given(axes, st.floats(-6, -1))
def test_small_angles_keep_their_digits(axis: tuple[float, float, float], exponent: float) -> None:
    angle = 10.0**exponent
    identity = single((1.0, 0.0, 0.0, 0.0))
    assert float(angle_between(identity, turn(axis, angle))) == pytest.approx(angle, rel=1e-5)


@given(angles, angles)
def test_the_angle_is_symmetric_and_blind_to_the_sign(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    a, b = quaternion_from_hinges(single(first)), quaternion_from_hinges(single(second))
    angle = angle_between(a, b)
    assert 0.0 <= float(angle) <= math.pi + 1e-6
    for other in (angle_between(b, a), angle_between(-a, b), angle_between(a, -b)):
        torch.testing.assert_close(other, angle, rtol=0.0, atol=1e-6)
    assert float(angle_between(a, -a)) == pytest.approx(0.0, abs=1e-6)


def test_batches_are_rows() -> None:
    values = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    whole = quaternion_from_hinges(values)
    assert whole.shape == (7, 4)
    for row in range(7):
        torch.testing.assert_close(whole[row], quaternion_from_hinges(values[[row]])[0])
    assert angle_between(whole, whole.roll(1, 0)).shape == (7,)


@given(angles, axes)
def test_what_is_turned_back_was_turned_by_the_matrix(hinges: tuple[float, ...], vector: tuple[float, ...]) -> None:
    quaternion = quaternion_from_hinges(single(hinges))
    turned = torch.tensor(matrix(quaternion[0]) @ np.array(vector), dtype=torch.float32)
    found = turned_back(turned.expand(1, 2, 3), quaternion)
    np.testing.assert_allclose(found[0].numpy(), [vector, vector], atol=2e-6)
