from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.hand import joints

from .hand_models import Figures, compiled

JOINT_RANGES = compiled("right").jnt_range


def test_coupling_is_the_makers(figures: Figures) -> None:
    names = joints.finger_joint_names("right")
    expected = np.zeros((20, 12))
    for entry in figures["coupling_12_to_20"]:
        if "control" in entry:
            for name, ratio in entry["joints"].items():
                expected[names.index(name), entry["control"]] = ratio
    matrix = np.array(joints.control_to_joint_matrix())
    np.testing.assert_array_equal(matrix[6:, 6:], expected)
    np.testing.assert_array_equal(matrix[:6, :6], np.eye(6))
    assert not matrix[6:, :6].any()
    assert not matrix[:6, 6:].any()


def test_only_the_middle_fingers_spread_is_held_still() -> None:
    matrix = np.array(joints.control_to_joint_matrix())
    still = [name for name, row in zip(joints.joint_names("right"), matrix) if not row.any()]
    assert still == ["r_f_joint3_1"]


@given(st.lists(st.floats(0.0, 1.0), min_size=18, max_size=18))
def test_any_control_in_range_gives_joints_in_range(shares: list[float]) -> None:
    ranges = np.array(joints.CONTROL_RANGES)
    targets = np.array(joints.control_to_joint_matrix()) @ (ranges[:, 0] + np.array(shares) * np.ptp(ranges, axis=1))
    lower, upper = JOINT_RANGES.T
    assert (targets >= lower - 1e-9).all()
    assert (targets <= upper + 1e-9).all()


def test_names_and_sizes() -> None:
    assert len(joints.CONTROL_NAMES) == len(joints.CONTROL_RANGES) == len(set(joints.CONTROL_NAMES)) == 18
    for side, prefix in (("right", "r_f_"), ("left", "l_f_")):
        assert joints.joint_names(side)[:6] == joints.BASE_JOINTS
        assert joints.joint_names(side)[6:] == joints.finger_joint_names(side)
        assert len(joints.body_names(side)) == 22
        for names in (joints.fingertip_bodies, joints.tip_sites, joints.pad_sites, joints.force_sensors):
            assert len(names(side)) == 5
            assert all(name.startswith(prefix) for name in names(side))


def test_a_wrong_side_is_named() -> None:
    with pytest.raises(ValueError, match="'both'; allowed: right, left"):
        joints.joint_names("both")


def test_the_hand_knows_no_simulator() -> None:
    code = (
        "import sys; from dexhand_env.hand import joints, model, mirror; model.hand_element('left');"
        "assert not {'mujoco', 'trimesh', 'torch', 'numpy'} & set(sys.modules);"
        "from dexhand_env.hand import visual; visual.visual_meshes('left');"
        "assert not {'mujoco', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
