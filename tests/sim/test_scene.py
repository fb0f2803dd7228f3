"""The scene as a compiled model: order of joints, surroundings, options of the physics presets."""

from __future__ import annotations

from typing import get_args

import mujoco
import numpy as np
import pytest

from dexhand_env.config.physics import Physics, load_physics, physics_names
from dexhand_env.hand.joints import joint_names
from dexhand_env.sim.mujoco_model import compile_scene
from dexhand_env.sim.scene import Actuation, Scene, SceneObject

OBJECTS = (
    SceneObject("brick", "box", (0.02, 0.03, 0.04), mass_kg=0.2, position_m=(0.1, 0.2, 0.3)),
    SceneObject("can", "cylinder", (0.03, 0.05), mass_kg=0.3),
)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("objects", [(), OBJECTS], ids=["bare", "objects"])
@pytest.mark.parametrize("table", [True, False])
def test_the_hands_joints_come_first_then_the_objects(side: str, objects: tuple[SceneObject, ...], table: bool) -> None:
    model = compile_scene(Scene(side=side, table=table, objects=objects), load_physics("default"))
    names = [model.joint(index).name for index in range(model.njnt)]
    assert names == [*joint_names(side), *(item.name for item in objects)]
    assert [model.actuator(index).name for index in range(model.nu)] == list(joint_names(side))
    assert (model.nq, model.nv) == (26 + 7 * len(objects), 26 + 6 * len(objects))
    has_plane = mujoco.mjtGeom.mjGEOM_PLANE in model.geom_type
    assert has_plane == table


@pytest.mark.parametrize("integrator", get_args(Physics.model_fields["integrator"].annotation))
def test_every_integrator_that_a_preset_may_name_compiles(integrator: str) -> None:
    physics = load_physics("default").model_copy(update={"integrator": integrator})
    model = compile_scene(Scene(objects=OBJECTS), physics)
    assert mujoco.mjtIntegrator(model.opt.integrator).name.lower() == f"mjint_{integrator}"


def test_objects_are_as_described() -> None:
    model = compile_scene(Scene(objects=OBJECTS), load_physics("default"))
    for item in OBJECTS:
        assert model.body(item.name).mass[0] == pytest.approx(item.mass_kg)
        np.testing.assert_allclose(model.body(item.name).pos, item.position_m)
        np.testing.assert_allclose(model.geom(item.name).size[: len(item.size_m)], item.size_m)


def test_spawn_height_is_where_artz_is_zero() -> None:
    model = compile_scene(Scene(spawn_height_m=0.7), load_physics("default"))
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.site("hand").xpos, [0.0, 0.0, 0.7])


@pytest.mark.parametrize("name", physics_names())
def test_a_presets_values_reach_the_model(name: str) -> None:
    physics = load_physics(name)
    option = compile_scene(Scene(), physics).opt
    assert option.timestep == pytest.approx(physics.timestep_s)
    assert option.timestep * physics.substeps == pytest.approx(0.02)
    assert (option.iterations, option.ls_iterations) == (physics.iterations, physics.ls_iterations)
    assert option.impratio == pytest.approx(physics.impratio)
    assert option.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert option.jacobian == mujoco.mjtJacobian.mjJAC_DENSE
    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_task_decides_how_hard_its_hand_pushes(side: str) -> None:
    """A softer base is damped as well; nothing but the base's gains and the limits of all actuators differs."""
    softer = Actuation(
        base_stiffness_factor=0.25, base_force_limit_n=20.0, base_torque_limit_n_m=3.0, finger_torque_limit_n_m=0.5
    )
    own, soft = (
        compile_scene(Scene(side=side, actuation=actuation), load_physics("default"))
        for actuation in (Actuation(), softer)
    )
    base, fingers = slice(6), slice(6, 26)
    np.testing.assert_allclose(soft.actuator_gainprm[base, 0], 0.25 * own.actuator_gainprm[base, 0])
    np.testing.assert_allclose(soft.actuator_biasprm[base, 1], 0.25 * own.actuator_biasprm[base, 1])
    np.testing.assert_allclose(soft.actuator_biasprm[base, 2], 0.5 * own.actuator_biasprm[base, 2])
    assert (own.actuator_biasprm[base, 2] < 0.0).all()
    np.testing.assert_array_equal(soft.actuator_forcerange[base], [[-20.0, 20.0]] * 3 + [[-3.0, 3.0]] * 3)
    np.testing.assert_array_equal(own.actuator_forcerange[base], [[-500.0, 500.0]] * 3 + [[-50.0, 50.0]] * 3)
    np.testing.assert_array_equal(soft.actuator_gainprm[fingers], own.actuator_gainprm[fingers])
    np.testing.assert_array_equal(soft.dof_damping[fingers], own.dof_damping[fingers])
    np.testing.assert_array_equal(soft.actuator_forcerange[fingers], [[-0.5, 0.5]] * 20)
    np.testing.assert_array_equal(own.actuator_forcerange[fingers], [[-2.0, 2.0]] * 20)


def test_what_must_touch_does() -> None:
    """Objects and table meet every link; links of one hand meet only at the fingertips."""
    model = compile_scene(Scene(objects=OBJECTS), load_physics("default"))

    def meet(first: str, second: str) -> bool:
        a, b = model.geom(first), model.geom(second)
        return bool((a.contype & b.conaffinity) | (b.contype & a.conaffinity))

    links = [model.geom(i).name for i in range(model.ngeom) if model.geom(i).name not in ("table", "brick", "can")]
    assert len(links) > 15
    assert all(meet(world, link) for world in ("table", "brick", "can") for link in links)
    assert meet("table", "brick")
    assert meet("brick", "can")
    for first in links:
        for second in links:
            assert meet(first, second) == (first.endswith("_4") and second.endswith("_4")), (first, second)
