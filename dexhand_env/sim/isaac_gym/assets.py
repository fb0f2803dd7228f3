"""Isaac Gym's assets of a scene: the hand from an MJCF document, objects from primitives.

The hand's document leaves nothing to defaults: Isaac Gym's importer knows no classes, ignores a joint's range without
``limited``, and reads only one joint a body reliably. Drives and collision filters are set through the API.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Dict, List, Sequence
from xml.etree import ElementTree

import torch
from isaacgym import gymapi

from dexhand_env.config.backends import LIMITS, able_to_change
from dexhand_env.errors import UserError
from dexhand_env.sim.isaac_gym.hand_tree import Body, Joint, joints_of
from dexhand_env.sim.primitives import unit_inertia
from dexhand_env.sim.scene import SceneObject

# PhysX takes no link without mass, so the links between the base's joints have a little.
LINK_MASS_KG, LINK_INERTIA_KG_M2 = 1e-3, 1e-6
# PhysX takes the mean of two shapes' frictions. With this for hand and table an object can have any from half of it on.
SHARED_FRICTION = 2.0 * LIMITS["isaac_gym"].lowest_friction


def hand_mjcf(bodies: Sequence[Body]) -> str:
    """The hand as the importer reads it."""
    root = ElementTree.Element("mujoco", model="hand")
    ElementTree.SubElement(root, "compiler", angle="radian", coordinate="local")
    world = ElementTree.SubElement(root, "worldbody")
    anchor = ElementTree.SubElement(world, "body", name="anchor")  # the fixed base of the articulation
    _add_light_inertia(anchor)
    made: List[ElementTree.Element] = []
    for body in bodies:
        parent = made[body.parent] if body.parent >= 0 else anchor
        frame = {"pos": _text(body.position), "quat": _text(body.quaternion)}
        for joint in body.joints[:-1]:
            parent = ElementTree.SubElement(parent, "body", {"name": f"{joint.name}_link", **frame})
            frame = {"pos": "0 0 0", "quat": "1 0 0 0"}
            _add_light_inertia(parent)
            _add_joint(parent, joint)
        element = ElementTree.SubElement(parent, "body", {"name": body.name, **frame})
        ElementTree.SubElement(element, "inertial", body.inertial)
        for joint in body.joints[-1:]:
            _add_joint(element, joint)
        for shape in body.shapes:
            ElementTree.SubElement(element, "geom", {**shape.attributes, "mass": "0"})
        made.append(element)
    return ElementTree.tostring(root, encoding="unicode")


def _text(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _add_light_inertia(body: ElementTree.Element) -> None:
    inertia = _text((LINK_INERTIA_KG_M2,) * 3)
    ElementTree.SubElement(body, "inertial", pos="0 0 0", mass=repr(LINK_MASS_KG), diaginertia=inertia)


def _add_joint(body: ElementTree.Element, joint: Joint) -> None:
    attributes = {
        "name": joint.name,
        "type": "slide" if joint.slides else "hinge",
        "pos": "0 0 0",
        "axis": _text(joint.axis),
        "limited": "true",
        "range": _text(joint.limits),
        "armature": repr(joint.armature),
    }
    ElementTree.SubElement(body, "joint", attributes)


def hand_asset(
    gym: gymapi.Gym, sim: gymapi.Sim, bodies: Sequence[Body], margin_m: float, reach_m: float
) -> gymapi.Asset:
    """The hand, its collision filters set.

    Args:
        gym, sim: Isaac Gym.
        bodies: the hand's.
        margin_m: contact acts so far ahead of its surface.
        reach_m: contacts are generated so much farther.

    Raises:
        UserError: the importer read another number of shapes or joints than the hand has.
    """
    options = gymapi.AssetOptions()
    options.fix_base_link, options.disable_gravity, options.collapse_fixed_joints = True, True, False
    options.default_dof_drive_mode = gymapi.DOF_MODE_POS
    options.use_physx_armature, options.thickness = True, 0.0
    options.angular_damping = options.linear_damping = 0.0
    asset = _loaded(gym, sim, "hand.xml", hand_mjcf(bodies), options)
    found = gym.get_asset_rigid_shape_properties(asset)
    _expect("joints", gym.get_asset_dof_count(asset), len(joints_of(list(bodies))))
    # By the bodies' names: the importer's order of bodies need not be that of the file.
    shapes = {body.name: body.shapes for body in bodies}
    for name, places in zip(gym.get_asset_rigid_body_names(asset), gym.get_asset_rigid_body_shape_indices(asset)):
        own = shapes.get(name, ())
        _expect(f"collision shapes of {name}", places.count, len(own))
        for properties, shape in zip(found[places.start : places.start + places.count], own):
            properties.filter, properties.friction = shape.filter, SHARED_FRICTION
            properties.rest_offset, properties.contact_offset = margin_m, margin_m + reach_m
    gym.set_asset_rigid_shape_properties(asset, found)
    return asset


def _expect(what: str, found: int, needed: int) -> None:
    if found != needed:
        raise UserError("sim.backend", f"isaac_gym's importer read {found} {what} of the hand, not {needed}", "mujoco")


def object_asset(gym: gymapi.Gym, sim: gymapi.Sim, item: SceneObject) -> gymapi.Asset:
    """A free object.

    Raises:
        UserError: a shape that Isaac Gym does not have, or several.
    """
    if item.other_shapes:
        raise UserError(
            "sim.backend", f"isaac_gym cannot give {item.name} several shapes", able_to_change("object_shapes")
        )
    options = gymapi.AssetOptions()
    options.linear_damping = options.angular_damping = 0.0
    x, y, z = item.extents_m
    if item.shape == "box":
        options.density = item.mass_kg / (x * y * z)
        asset = gym.create_box(sim, x, y, z, options)
    elif item.shape == "sphere":
        options.density = item.mass_kg / (math.pi / 6.0 * x**3)
        asset = gym.create_sphere(sim, x / 2.0, options)
    elif item.shape == "cylinder":
        asset = _loaded(gym, sim, "cylinder.urdf", cylinder_urdf(item), options)
    else:
        raise UserError("sim.backend", f"isaac_gym has no {item.shape} for {item.name}", "box, sphere, cylinder")
    shapes = gym.get_asset_rigid_shape_properties(asset)
    for properties in shapes:
        properties.filter, properties.friction = 0, object_friction(item.friction)
    gym.set_asset_rigid_shape_properties(asset, shapes)
    return asset


def object_friction(friction: float) -> float:
    """The friction of an object's shape that gives this one against hand and table.

    Raises:
        UserError: too low.
    """
    if friction < SHARED_FRICTION / 2.0:
        raise UserError("sim.backend", f"isaac_gym: friction {friction:g}", f"at least {SHARED_FRICTION / 2.0:g}")
    return 2.0 * friction - SHARED_FRICTION


def cylinder_urdf(item: SceneObject) -> str:
    """A cylinder along z; Isaac Gym creates none itself."""
    radius, half_height = item.size_m
    across, _, along = (item.mass_kg * unit_inertia("cylinder", torch.tensor([radius, radius, half_height]))).tolist()
    root = ElementTree.Element("robot", name=item.name)
    link = ElementTree.SubElement(root, "link", name=item.name)
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "mass", value=repr(float(item.mass_kg)))
    moments: Dict[str, float] = {"ixx": across, "ixy": 0.0, "ixz": 0.0, "iyy": across, "iyz": 0.0, "izz": along}
    ElementTree.SubElement(inertial, "inertia", {name: repr(value) for name, value in moments.items()})
    geometry = ElementTree.SubElement(ElementTree.SubElement(link, "collision"), "geometry")
    ElementTree.SubElement(geometry, "cylinder", radius=repr(float(radius)), length=repr(2.0 * float(half_height)))
    return ElementTree.tostring(root, encoding="unicode")


def _loaded(gym: gymapi.Gym, sim: gymapi.Sim, name: str, document: str, options: gymapi.AssetOptions) -> gymapi.Asset:
    """An asset of a document, which Isaac Gym reads from a file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_text(document, encoding="utf-8")
        return gym.load_asset(sim, folder, name, options)
