from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
import pytest

from dexhand_env.hand import joints
from dexhand_env.hand.model import hand_element

from .hand_models import Figures, at_rest, compiled

# Bodies of the maker's file whose job others do here: the base's chain is one body, tips and pads are sites.
_BASE_CHAIN = ("floating_base", "ARTx_child", "ARTy_child", "ARTz_child", "ARRx_child", "ARRy_child")
_UNTURNED = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return compiled("right")


@pytest.fixture(scope="module")
def links(figures: Figures) -> Figures:
    return {name: body for name, body in figures["bodies"].items() if name in joints.body_names("right")[1:]}


def same_rotation(a: Sequence[float], b: Sequence[float], tolerance: float = 1e-6) -> bool:
    cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return bool(abs(cosine) > 1.0 - tolerance)


@pytest.mark.parametrize("integrator", ["discrete", "implicitfast"])
@pytest.mark.parametrize("side", joints.SIDES)
def test_it_compiles_into_22_bodies_26_joints_26_actuators(side: str, integrator: str) -> None:
    model = compiled(side, integrator=integrator)
    assert (model.nbody, model.njnt, model.nq, model.nu) == (23, 26, 26, 26)
    assert tuple(model.body(i).name for i in range(1, model.nbody)) == joints.body_names(side)
    assert tuple(model.joint(i).name for i in range(model.njnt)) == joints.joint_names(side)
    assert tuple(model.actuator(i).name for i in range(model.nu)) == joints.joint_names(side)
    assert list(model.actuator_trnid[:, 0]) == list(range(26))
    assert tuple(model.sensor(i).name for i in range(model.nsensor)) == joints.force_sensors(side)
    sites = {model.site(i).name for i in range(model.nsite)}
    assert sites == {"hand", *joints.tip_sites(side), *joints.pad_sites(side)}


def test_only_the_hand_is_in_it() -> None:
    root = hand_element("right")
    assert {child.tag for child in root} == {"compiler", "size", "default", "worldbody", "actuator", "sensor"}
    assert [(child.tag, child.get("name")) for child in root.findall("worldbody/*")] == [("body", "floating_base")]


def test_each_call_gives_a_fresh_tree() -> None:
    hand_element("right").clear()
    assert hand_element("right").find("worldbody/body") is not None


def test_bodies_are_where_the_maker_has_them(model: mujoco.MjModel, links: Figures) -> None:
    for name, body in links.items():
        parent = body["parent"] if name != "right_hand_base" else "floating_base"
        assert model.body(model.body(name).parentid[0]).name == parent
        np.testing.assert_allclose(model.body(name).pos, body["pos"], atol=1e-9, err_msg=name)
        assert same_rotation(model.body(name).quat, body["quat"], 1e-11), name


def test_inertials_are_the_makers(model: mujoco.MjModel, links: Figures) -> None:
    for name, body in links.items():
        compiled_body, inertial = model.body(name), body["inertial"]
        assert compiled_body.mass[0] == pytest.approx(inertial["mass"], abs=1e-12)
        np.testing.assert_allclose(compiled_body.ipos, inertial["pos"], atol=1e-9, err_msg=name)
        np.testing.assert_allclose(compiled_body.inertia, inertial["diaginertia"], rtol=1e-9, err_msg=name)
        assert same_rotation(compiled_body.iquat, inertial["quat"], 1e-11), name


def test_total_mass_is_the_makers(model: mujoco.MjModel, figures: Figures) -> None:
    assert model.body_mass.sum() == pytest.approx(figures["mass_total_upstream"], abs=1e-5)


def test_joints_are_the_makers(model: mujoco.MjModel, links: Figures, figures: Figures) -> None:
    described = [figures["bodies"][name]["joint"] for name in _BASE_CHAIN]
    described += [body["joint"] for body in links.values() if "joint" in body]
    assert len(described) == 26
    for joint in described:
        index = model.joint(joint["name"]).id
        kind = {"slide": mujoco.mjtJoint.mjJNT_SLIDE, "hinge": mujoco.mjtJoint.mjJNT_HINGE}[joint["type"]]
        assert model.jnt_type[index] == kind
        np.testing.assert_array_equal(model.jnt_axis[index], joint["axis"])
        np.testing.assert_array_equal(model.jnt_range[index], joint["range"])
        assert model.jnt_limited[index]


def test_actuators_reach_what_the_joints_reach(model: mujoco.MjModel) -> None:
    np.testing.assert_array_equal(model.actuator_ctrlrange, model.jnt_range)
    assert model.actuator_ctrllimited.all()


def test_control_ranges_are_the_joints_over_their_ratios(model: mujoco.MjModel) -> None:
    for control, (low, high) in enumerate(joints.CONTROL_RANGES):
        for joint, row in enumerate(joints.control_to_joint_matrix()):
            if row[control]:
                np.testing.assert_allclose(np.array([low, high]) * row[control], model.jnt_range[joint])


def test_gains_and_damping(model: mujoco.MjModel) -> None:
    groups = {"slides": (slice(0, 3), 1e4, 170.0, 0.0, 0.0, 500.0)}
    groups["hinges"] = (slice(3, 6), 300.0, 5.0, 0.0, 0.01, 50.0)
    groups["fingers"] = (slice(6, 26), 20.0, 0.0, 0.2, 5e-4, 2.0)
    for name, (rows, gain, own_damping, damping, armature, limit) in groups.items():
        np.testing.assert_array_equal(model.actuator_gainprm[rows, 0], gain, err_msg=name)
        np.testing.assert_array_equal(model.actuator_biasprm[rows, 1], -gain, err_msg=name)
        np.testing.assert_array_equal(model.actuator_biasprm[rows, 2], -own_damping, err_msg=name)
        np.testing.assert_array_equal(model.actuator_forcerange[rows], [[-limit, limit]] * (rows.stop - rows.start))
        # MuJoCo keeps damping as polynomial coefficients; the first is the linear one.
        np.testing.assert_array_equal(np.asarray(model.dof_damping[rows]).reshape(-1), damping, err_msg=name)
        np.testing.assert_array_equal(model.dof_armature[rows], armature, err_msg=name)


def test_gravity_does_not_pull_the_hand_down(model: mujoco.MjModel) -> None:
    np.testing.assert_array_equal(model.body_gravcomp[1:], 1.0)
    data = at_rest(model, np.zeros(26))
    for _ in range(200):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos, 0.0, atol=1e-9)


def test_capsules_are_the_makers(model: mujoco.MjModel, links: Figures) -> None:
    expected = {name: body["collision"] for name, body in links.items() if "f_link" in name and "collision" in body}
    assert len(expected) == 15
    for name, collision in expected.items():
        geom = model.geom(name)
        start, end = np.array(collision["fromto"][:3]), np.array(collision["fromto"][3:])
        along = np.zeros(9)
        mujoco.mju_quat2Mat(along, geom.quat)
        assert model.body(geom.bodyid[0]).name == name
        assert geom.type[0] == mujoco.mjtGeom.mjGEOM_CAPSULE
        assert geom.size[0] == collision["size"][0]
        assert 2 * geom.size[1] == pytest.approx(np.linalg.norm(end - start))
        np.testing.assert_allclose(geom.pos, (start + end) / 2, atol=1e-9)
        direction = (end - start) / np.linalg.norm(end - start)
        assert abs(along.reshape(3, 3)[:, 2] @ direction) == pytest.approx(1.0)


def test_palm_and_wrist_are_the_boxes_of_the_figures(model: mujoco.MjModel, figures: Figures) -> None:
    for box in figures["palm"]["suggested_primitives"][:2]:
        geom = model.geom(box["name"])
        assert geom.type[0] == mujoco.mjtGeom.mjGEOM_BOX
        np.testing.assert_allclose(geom.size, box["half"])
        np.testing.assert_allclose(geom.pos, box["pos"])
    assert model.ngeom == 17


def test_contact_settings(model: mujoco.MjModel) -> None:
    np.testing.assert_array_equal(model.geom_condim, 4)
    np.testing.assert_array_equal(model.geom_friction[:, 0], 1.0)
    np.testing.assert_array_equal(model.geom_solref, [[0.01, 1.0]] * model.ngeom)


def test_bitmasks_keep_the_contacts_that_the_makers_excludes_keep(model: mujoco.MjModel, figures: Figures) -> None:
    world = figures["excludes"]["equivalent_bitmask"]["environment(table,box)"]
    tips = {model.geom(name).id for name in joints.fingertip_bodies("right")}

    def meets(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return bool(a[0] & b[1]) or bool(b[0] & a[1])

    masks = [(int(model.geom_contype[i]), int(model.geom_conaffinity[i])) for i in range(model.ngeom)]
    for i, mask in enumerate(masks):
        assert meets(mask, (world["contype"], world["conaffinity"]))
        for j in range(i):
            assert meets(mask, masks[j]) == (i in tips and j in tips)


def test_tips_and_pads_are_the_makers_frames(model: mujoco.MjModel, figures: Figures) -> None:
    for name in joints.tip_sites("right") + joints.pad_sites("right"):
        body, site = figures["bodies"][name], model.site(name)
        assert model.body(site.bodyid[0]).name == body["parent"]
        np.testing.assert_allclose(site.pos, body["pos"], atol=1e-9)
        assert same_rotation(site.quat, body["quat"])


def test_the_hand_site_is_the_bases_frame(model: mujoco.MjModel) -> None:
    site = model.site("hand")
    assert model.body(site.bodyid[0]).name == "floating_base"
    np.testing.assert_array_equal(site.pos, 0.0)
    np.testing.assert_array_equal(site.quat, _UNTURNED)
