"""Properties of actors, checked and written into the model of their world."""

from __future__ import annotations

from typing import Dict, List, Sequence

import mujoco
import numpy as np

from ._enums import DofDriveMode
from ._importer import set_inertia
from ._rules import need
from ._scene import Actor, Env, Places
from ._structs import DOF_PROPERTIES, Mat33, RigidBodyProperties, RigidShapeProperties, copied

SPIN_FRICTION = (0.005, 0.0001, 0.0001)  # torsion and rolling, which PhysX does not have
ENDLESS = 1e9


def checked_dofs(properties: np.ndarray, count: int) -> np.ndarray:
    """A copy of DOF properties that suit an actor."""
    kind = getattr(properties, "dtype", None)
    need(kind == DOF_PROPERTIES, f"DOF properties: an array of dtype {kind}, not the one that get_... gives")
    need(properties.shape == (count,), f"DOF properties: shape {properties.shape} for {count} DOFs")
    driven = set(properties["driveMode"].tolist()) - {DofDriveMode.DOF_MODE_NONE, DofDriveMode.DOF_MODE_POS}
    need(not driven, "stand-in: DOF_MODE_NONE and DOF_MODE_POS only")
    for name in DOF_PROPERTIES.names or ():
        need(bool(np.isfinite(properties[name]).all()), f"DOF properties: {name} is not finite")
    for name in ("stiffness", "damping", "effort", "armature"):
        need(bool((properties[name] >= 0).all()), f"DOF properties: {name} below 0")
    return properties.copy()


def checked_shapes(properties: Sequence[RigidShapeProperties], count: int) -> List[RigidShapeProperties]:
    """Copies of shape properties that suit an asset."""
    need(len(properties) == count, f"shape properties: {len(properties)} for {count} shapes")
    for shape in properties:
        need(isinstance(shape, RigidShapeProperties), "shape properties: a list of RigidShapeProperties")
        need(shape.contact_offset > shape.rest_offset, "shape properties: contact_offset has to be above rest_offset")
        need(shape.friction >= 0, "shape properties: friction below 0")
    return [copied(shape) for shape in properties]


def checked_bodies(
    properties: Sequence[RigidBodyProperties], present: Sequence[RigidBodyProperties], recompute: bool
) -> List[RigidBodyProperties]:
    """Copies of body properties that suit an actor; with ``recompute`` each inertia follows its mass."""
    need(len(properties) == len(present), f"body properties: {len(properties)} for {len(present)} bodies")
    return [_checked_body(new, old, recompute) for new, old in zip(properties, present)]


def _checked_body(new: RigidBodyProperties, old: RigidBodyProperties, recompute: bool) -> RigidBodyProperties:
    need(isinstance(new, RigidBodyProperties), "body properties: a list of RigidBodyProperties")
    need(_vector(new.com) == _vector(old.com), "body properties: the GPU pipeline cannot move a centre of mass")
    need(new.flags == old.flags, "stand-in: the flags of a body stay as they are")
    need(0 < new.mass < ENDLESS, f"body properties: mass {new.mass}")
    own = copied(new)
    tensor = matrix(old.inertia) * new.mass / old.mass if recompute else matrix(new.inertia)
    need(bool((np.linalg.eigvalsh(tensor) > 0).all()), "body properties: the inertia is not positive definite")
    set_inertia(own, tensor)
    return own


def _vector(vector: object) -> List[float]:
    return [getattr(vector, axis) for axis in "xyz"]


def matrix(columns: Mat33) -> np.ndarray:
    """The matrix of these columns."""
    return np.array([_vector(column) for column in (columns.x, columns.y, columns.z)]).T


def write_dofs(model: mujoco.MjModel, places: Places, actor: Actor) -> None:
    """Drives, limits and armature: force = stiffness (target - position) - damping velocity, within +-effort."""
    dofs, actuators = actor.dofs, places.actuators
    driven = dofs["driveMode"] == DofDriveMode.DOF_MODE_POS
    stiffness, effort = dofs["stiffness"] * driven, np.minimum(dofs["effort"], ENDLESS)
    model.actuator_gainprm[actuators, 0] = stiffness
    model.actuator_biasprm[actuators, 1] = -stiffness
    model.actuator_biasprm[actuators, 2] = -dofs["damping"] * driven
    model.actuator_forcerange[actuators] = np.stack((-effort, effort), 1)
    model.jnt_limited[places.joints] = dofs["hasLimits"]
    model.jnt_range[places.joints] = np.stack((dofs["lower"], dofs["upper"]), 1)
    model.dof_armature[places.qvel] = dofs["armature"]


def write_bodies(model: mujoco.MjModel, places: Places, actor: Actor) -> None:
    """Masses and inertias."""
    for number, body in zip(places.bodies, actor.bodies):
        axes = np.zeros(9)
        mujoco.mju_quat2Mat(axes, model.body_iquat[number])
        in_axes = axes.reshape(3, 3).T @ matrix(body.inertia) @ axes.reshape(3, 3)
        moments = np.diag(in_axes)
        need(np.allclose(in_axes, np.diag(moments), atol=1e-6 * moments.max()), "stand-in: principal axes stay")
        model.body_mass[number], model.body_inertia[number] = body.mass, moments


def write_contacts(model: mujoco.MjModel, places: Sequence[Places], env: Env) -> None:
    """A pair's friction is the mean of both shapes', its margin the sum of their rest offsets, as in PhysX."""
    friction, rest = np.zeros(model.ngeom), np.full(model.ngeom, env.sim.params.physx.rest_offset)
    if env.sim.ground is not None:
        friction[:] = env.sim.ground.dynamic_friction
    for place, actor in zip(places, env.actors):
        friction[place.geoms] = [shape.friction for shape in actor.shapes]
        rest[place.geoms] = [shape.rest_offset for shape in actor.shapes]
    one, other = model.pair_geom1, model.pair_geom2
    model.pair_friction[:, :2] = ((friction[one] + friction[other]) / 2)[:, None]
    model.pair_friction[:, 2:] = SPIN_FRICTION
    model.pair_margin[:] = rest[one] + rest[other]


def filters(actors: Sequence[Actor]) -> Dict[int, List[int]]:
    """The filter bits of all shapes."""
    return {number: [shape.filter for shape in actor.shapes] for number, actor in enumerate(actors)}
