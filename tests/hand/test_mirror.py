from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.hand import joints
from dexhand_env.hand.mirror import frame_axis, mirror_quaternion, mirror_vector
from dexhand_env.hand.model import hand_element

from .hand_models import MIRROR, at_rest, compiled

RIGHT, LEFT = compiled("right"), compiled("left")
shares = st.lists(st.floats(0.0, 1.0), min_size=26, max_size=26).map(np.array)


def _positions(share: np.ndarray, base: bool) -> np.ndarray:
    low, high = RIGHT.jnt_range.T
    position = low + share * (high - low)
    if not base:
        position[:6] = 0.0
    return position


def _pair(position: np.ndarray) -> tuple[mujoco.MjData, mujoco.MjData]:
    """The right hand at joint positions (26,), and the left one at their mirror image."""
    image = position.copy()
    image[[1, 3, 5]] *= -1.0  # ARTy, ARRx, ARRz
    return at_rest(RIGHT, position), at_rest(LEFT, image)


def _assert_mirrored(right: mujoco.MjData, left: mujoco.MjData) -> None:
    for field in ("xpos", "xipos", "site_xpos", "geom_xpos"):
        np.testing.assert_allclose(getattr(right, field) @ MIRROR, getattr(left, field), atol=1e-9, err_msg=field)


@settings(max_examples=50, deadline=None)
@given(shares)
def test_the_same_finger_angles_give_the_mirrored_pose(share: np.ndarray) -> None:
    _assert_mirrored(*_pair(_positions(share, base=False)))


@settings(max_examples=50, deadline=None)
@given(shares)
def test_a_mirrored_base_takes_the_other_sign_of_arty_arrx_and_arrz(share: np.ndarray) -> None:
    _assert_mirrored(*_pair(_positions(share, base=True)))


@settings(max_examples=25, deadline=None)
@given(shares)
def test_frames_and_inertias_are_mirrored(share: np.ndarray) -> None:
    right, left = _pair(_positions(share, base=False))
    for body in range(1, RIGHT.nbody):
        frame = np.eye(3)
        axis = frame_axis(RIGHT.body(body).name)
        frame[axis, axis] = -1.0
        np.testing.assert_allclose(
            MIRROR @ right.xmat[body].reshape(3, 3) @ frame, left.xmat[body].reshape(3, 3), atol=1e-9
        )
        tensors = [
            data.ximat[body].reshape(3, 3) @ np.diag(model.body_inertia[body]) @ data.ximat[body].reshape(3, 3).T
            for model, data in ((RIGHT, right), (LEFT, left))
        ]
        np.testing.assert_allclose(MIRROR @ tensors[0] @ MIRROR, tensors[1], atol=1e-12)


def test_capsules_and_pads_keep_their_mirrored_directions() -> None:
    right, left = _pair(_positions(np.full(26, 0.4), base=False))
    for geom in range(RIGHT.ngeom):
        directions = [data.geom_xmat[geom].reshape(3, 3)[:, 2] for data in (right, left)]
        assert abs(MIRROR @ directions[0] @ directions[1]) == pytest.approx(1.0)
    for names in zip(joints.pad_sites("right"), joints.pad_sites("left")):
        normals = [data.site(name).xmat.reshape(3, 3)[:, 1] for name, data in zip(names, (right, left))]
        np.testing.assert_allclose(MIRROR @ normals[0], normals[1], atol=1e-9)


def test_everything_else_is_the_same() -> None:
    for field in ("body_mass", "jnt_range", "jnt_axis", "jnt_type", "actuator_ctrlrange", "actuator_gainprm"):
        np.testing.assert_array_equal(getattr(RIGHT, field), getattr(LEFT, field), err_msg=field)
    np.testing.assert_allclose(RIGHT.body_inertia, LEFT.body_inertia, rtol=1e-9)
    assert RIGHT.body_mass.sum() == pytest.approx(LEFT.body_mass.sum())
    for field in (
        "geom_size",
        "geom_contype",
        "geom_conaffinity",
        "geom_condim",
        "dof_damping",
        "actuator_biasprm",
        "actuator_forcerange",
        "dof_armature",
    ):
        np.testing.assert_array_equal(getattr(RIGHT, field), getattr(LEFT, field), err_msg=field)


def test_no_name_of_the_right_hand_is_left_behind() -> None:
    values = [value for element in hand_element("left").iter() for value in element.attrib.values()]
    assert not [value for value in values if "right" in value or value.startswith("r_")]


unit = st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1)
vector = st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3)


def _rotate(quaternion: list[float], point: list[float]) -> np.ndarray:
    w, *xyz = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(point) + 2.0 * np.cross(xyz, np.cross(xyz, point) + w * np.array(point))


@given(unit, vector, st.sampled_from([0, 1, 2]))
def test_mirroring_a_rotated_vector_is_rotating_the_mirrored_one(
    quaternion: list[float], point: list[float], axis: int
) -> None:
    mirrored = mirror_vector(list(_rotate(quaternion, point)), axis)
    turned = _rotate(mirror_quaternion(quaternion, axis), mirror_vector(point, axis))
    np.testing.assert_allclose(mirrored, turned, atol=1e-12)


@given(unit, st.sampled_from([0, 1, 2]))
def test_mirroring_twice_is_nothing(quaternion: list[float], axis: int) -> None:
    assert mirror_quaternion(mirror_quaternion(quaternion, axis), axis) == quaternion
