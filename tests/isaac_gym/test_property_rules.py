"""Every rule on assets and properties is broken once here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from isaacgym import gymapi

from .scenes import BOX_ACTOR, FINGER, FINGER_ACTOR, Prepared, Unprepared, at, loaded, simulation_params, violates

LINK = '<link name="can">{}</link>'
CYLINDER = '<collision><geometry><cylinder radius="0.03" length="0.1"/></geometry></collision>'


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("<worldbody>", "<default/><worldbody>", "MJCF importer: default"),
        ("</worldbody>", "</worldbody><actuator/>", "MJCF importer: actuator"),
        ("</worldbody>", "</worldbody><equality/>", "MJCF importer: equality"),
        ("</worldbody>", "</worldbody><sensor/>", "MJCF importer: sensor"),
        ('<geom type="capsule"', '<site name="tip"/><geom type="capsule"', "MJCF importer: site"),
        ('<geom type="capsule"', '<geom class="x" type="capsule"', "MJCF importer: class"),
        ('name="tip"', 'name="tip" childclass="x"', "MJCF importer: childclass"),
        ('name="lower"', 'name="lower" ref="0.1"', "MJCF importer: ref"),
        ('pos="0 0 0.1"', 'pos="0 0 0.1" euler="0 0 1"', "MJCF importer: euler"),
        ('<geom type="capsule"', '<geom type="cylinder"', "MJCF importer: geom type cylinder"),
        ('<compiler angle="radian"/>', "", "MJCF importer: angles in degrees"),
        ('name="base"', 'name="base" pos="0 0 1"', "MJCF importer: the actor's pose is given"),
        ("</worldbody>", '<body name="other"/></worldbody>', "one body, and nothing else, in the worldbody"),
        ('name="lower"', 'type="ball" name="lower"', "no ball joints"),
        ('<joint name="upper"', '<joint name="two"/><joint name="upper"', "one joint a body, tip has 2"),
        ('name="upper"', 'name="lower"', "importer: .*repeated name"),
    ],
)
def test_assets_have_nothing_that_the_importer_reads_otherwise(old: str, new: str, match: str) -> None:
    assert old in FINGER
    with violates(match):
        loaded(Unprepared().sim, FINGER.replace(old, new, 1))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (LINK.format(""), "one cylinder"),
        (LINK.format(CYLINDER * 2), "one cylinder"),
        (LINK.format(CYLINDER) + '<link name="other"/>', "one link, no joint"),
        (LINK.format(CYLINDER.replace("<geometry>", '<origin xyz="0 0 1"/><geometry>')), "no origin"),
    ],
)
def test_urdf_is_one_cylinder(content: str, match: str) -> None:
    with violates(match):
        loaded(Unprepared().sim, f"<robot>{content}</robot>", "can.urdf")


def test_an_asset_is_a_file_that_is_there() -> None:
    world = Unprepared()
    with violates("load_asset: no file .*missing.xml"):
        world.gym.load_asset(world.sim, "/", "missing.xml")
    with violates("load_asset: .obj is neither .xml nor .urdf"):
        loaded(world.sim, FINGER, "asset.obj")


def shapes_of(change: Callable[[list[gymapi.RigidShapeProperties]], Any]) -> Callable[[Unprepared, gymapi.Env], None]:
    """Set a box's shapes after a change."""

    def call(world: Unprepared, env: gymapi.Env) -> None:
        shapes = world.gym.get_actor_rigid_shape_properties(env, BOX_ACTOR)
        change(shapes)
        world.gym.set_actor_rigid_shape_properties(env, BOX_ACTOR, shapes)

    return call


def bodies_of(change: Callable[[list[gymapi.RigidBodyProperties]], Any]) -> Callable[[Unprepared, gymapi.Env], None]:
    """Set a box's bodies after a change."""

    def call(world: Unprepared, env: gymapi.Env) -> None:
        bodies = world.gym.get_actor_rigid_body_properties(env, BOX_ACTOR)
        change(bodies)
        world.gym.set_actor_rigid_body_properties(env, BOX_ACTOR, bodies, False)

    return call


def drives_of(change: Callable[[Any], Any]) -> Callable[[Unprepared, gymapi.Env], None]:
    """Set a finger's drives after a change."""

    def call(world: Unprepared, env: gymapi.Env) -> None:
        drives = change(world.gym.get_actor_dof_properties(env, FINGER_ACTOR))
        world.gym.set_actor_dof_properties(env, FINGER_ACTOR, drives)

    return call


def _with(name: str, value: float) -> Callable[[Any], Any]:
    def change(drives: Any) -> Any:
        drives[name][0] = value
        return drives

    return change


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (shapes_of(lambda shapes: shapes.append(shapes[0])), "shape properties: 2 for 1 shapes"),
        (shapes_of(lambda shapes: setattr(shapes[0], "contact_offset", 0.0)), "contact_offset has to be above"),
        (shapes_of(lambda shapes: setattr(shapes[0], "friction", -1.0)), "friction below 0"),
        (bodies_of(lambda bodies: bodies.clear()), "body properties: 0 for 1 bodies"),
        (bodies_of(lambda bodies: setattr(bodies[0], "mass", 0.0)), "mass 0.0"),
        (bodies_of(lambda bodies: setattr(bodies[0].com, "x", 0.1)), "cannot move a centre of mass"),
        (bodies_of(lambda bodies: setattr(bodies[0], "flags", 1)), "flags of a body"),
        (bodies_of(lambda bodies: setattr(bodies[0].inertia.x, "x", -1.0)), "inertia is not positive definite"),
        (drives_of(lambda drives: drives[:1]), r"shape \(1,\) for 2 DOFs"),
        (drives_of(lambda drives: np.zeros(2)), "dtype float64"),
        (drives_of(_with("driveMode", int(gymapi.DOF_MODE_VEL))), "DOF_MODE_POS only"),
        (drives_of(_with("stiffness", -1.0)), "stiffness below 0"),
        (drives_of(_with("damping", np.nan)), "damping is not finite"),
    ],
)
@pytest.mark.parametrize("prepared", [False, True])
def test_properties_suit_the_actor(prepared: bool, call: Callable[[Unprepared, gymapi.Env], None], match: str) -> None:
    world = Prepared() if prepared else Unprepared()
    env = world.envs[1] if prepared else world.add_env()
    with violates(match):
        call(world, env)


def test_an_asset_has_as_many_shapes() -> None:
    world = Unprepared()
    with violates("shape properties: 0 for 3 shapes"):
        world.gym.set_asset_rigid_shape_properties(world.finger, [])


def test_contacts_begin_before_shapes_rest() -> None:
    params = simulation_params()
    params.physx.rest_offset = params.physx.contact_offset
    with violates("create_sim: contact_offset above rest_offset"):
        Unprepared(params)


def test_filters_are_those_of_prepare_sim_and_of_every_env() -> None:
    change = shapes_of(lambda shapes: setattr(shapes[0], "filter", 1))
    world = Prepared()
    with violates("shapes keep their filters after prepare_sim"):
        change(world, world.envs[1])
    other = Unprepared()
    other.add_env()
    change(other, other.add_env())
    with violates("shapes have the same filters in every env"):
        other.gym.prepare_sim(other.sim)


def test_every_env_has_the_same_actors() -> None:
    world = Unprepared()
    world.add_env()
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    world.gym.create_actor(env, world.box, at(1.0), "box", 1)
    with violates("every env has the same actors"):
        world.gym.prepare_sim(world.sim)
