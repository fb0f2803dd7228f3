from __future__ import annotations

from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from dexhand_env.hand import joints

from .hand_models import CONTROL_TO_JOINT, at_rest, compiled, controls


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return compiled("right")


def test_fingers_point_along_x_palm_down_thumb_on_y(model: mujoco.MjModel) -> None:
    data = at_rest(model, np.zeros(26))
    palm = data.body("right_hand_base").xmat.reshape(3, 3)
    np.testing.assert_allclose(palm[:, 0], [0.0, 0.0, -1.0], atol=1e-9)  # the palm's normal
    for finger in range(2, 6):
        along = data.site(f"r_f_link{finger}_tip").xpos - data.body(f"r_f_link{finger}_1").xpos
        assert along[0] / np.linalg.norm(along) > 0.99
    thumb = data.site("r_f_link1_tip").xpos
    assert thumb[1] > max(data.site(name).xpos[1] for name in joints.tip_sites("right")[1:]) + 0.05


def test_flexion_closes_towards_the_palm(model: mujoco.MjModel) -> None:
    data = at_rest(model, CONTROL_TO_JOINT @ controls(index_mcp=1.0, middle_mcp=1.0, ring_mcp=1.0, little_mcp=1.0))
    for finger in range(2, 6):
        assert data.site(f"r_f_link{finger}_tip").xpos[2] < -0.05


def test_spread_fans_the_fingers_out(model: mujoco.MjModel) -> None:
    def fan(spread: float) -> list[float]:
        data = at_rest(model, CONTROL_TO_JOINT @ controls(spread=spread))
        return [data.site(name).xpos[1] for name in joints.tip_sites("right")[1:]]

    index, middle, ring, little = np.subtract(fan(0.3), fan(0.0))
    assert index > 0.02
    assert abs(middle) < 1e-9
    assert ring < -0.02
    assert little < 1.5 * ring


def test_base_hinges_turn_as_x_then_y_then_z(model: mujoco.MjModel) -> None:
    angles = np.array([0.3, -0.5, 0.7])
    position = np.zeros(26)
    position[3:6] = angles
    expected = np.eye(3)
    for axis, angle in zip(np.eye(3), angles):
        quaternion, matrix = np.zeros(4), np.zeros(9)
        mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
        mujoco.mju_quat2Mat(matrix, quaternion)
        expected = expected @ matrix.reshape(3, 3)
    np.testing.assert_allclose(at_rest(model, position).site("hand").xmat.reshape(3, 3), expected, atol=1e-12)


@pytest.mark.parametrize("name", joints.CONTROL_NAMES[6:])
def test_a_1_hz_sine_is_tracked_within_10_percent(model: mujoco.MjModel, name: str) -> None:
    low, high = joints.CONTROL_RANGES[joints.CONTROL_NAMES.index(name)]
    amplitude = 0.4 * (high - low)
    resting = controls(spread=0.15) * (name != "spread")  # spread, so that neighbouring fingertips do not touch

    def targets(time_s: float) -> np.ndarray:
        return CONTROL_TO_JOINT @ (
            resting + controls(**{name: (low + high) / 2 + amplitude * np.sin(2 * np.pi * time_s)})
        )

    data = at_rest(model, targets(0.0))
    scale = amplitude * np.maximum(CONTROL_TO_JOINT.max(axis=1), 1.0)  # the little finger spreads twice as far
    worst = 0.0
    for _ in range(400):
        data.ctrl[:] = targets(data.time)
        mujoco.mj_step(model, data)
        if data.time > 1.0:
            worst = max(worst, (np.abs(data.qpos - targets(data.time)) / scale).max())
    assert worst < 0.10


def test_coupled_joints_stay_together_under_a_push(model: mujoco.MjModel) -> None:
    data = at_rest(model, CONTROL_TO_JOINT @ controls(thumb_dip=0.3, index_dip=0.4, middle_dip=0.4, ring_dip=0.4))
    for _ in range(400):
        for body, pad in zip(joints.fingertip_bodies("right"), joints.pad_sites("right")):
            data.xfrc_applied[model.body(body).id, :3] = -3.0 * data.site(pad).xmat.reshape(3, 3)[:, 1]
        mujoco.mj_step(model, data)
    for finger in range(1, 6):
        mismatch = data.joint(f"r_f_joint{finger}_3").qpos - data.joint(f"r_f_joint{finger}_4").qpos
        assert abs(mismatch[0]) < 0.006


@pytest.mark.parametrize("side", joints.SIDES)
def test_contact_sensors_read_the_table_pushing_back(side: str) -> None:
    height_m = -0.05
    table = ElementTree.Element("geom", name="table", type="plane", size="1 1 0.1", pos=f"0 0 {height_m}")
    table.attrib.update(contype="1", conaffinity="7")
    model = compiled(side, surroundings=[table])
    prefix = side[0]
    # The index finger points down furthest and is alone on the table; the thumb is out of the way.
    pose = CONTROL_TO_JOINT @ controls(thumb_rotation=0.0, index_mcp=1.2)
    data = at_rest(model, pose + np.eye(26)[2] * 0.3)
    lowest = data.site(f"{prefix}_f_link2_tip").xpos[2]
    data.qpos[2] += height_m + 0.015 - lowest
    data.ctrl[2] = data.qpos[2] - 0.02
    for _ in range(400):
        mujoco.mj_step(model, data)
    assert {model.geom(int(i)).name for i in data.contact.geom.ravel()} == {"table", f"{prefix}_f_link2_4"}
    readings = {name: data.sensor(name).data for name in joints.force_sensors(side)}
    found, *exerted = readings.pop(f"{prefix}_f_force2")
    assert found > 0
    on_finger = -np.array(exerted)
    assert on_finger[2] > 0.5
    # At rest the table bears what the vertical slide pushes down with.
    assert on_finger[2] == pytest.approx(-data.qfrc_actuator[2], rel=0.02)
    for name, reading in readings.items():
        np.testing.assert_array_equal(reading, 0.0, err_msg=name)
