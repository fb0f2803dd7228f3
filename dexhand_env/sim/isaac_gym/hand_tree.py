"""The hand's model as plain values: bodies in file order, with classes and defaults resolved."""

from __future__ import annotations

import dataclasses
import math
from typing import Dict, List, Tuple
from xml.etree import ElementTree

from dexhand_env.hand.model import hand_element
from dexhand_env.sim.scene import Actuation, actuate

Numbers = Tuple[float, ...]
# Collision filters: two shapes of Isaac Gym collide where they share no bit. Fingertips have one bit each, so they
# collide with each other; palm and other links have all of them; objects and the table have none.
EVERY_BIT = 0b11111


@dataclasses.dataclass(frozen=True)
class Joint:
    """A joint with the position drive that moves it; metres and radians, newtons and newton metres.

    Attributes:
        name: as in ``hand.joints.joint_names``.
        slides: whether it is a slide and not a hinge.
        axis: in the frame of its body.
        limits: lowest and highest position.
        armature: inertia added to the joint, kg or kg m^2.
        stiffness, damping: of the drive, the joint's own damping included.
        effort: the largest force or torque of the drive.
        speed_limit: at which the joint's own damping would cancel the drive's effort; infinite without any. In MuJoCo
            that damping acts beside the limited drive, in PhysX it is part of it.
    """

    name: str
    slides: bool
    axis: Numbers
    limits: Tuple[float, float]
    armature: float
    stiffness: float
    damping: float
    effort: float
    speed_limit: float


@dataclasses.dataclass(frozen=True)
class Shape:
    """A collision shape of a body.

    Attributes:
        attributes: of its MJCF ``geom``: type, size, and where it lies.
        filter: its collision filter.
    """

    attributes: Dict[str, str]
    filter: int

    def numbers(self, name: str) -> Numbers:
        """An attribute as numbers."""
        return numbers(self.attributes[name])


@dataclasses.dataclass(frozen=True)
class Body:
    """A body in the frame of its parent.

    Attributes:
        name: of the body.
        parent: its place in the list of bodies, -1 for the world.
        position, quaternion: of its frame in the parent's, m and w x y z.
        joints: in the order in which they act.
        sites: positions and quaternions in its frame, by name.
        shapes: its collision shapes.
        inertial: attributes of its MJCF ``inertial``.
    """

    name: str
    parent: int
    position: Numbers
    quaternion: Numbers
    joints: Tuple[Joint, ...]
    sites: Dict[str, Tuple[Numbers, Numbers]]
    shapes: Tuple[Shape, ...]
    inertial: Dict[str, str]


def read_hand(side: str, actuation: Actuation) -> List[Body]:
    """The bodies of a hand, parents before children."""
    root = hand_element(side)
    actuate(root, actuation)
    return _Reader(root).bodies


def joints_of(bodies: List[Body]) -> List[Joint]:
    """All joints, in the order of ``hand.joints.joint_names``."""
    return [joint for body in bodies for joint in body.joints]


def numbers(text: str) -> Numbers:
    """Numbers of an MJCF attribute."""
    return tuple(float(value) for value in text.split())


class _Reader:
    """Walks an MJCF tree of one hand."""

    def __init__(self, root: ElementTree.Element) -> None:
        self.bodies: List[Body] = []
        self._fingertips = 0
        self._defaults: Dict[str, Dict[str, Dict[str, str]]] = {}
        defaults, actuators, base = (root.find(path) for path in ("default", "actuator", "worldbody/body"))
        assert defaults is not None
        assert actuators is not None
        assert base is not None
        self._read_defaults(defaults, {})
        self._drives = {drive.attrib["joint"]: self._full(drive, "") for drive in actuators}
        self._read_body(base, -1, "")

    def _read_defaults(self, element: ElementTree.Element, above: Dict[str, Dict[str, str]]) -> None:
        own = {tag: dict(values) for tag, values in above.items()}
        for child in element:
            if child.tag != "default":
                own.setdefault(child.tag, {}).update(child.attrib)
        self._defaults[element.get("class", "main")] = own
        for child in element.findall("default"):
            self._read_defaults(child, own)

    def _full(self, element: ElementTree.Element, childclass: str) -> Dict[str, str]:
        """An element's attributes over those of its class."""
        name = element.get("class") or childclass or "main"
        return {**self._defaults[name].get(element.tag, {}), **element.attrib}

    def _read_body(self, element: ElementTree.Element, parent: int, childclass: str) -> None:
        childclass = element.get("childclass", childclass)
        inertial = element.find("inertial")
        assert inertial is not None
        body = Body(
            name=element.attrib["name"],
            parent=parent,
            position=numbers(element.get("pos", "0 0 0")),
            quaternion=numbers(element.get("quat", "1 0 0 0")),
            joints=tuple(self._joint(self._full(joint, childclass)) for joint in element.findall("joint")),
            sites={
                site.attrib["name"]: (numbers(site.get("pos", "0 0 0")), numbers(site.get("quat", "1 0 0 0")))
                for site in element.findall("site")
            },
            shapes=tuple(self._shape(self._full(geom, childclass)) for geom in element.findall("geom")),
            inertial=dict(inertial.attrib),
        )
        self.bodies.append(body)
        here = len(self.bodies) - 1
        for child in element.findall("body"):
            self._read_body(child, here, childclass)

    def _joint(self, joint: Dict[str, str]) -> Joint:
        drive = self._drives[joint["name"]]
        low, high = numbers(joint["range"])
        own_damping, effort = float(joint.get("damping", "0")), numbers(drive["forcerange"])[1]
        return Joint(
            name=joint["name"],
            slides=joint["type"] == "slide",
            axis=numbers(joint["axis"]),
            limits=(low, high),
            armature=float(joint.get("armature", "0")),
            stiffness=float(drive["kp"]),
            damping=float(drive.get("kv", "0")) + own_damping,
            effort=effort,
            speed_limit=effort / own_damping if own_damping else math.inf,
        )

    def _shape(self, geom: Dict[str, str]) -> Shape:
        bits = EVERY_BIT
        if geom["conaffinity"] != "0":  # a fingertip's; the others meet only table and objects
            bits = 1 << self._fingertips
            self._fingertips += 1
        kept = ("name", "type", "size", "pos", "quat", "fromto")
        return Shape({name: geom[name] for name in kept if name in geom}, bits)
