"""The adapter's geometry against MuJoCo's: the hand's asset, its kinematics, and how deep it lies in objects."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.config.physics import load_physics
from dexhand_env.hand.joints import SIDES, joint_names
from dexhand_env.sim.isaac_gym.assets import LINK_MASS_KG, hand_mjcf
from dexhand_env.sim.isaac_gym.contact_depth import ContactDepth
from dexhand_env.sim.isaac_gym.hand_tree import joints_of, read_hand
from dexhand_env.sim.isaac_gym.kinematics import Kinematics, Sites
from dexhand_env.sim.mujoco_model import compile_scene
from dexhand_env.sim.quaternions import quaternion_product, quaternions_of, rotation_matrices
from dexhand_env.sim.scene import Scene, SceneObject

PHYSICS = load_physics("default")
CPU = torch.device("cpu")
SHAPES = [("box", (0.025, 0.03, 0.02)), ("sphere", (0.03,)), ("cylinder", (0.025, 0.03))]
unit = st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


def random_joints(model: mujoco.MjModel, count: int, seed: int) -> np.ndarray:
    """Positions (count, 26) anywhere within the joints' ranges."""
    low, high = model.jnt_range[:26].T
    return low + (high - low) * np.random.default_rng(seed).random((count, 26))


@pytest.mark.parametrize("side", SIDES)
def test_kinematics_are_mujocos(side: str) -> None:
    scene = Scene(side=side)
    model, bodies = compile_scene(scene, PHYSICS), read_hand(side, scene.actuation)
    kinematics = Kinematics(bodies, scene.spawn_height_m, CPU)
    names = [body.name for body in bodies] + [model.site(site).name for site in range(model.nsite)]
    joints = random_joints(model, 50, seed=0)
    found = Sites(bodies, kinematics.places, CPU).frames(names, kinematics.frames(torch.tensor(joints).float()))
    data = mujoco.MjData(model)
    for row, positions in zip(found, joints):
        data.qpos[:26] = positions
        mujoco.mj_kinematics(model, data)
        for frame, name in zip(row, names):
            body = name in [body.name for body in bodies]
            expected = (
                (data.body(name).xpos, data.body(name).xmat) if body else (data.site(name).xpos, data.site(name).xmat)
            )
            np.testing.assert_allclose(frame[:, 3], expected[0], atol=1e-6)
            np.testing.assert_allclose(frame[:, :3].reshape(9), expected[1], atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_the_asset_is_the_hand(side: str) -> None:
    """One joint a body, and otherwise the same joints, shapes, inertias and poses."""
    scene = Scene(side=side, table=False)
    ours, bodies = compile_scene(scene, PHYSICS), read_hand(side, scene.actuation)
    asset = mujoco.MjModel.from_xml_string(hand_mjcf(bodies))
    assert [asset.joint(joint).name for joint in range(asset.njnt)] == list(joint_names(side))
    assert [joint.name for joint in joints_of(bodies)] == list(joint_names(side))
    assert max(asset.body_jntnum) == 1
    assert asset.ngeom == ours.ngeom
    links = asset.nbody - ours.nbody
    assert asset.body_mass.sum() == pytest.approx(ours.body_mass.sum() + links * LINK_MASS_KG)
    data, reference = mujoco.MjData(asset), mujoco.MjData(ours)
    for positions in random_joints(ours, 20, seed=1):
        data.qpos[:], reference.qpos[:] = positions, positions
        mujoco.mj_kinematics(asset, data)
        mujoco.mj_kinematics(ours, reference)
        for geom in range(ours.ngeom):
            name, base = ours.geom(geom).name, np.array([0.0, 0.0, scene.spawn_height_m])
            np.testing.assert_allclose(data.geom(name).xpos + base, reference.geom(name).xpos, atol=1e-9)
            np.testing.assert_allclose(asset.geom(name).size, ours.geom(name).size)


@pytest.mark.parametrize("side", SIDES)
def test_the_same_shapes_collide(side: str) -> None:
    """Filters of Isaac Gym, which collide where they share no bit, for MuJoCo's two bit masks."""
    scene = Scene(side=side, objects=(SceneObject("cube", "box", (0.025,) * 3, 0.1),))
    model, bodies = compile_scene(scene, PHYSICS), read_hand(side, scene.actuation)
    filters = {shape.attributes["name"]: shape.filter for body in bodies for shape in body.shapes}
    filters.update(cube=0, table=0)
    names = [model.geom(geom).name for geom in range(model.ngeom)]
    assert sorted(names) == sorted(filters)
    for place, one in enumerate(names):
        for other in names[:place]:
            first, second = model.geom(one), model.geom(other)
            meets = (first.contype[0] & second.conaffinity[0]) | (second.contype[0] & first.conaffinity[0])
            assert bool(meets) == (filters[one] & filters[other] == 0), (one, other)


@pytest.mark.parametrize(("shape", "size_m"), SHAPES, ids=[shape for shape, _ in SHAPES])
def test_depths_are_mujocos(shape: str, size_m: tuple[float, ...]) -> None:
    """An object anywhere at the hand: the same contacts, and the same depths up to 5 mm.

    Bodies that lie deeper in each other MuJoCo pushes out by another way than the shortest.
    """
    scene = Scene(objects=(SceneObject("thing", shape, size_m, 0.1),))
    model, bodies = compile_scene(scene, PHYSICS), read_hand("right", scene.actuation)
    kinematics = Kinematics(bodies, scene.spawn_height_m, CPU)
    random, thing = np.random.default_rng(2), model.geom("thing").id
    of_hand = [geom for geom in range(model.ngeom) if model.geom(geom).name not in ("thing", "table")]
    joints, poses, expected = random_joints(model, 300, seed=3), [], []
    joints[:, :6] = 0.0
    data = mujoco.MjData(model)
    for positions in joints:
        data.qpos[:26] = positions
        mujoco.mj_kinematics(model, data)
        near = data.body(bodies[random.integers(1, len(bodies))].name).xpos + 0.025 * random.normal(size=3)
        turned = random.normal(size=4)
        data.qpos[26:] = [*near, *(turned / np.linalg.norm(turned))]
        mujoco.mj_forward(model, data)
        poses.append(data.qpos[26:].copy())
        distances = [mujoco.mj_geomDistance(model, data, geom, thing, 0.05, None) for geom in of_hand]
        expected.append(max(-min(distances), 0.0))
    frames, pose = kinematics.frames(torch.tensor(joints).float()), torch.tensor(np.array(poses)).float()[:, None]
    depth = ContactDepth(bodies, kinematics.places, scene, CPU)
    found = depth.measure(frames, pose[..., :3], rotation_matrices(pose[..., 3:]))[:, 1].numpy()
    wanted = np.array(expected)
    touched, shallow = wanted > 1e-6, wanted < 0.005
    assert touched.sum() > 200
    assert ((found > 1e-6) == touched).all()
    assert np.abs(found - wanted)[shallow].max() < (1e-3 if shape == "cylinder" else 1e-5)


@settings(deadline=None)
@given(unit, unit)
def test_quaternions_and_matrices_agree(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    one, other = (torch.tensor(q) / torch.tensor(q).norm() for q in (first, second))
    matrix = rotation_matrices(one)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(
        rotation_matrices(quaternion_product(one, other)), matrix @ rotation_matrices(other), rtol=0.0, atol=1e-5
    )
    back = quaternions_of(matrix)
    assert min(float((back - sign * one).abs().max()) for sign in (1.0, -1.0)) < 1e-5
    expected = np.zeros(9)
    mujoco.mju_quat2Mat(expected, one.double().numpy())
    np.testing.assert_allclose(matrix.reshape(9), expected, atol=1e-5)
