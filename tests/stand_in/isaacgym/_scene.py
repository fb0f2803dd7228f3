"""Sims, envs and actors, and the MuJoCo model of an env."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any, Dict, List, NamedTuple, Optional, Tuple
from xml.etree import ElementTree

import mujoco
import numpy as np

from ._importer import Asset, numbers
from ._rules import Calls, need
from ._structs import PlaneParams, RigidBodyProperties, RigidShapeProperties, SimParams, Transform, copied

GROUND = "ground"
CONTACT = {"condim": "4", "solref": "0.01 1"}


@dataclasses.dataclass(eq=False)
class Actor:
    """An asset in an env. The properties are its own."""

    asset: Asset
    pose: Transform
    name: str
    dofs: np.ndarray
    shapes: List[RigidShapeProperties]
    bodies: List[RigidBodyProperties]

    @classmethod
    def of(cls, asset: Asset, pose: Transform, name: Optional[str], shape_filter: int) -> Actor:
        """A new one. A filter other than -1 takes the place of those of its shapes."""
        shapes = [copied(shape) for shape in asset.shape_properties]
        for shape in shapes if shape_filter != -1 else ():
            shape.filter = shape_filter
        return cls(asset, copied(pose), name or "", asset.dof_properties.copy(), shapes, list(asset.body_properties))


@dataclasses.dataclass(eq=False)
class Env:
    """A world."""

    sim: Sim
    number: int
    actors: List[Actor] = dataclasses.field(default_factory=list)
    group: Optional[int] = None
    aggregate: Optional[Tuple[int, int]] = None  # bodies and shapes that the one that is open has room for
    first_actor: int = 0
    first_body: int = 0

    def add(self, actor: Actor, group: int) -> int:
        """Take in an actor, whose handle it tells."""
        need(self is self.sim.envs[-1], "create_actor: all actors of an env before the next env")
        need(group >= 0, "create_actor: a collision group of the env's own, else the worlds touch each other")
        owner = self.sim.groups.setdefault(group, self)
        need(owner is self, f"create_actor: group {group} is another env's, so the worlds would touch each other")
        need(self.group in (None, group), "stand-in: one collision group an env")
        self.group = group
        if self.aggregate is not None:
            bodies, shapes = self.aggregate
            self.aggregate = bodies - len(actor.asset.bodies), shapes - len(actor.asset.shapes)
            need(min(self.aggregate) >= 0, "create_actor: more bodies or shapes than begin_aggregate said")
        self.actors.append(actor)
        return len(self.actors) - 1


@dataclasses.dataclass(eq=False)
class Sim:
    """Everything. ``worlds`` and ``buffers`` come with ``prepare_sim``."""

    params: SimParams
    device: str
    calls: Calls
    ground: Optional[PlaneParams] = None
    envs: List[Env] = dataclasses.field(default_factory=list)
    groups: Dict[int, Env] = dataclasses.field(default_factory=dict)
    worlds: Any = None
    buffers: Dict[str, Any] = dataclasses.field(default_factory=dict)
    given: List[Any] = dataclasses.field(default_factory=list)


class Places(NamedTuple):
    """Where an actor's things are in the arrays of MuJoCo and of Gym. A root without address is fixed."""

    bodies: np.ndarray
    geoms: np.ndarray
    joints: np.ndarray
    actuators: np.ndarray
    qpos: np.ndarray
    qvel: np.ndarray
    first_body: int
    first_dof: int
    root: Optional[Tuple[int, int]]


def check_equal(envs: List[Env]) -> None:
    """Worlds may differ in properties, not in what is there."""
    need(bool(envs) and bool(envs[0].actors), "prepare_sim: nothing was created")
    first = [(actor.asset, _pose(actor)) for actor in envs[0].actors]
    for env in envs[1:]:
        need([(actor.asset, _pose(actor)) for actor in env.actors] == first, "stand-in: every env has the same actors")


def _pose(actor: Actor) -> List[float]:
    p, r = actor.pose.p, actor.pose.r
    return [p.x, p.y, p.z, r.w, r.x, r.y, r.z]


def compile_env(env: Env) -> mujoco.MjModel:
    """The model of an env, whose properties are still to be written."""
    params = env.sim.params
    root = ElementTree.Element("mujoco")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="false")
    ElementTree.SubElement(root, "size", memory="2M")
    root.append(_option(params))
    world, actuators, contacts = (ElementTree.SubElement(root, tag) for tag in ("worldbody", "actuator", "contact"))
    if env.sim.ground is not None:
        normal = env.sim.ground.normal
        need((normal.x, normal.y, normal.z) == (0.0, 0.0, 1.0), "stand-in: the ground's normal is 0 0 1")
        need(env.sim.ground.distance == 0.0, "stand-in: the ground is at 0")
        plane = {"name": GROUND, "type": "plane", "size": "2 2 0.1", "contype": "0", "conaffinity": "0"}
        ElementTree.SubElement(world, "geom", plane)
    for number, actor in enumerate(env.actors):
        world.append(_body(number, actor))
        for joint in actor.asset.joints:
            name = f"{number}/{joint.attrib['name']}"
            affine = {"biastype": "affine", "biasprm": "0 0 0", "gainprm": "0"}
            limits = {"forcelimited": "true", "forcerange": "-1 1", "ctrllimited": "false"}
            ElementTree.SubElement(actuators, "general", {"name": name, "joint": name, **affine, **limits})
    for one, other in _meeting(env):
        ElementTree.SubElement(contacts, "pair", {"geom1": one, "geom2": other, **CONTACT})
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


def _option(params: SimParams) -> ElementTree.Element:
    option = ElementTree.Element(
        "option",
        timestep=repr(params.dt / params.substeps),
        gravity=numbers((params.gravity.x, params.gravity.y, params.gravity.z)),
        integrator="implicitfast" if mujoco.__version__.startswith("3.") else "discrete",
        cone="elliptic",
        impratio="10",
        iterations="20",
        ls_iterations="50",
        jacobian="dense",
    )
    # PhysX does not put a world back that has become NaN.
    ElementTree.SubElement(option, "flag", autoreset="disable")
    return option


def _body(number: int, actor: Actor) -> ElementTree.Element:
    """An actor's bodies with names of their own, joints without limits and springs, shapes that meet in pairs only."""
    asset = actor.asset
    body = copy.deepcopy(asset.root)
    own = dict(zip(asset.root.iter(), body.iter()))
    for each in asset.bodies:
        own[each].set("name", f"{number}/{each.attrib['name']}")
        if asset.options.disable_gravity:
            own[each].set("gravcomp", "1")
    for each in asset.joints:
        joint = own[each]
        joint.set("name", f"{number}/{each.attrib['name']}")
        for attribute in ("limited", "range", "damping", "stiffness", "frictionloss"):
            joint.attrib.pop(attribute, None)
    for place, each in enumerate(asset.shapes):
        own[each].attrib.update(name=_shape(number, place), contype="0", conaffinity="0")
    pose = _pose(actor)
    body.set("pos", numbers(pose[:3]))
    body.set("quat", numbers(pose[3:]))
    if not asset.options.fix_base_link:
        body.insert(0, ElementTree.Element("freejoint", name=f"{number}/"))
    return body


def _shape(actor: int, shape: int) -> str:
    return f"{actor}/{shape}"


def _meeting(env: Env) -> List[Tuple[str, str]]:
    """Pairs of shapes that collide: no filter bit in common, not of one body or of neighbours, not both fixed."""
    shapes = [
        (number, place, actor) for number, actor in enumerate(env.actors) for place in range(len(actor.asset.shapes))
    ]
    pairs = []
    for (one, a, actor), (two, b, other) in itertools.combinations(shapes, 2):
        if actor.shapes[a].filter & other.shapes[b].filter:
            continue
        bodies = actor.asset.shape_bodies[a], other.asset.shape_bodies[b]
        if one == two and _neighbours(actor.asset, *bodies):
            continue
        pairs.append((_shape(one, a), _shape(two, b)))
    if env.sim.ground is not None:
        pairs += [(GROUND, _shape(number, place)) for number, place, actor in shapes if _moves(actor.asset, place)]
    return pairs


def _neighbours(asset: Asset, one: int, two: int) -> bool:
    return one == two or asset.parents[one] == two or asset.parents[two] == one


def _moves(asset: Asset, shape: int) -> bool:
    """Whether a joint lies between a shape and the world."""
    body = asset.shape_bodies[shape]
    while body >= 0 and asset.options.fix_base_link:
        if asset.bodies[body].find("joint") is not None:
            return True
        body = asset.parents[body]
    return not asset.options.fix_base_link


def find_places(model: mujoco.MjModel, actors: List[Actor]) -> List[Places]:
    """Each actor's places in a compiled model."""
    places: List[Places] = []
    first_body = first_dof = 0
    for number, actor in enumerate(actors):
        asset = actor.asset
        names = [f"{number}/{joint.attrib['name']}" for joint in asset.joints]
        joints = np.array([model.joint(name).id for name in names], int)
        root = None
        if not asset.options.fix_base_link:
            free = model.joint(f"{number}/").id
            root = int(model.jnt_qposadr[free]), int(model.jnt_dofadr[free])
        places.append(
            Places(
                bodies=np.array([model.body(f"{number}/{name}").id for name in asset.body_names], int),
                geoms=np.array([model.geom(_shape(number, place)).id for place in range(len(asset.shapes))], int),
                joints=joints,
                actuators=np.array([model.actuator(name).id for name in names], int),
                qpos=model.jnt_qposadr[joints],
                qvel=model.jnt_dofadr[joints],
                first_body=first_body,
                first_dof=first_dof,
                root=root,
            )
        )
        first_body += len(asset.bodies)
        first_dof += len(asset.joints)
    return places
