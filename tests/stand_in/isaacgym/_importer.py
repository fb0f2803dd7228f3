"""Assets: from MJCF, from URDF, and primitives. All become an MJCF body and the lists that Gym hands out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Tuple
from xml.etree import ElementTree

import mujoco
import numpy as np

from ._rules import Violation, need
from ._structs import (
    DOF_PROPERTIES,
    AssetOptions,
    Mat33,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    Vec3,
    copied,
)

# Bodies, DOFs and shapes come by their depth in the tree, not in the file's order, unless a test says so. The importer
# promises no order, so code has to go by names and by ``get_asset_rigid_body_shape_indices``.
BREADTH_FIRST = True

SHAPES = ("box", "sphere", "capsule")  # what the MJCF importer reads
UNREAD_ELEMENTS = (
    *("default", "sensor", "equality", "include", "keyframe", "actuator", "tendon", "contact", "asset", "site"),
    *("freejoint", "composite", "frame", "replicate"),
)
UNREAD_ATTRIBUTES = ("class", "childclass", "ref", "springref", "euler", "axisangle", "xyaxes", "zaxis")
NO_LIMIT = float(np.finfo(np.float32).max)
DISABLE_GRAVITY = 1  # RIGID_BODY_DISABLE_GRAVITY


def numbers(values: Iterable[float]) -> str:
    """Numbers as MJCF has them."""
    return " ".join(repr(float(value)) for value in values)


@dataclasses.dataclass
class Asset:
    """What was read, in Gym's order.

    Attributes:
        options: how it was read.
        root: its body, and all below, in MJCF.
        bodies: the elements of its bodies.
        joints: those of its joints, at most one a body.
        shapes: those of its shapes, and ``shape_bodies`` the number of each one's body.
        parents: the number of each body's parent, -1 for the root.
        dof_properties, shape_properties, body_properties: as Gym hands them out.
    """

    options: AssetOptions
    root: ElementTree.Element
    bodies: List[ElementTree.Element]
    joints: List[ElementTree.Element]
    shapes: List[ElementTree.Element]
    shape_bodies: List[int]
    parents: List[int]
    dof_properties: np.ndarray
    shape_properties: List[RigidShapeProperties]
    body_properties: List[RigidBodyProperties]

    @property
    def body_names(self) -> List[str]:
        """The names of its bodies."""
        return [body.attrib["name"] for body in self.bodies]


def sim_features(root: ElementTree.Element) -> List[str]:
    """What the vendor's importer does not read as MuJoCo does, so that an asset must not have it."""
    found = [tag for tag in UNREAD_ELEMENTS if next(root.iter(tag), None) is not None]
    found += [name for name in UNREAD_ATTRIBUTES if any(name in element.attrib for element in root.iter())]
    types = {geom.get("type", "sphere") for geom in root.iter("geom")}
    found += [f"geom type {kind}" for kind in sorted(types - set(SHAPES))]
    compiler = root.find("compiler")
    if compiler is None or compiler.get("angle") != "radian":
        found.append("angles in degrees")
    return found


def load(params: SimParams, path: Path, options: Optional[AssetOptions]) -> Asset:
    """An asset from a file, whose ending says what it is."""
    need(path.is_file(), f"load_asset: no file {path}")
    root = ElementTree.parse(path).getroot()  # noqa: S314 - the tests' own files
    if path.suffix == ".urdf":
        return _asset(params, _urdf_body(root), options)
    need(path.suffix == ".xml", f"load_asset: {path.suffix} is neither .xml nor .urdf")
    unread = sim_features(root)
    need(not unread, f"MJCF importer: {', '.join(unread)}")
    bodies = root.findall("worldbody/*")
    need([body.tag for body in bodies] == ["body"], "MJCF importer: one body, and nothing else, in the worldbody")
    need("pos" not in bodies[0].attrib and "quat" not in bodies[0].attrib, "MJCF importer: the actor's pose is given")
    return _asset(params, bodies[0], options)


def primitive(
    params: SimParams, kind: str, volume_m3: float, options: Optional[AssetOptions], **attributes: str
) -> Asset:
    """A body of one shape, whose mass is its density's."""
    options = options or AssetOptions()
    body = ElementTree.Element("body", name=kind)
    mass = repr(float(options.density * volume_m3))
    ElementTree.SubElement(body, "geom", {"type": kind, "mass": mass, **attributes})
    return _asset(params, body, options)


def _urdf_body(robot: ElementTree.Element) -> ElementTree.Element:
    """One link with one cylinder."""
    links = robot.findall("link")
    need(len(links) == 1 and robot.find("joint") is None, "URDF importer of the stand-in: one link, no joint")
    cylinders = links[0].findall("collision/geometry/cylinder")
    need(
        len(cylinders) == len(links[0].findall("collision")) == 1,
        "URDF importer of the stand-in: one cylinder",
    )
    need(next(links[0].iter("origin"), None) is None, "URDF importer of the stand-in: no origin")
    mass, inertia = links[0].find("inertial/mass"), links[0].find("inertial/inertia")
    body = ElementTree.Element("body", name=links[0].attrib["name"])
    radius, length = (float(cylinders[0].attrib[name]) for name in ("radius", "length"))
    geom = ElementTree.SubElement(body, "geom", type="cylinder", size=numbers((radius, length / 2)))
    if mass is None or inertia is None:
        return body
    geom.set("mass", "0")
    tensor = [float(inertia.get(name, "0")) for name in ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")]
    ElementTree.SubElement(body, "inertial", pos="0 0 0", mass=mass.attrib["value"], fullinertia=numbers(tensor))
    return body


def _asset(params: SimParams, root: ElementTree.Element, options: Optional[AssetOptions]) -> Asset:
    options = copied(options or AssetOptions())
    for geom in root.iter("geom"):
        if "mass" not in geom.attrib:
            geom.attrib.setdefault("density", repr(options.density))
    parents, depths = _tree(root)
    bodies = list(parents)
    if BREADTH_FIRST:
        bodies.sort(key=depths.__getitem__)  # stable
    joints, shapes, shape_bodies = [], [], []
    for number, body in enumerate(bodies):
        own = body.findall("joint")
        need(len(own) <= 1, f"MJCF importer of the stand-in: one joint a body, {body.get('name')} has {len(own)}")
        joints += own
        shapes += body.findall("geom")
        shape_bodies += [number] * len(body.findall("geom"))
    shape = RigidShapeProperties()
    shape.rest_offset, shape.contact_offset = params.physx.rest_offset, params.physx.contact_offset
    return Asset(
        options=options,
        root=root,
        bodies=bodies,
        joints=joints,
        shapes=shapes,
        shape_bodies=shape_bodies,
        parents=[-1 if above is None else bodies.index(above) for above in map(parents.__getitem__, bodies)],
        dof_properties=_dof_properties(joints, options),
        shape_properties=[copied(shape) for _ in shapes],
        body_properties=_body_properties(root, bodies, options),
    )


def _tree(
    root: ElementTree.Element,
) -> Tuple[Dict[ElementTree.Element, Optional[ElementTree.Element]], Dict[ElementTree.Element, int]]:
    """Each body's parent and its depth, in the file's order."""
    parents: Dict[ElementTree.Element, Optional[ElementTree.Element]] = {root: None}
    depths = {root: 0}
    for body in root.iter("body"):
        for child in body.findall("body"):
            parents[child], depths[child] = body, depths[body] + 1
    return {body: parents[body] for body in root.iter("body")}, depths


def _dof_properties(joints: List[ElementTree.Element], options: AssetOptions) -> np.ndarray:
    """Without ``limited`` a range is ignored, and frictionloss always, as by the vendor's importer."""
    properties = np.zeros(len(joints), DOF_PROPERTIES)
    for row, joint in zip(properties, joints):
        need(joint.get("type", "hinge") in ("hinge", "slide"), f"stand-in: no {joint.get('type')} joints")
        row["hasLimits"] = joint.get("limited") == "true"
        if row["hasLimits"]:
            row["lower"], row["upper"] = (float(bound) for bound in joint.attrib["range"].split())
        row["effort"] = row["velocity"] = NO_LIMIT
        row["driveMode"] = options.default_dof_drive_mode
        for name in ("stiffness", "damping", "armature"):
            row[name] = float(joint.get(name, "0"))
    return properties


def _body_properties(
    root: ElementTree.Element, bodies: List[ElementTree.Element], options: AssetOptions
) -> List[RigidBodyProperties]:
    """Read from the compiled asset."""
    document = ElementTree.Element("mujoco")
    ElementTree.SubElement(document, "compiler", angle="radian", autolimits="true")
    world = ElementTree.SubElement(document, "worldbody")
    world.append(root)
    try:
        model = mujoco.MjModel.from_xml_string(ElementTree.tostring(document, encoding="unicode"))
    except ValueError as error:
        raise Violation(f"importer: {str(error).splitlines()[0]}") from error
    properties = []
    for body in bodies:
        number = model.body(body.attrib["name"]).id
        own = RigidBodyProperties()
        own.com = Vec3(*model.body_ipos[number])
        own.mass = float(model.body_mass[number])
        own.flags = DISABLE_GRAVITY if options.disable_gravity else 0
        turned = np.zeros(9)
        mujoco.mju_quat2Mat(turned, model.body_iquat[number])
        axes = turned.reshape(3, 3)
        set_inertia(own, axes @ np.diag(model.body_inertia[number]) @ axes.T)
        properties.append(own)
    return properties


def set_inertia(properties: RigidBodyProperties, inertia: np.ndarray) -> None:
    """Write a tensor of inertia, and what follows from it and the mass."""
    properties.inertia = _columns(inertia)
    if np.linalg.det(inertia) > 0:
        properties.invInertia = _columns(np.linalg.inv(inertia))
    properties.invMass = 1 / properties.mass if properties.mass else 0.0


def _columns(matrix: np.ndarray) -> Mat33:
    columns = Mat33()
    columns.x, columns.y, columns.z = (Vec3(*column) for column in matrix.T)
    return columns
