"""What is simulated: one hand, a table, objects; written as one MJCF document that every backend compiles."""

from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Iterable, Sequence, Tuple, TypeVar

from dexhand_env.config.physics import Physics
from dexhand_env.hand.model import hand_element

if TYPE_CHECKING:
    import torch

# Contact bitmasks of table and objects: they meet everything, the hand's links meet only what they must (docs/hand.md).
WORLD_CONTYPE = "1"
WORLD_CONAFFINITY = "7"
HAND_BODY = "floating_base"
# A shape that an object does not have at present: small, in the object's middle, and in contact with nothing. MuJoCo
# adds up the margins of two geoms and takes for contact only what is closer than that; nothing reaches as deep.
ABSENT_HALF_SIZE_M, ABSENT_MARGIN_M = 1e-4, -0.05
# MJCF's names of integrators that it does not write in small letters.
MJCF_INTEGRATORS = {"euler": "Euler", "rk4": "RK4"}

Length = TypeVar("Length", float, "torch.Tensor")


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """A free rigid body of one primitive, which may be another in each world.

    Attributes:
        name: unique in the scene.
        shape: ``box``, ``sphere``, ``cylinder`` or ``capsule``.
        size_m: MuJoCo's sizes of that shape (half lengths or radius first), metres.
        mass_kg: mass of the whole body.
        position_m: where it starts, world frame.
        friction: sliding friction of all that it touches.
        other_shapes: those that a world may give it instead of its own.
    """

    name: str
    shape: str
    size_m: Tuple[float, ...]
    mass_kg: float
    position_m: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    friction: float = 1.0
    other_shapes: Tuple[str, ...] = ()

    @property
    def shapes(self) -> Tuple[str, ...]:
        """All that it may have, its own first."""
        return (self.shape, *self.other_shapes)

    @property
    def extents_m(self) -> Tuple[float, float, float]:
        """Along its own axes x y z."""
        size = self.size_m
        if self.shape == "box":
            return 2.0 * size[0], 2.0 * size[1], 2.0 * size[2]
        half_height = {"sphere": size[0], "cylinder": size[-1], "capsule": size[0] + size[-1]}[self.shape]
        return 2.0 * size[0], 2.0 * size[0], 2.0 * half_height

    def changed(self, shape: int, extents_m: Sequence[float], mass_kg: float, friction: float) -> SceneObject:
        """What it is where parameters give it the shape at a place of ``shapes`` and the others; it has no other."""
        name = self.shapes[shape]
        return SceneObject(self.name, name, geom_size(name, extents_m), mass_kg, self.position_m, friction)

    def geom_name(self, shape: str) -> str:
        """The name of its geom of that shape."""
        return self.name if shape == self.shape else f"{self.name}_{shape}"


@dataclasses.dataclass(frozen=True)
class Actuation:
    """How hard the hand's actuators push.

    Attributes:
        base_stiffness_factor: the base's position gains are multiplied by this, its damping by the square root, so that
            it stays damped as well as it was.
        base_force_limit_n: along each axis of the base, spring and damper together.
        base_torque_limit_n_m: about each axis of the base, likewise.
        finger_torque_limit_n_m: of each finger joint.
    """

    base_stiffness_factor: float = 1.0
    base_force_limit_n: float = 500.0
    base_torque_limit_n_m: float = 50.0
    finger_torque_limit_n_m: float = 2.0


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a task wants simulated.

    Attributes:
        side: ``right`` or ``left`` hand.
        spawn_height_m: height of the hand's base at ARTz = 0.
        table: whether a plane at z = 0 is there.
        objects: the free bodies, in the order of the object tensors.
        actuation: how hard the hand pushes.
    """

    side: str = "right"
    spawn_height_m: float = 0.5
    table: bool = True
    objects: Tuple[SceneObject, ...] = ()
    actuation: Actuation = Actuation()


def geom_size(shape: str, extents_m: Sequence[Length]) -> Tuple[Length, ...]:
    """MuJoCo's sizes of a primitive of these extents along x y z, numbers or tensors of them."""
    x, y, z = (extent / 2.0 for extent in extents_m)
    return {"box": (x, y, z), "sphere": (x,), "cylinder": (x, z), "capsule": (x, z - x)}[shape]


def _numbers(values: Iterable[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def _option(physics: Physics) -> ElementTree.Element:
    return ElementTree.Element(
        "option",
        timestep=repr(physics.timestep_s),
        integrator=MJCF_INTEGRATORS.get(physics.integrator, physics.integrator),
        solver="Newton",
        iterations=str(physics.iterations),
        ls_iterations=str(physics.ls_iterations),
        cone=physics.cone,
        impratio=repr(physics.impratio),
        jacobian="dense",  # the sparse Newton factor of MuJoCo 4.0.0 is wrong
    )


def _object_body(item: SceneObject) -> ElementTree.Element:
    body = ElementTree.Element("body", name=item.name, pos=_numbers(item.position_m))
    ElementTree.SubElement(body, "freejoint", name=item.name)
    _add_geom(body, item, item.shape, size=_numbers(item.size_m), mass=repr(float(item.mass_kg)))
    for shape in item.other_shapes:
        size, margin = _numbers([ABSENT_HALF_SIZE_M] * 3), repr(ABSENT_MARGIN_M)
        _add_geom(body, item, shape, size=size, mass="0", margin=margin)
    return body


def actuate(hand: ElementTree.Element, actuation: Actuation) -> None:
    """Change the defaults of the hand's actuators."""
    factor = actuation.base_stiffness_factor
    for name in ("base_slide", "base_hinge") if factor != 1.0 else ():
        position = _found(hand, f".//default[@class='{name}']/position")
        position.set("kp", repr(float(position.attrib["kp"]) * factor))
        position.set("kv", repr(float(position.attrib["kv"]) * math.sqrt(factor)))
    limits = {
        "base_slide": actuation.base_force_limit_n,
        "base_hinge": actuation.base_torque_limit_n_m,
        "finger": actuation.finger_torque_limit_n_m,
    }
    for name, limit in limits.items():
        _found(hand, f".//default[@class='{name}']/position").set("forcerange", _numbers((-limit, limit)))


def _found(root: ElementTree.Element, path: str) -> ElementTree.Element:
    element = root.find(path)
    assert element is not None, path  # the hand's own file has it
    return element


def _add_geom(body: ElementTree.Element, item: SceneObject, shape: str, **attributes: str) -> None:
    common = {
        "contype": WORLD_CONTYPE,
        "conaffinity": WORLD_CONAFFINITY,
        "condim": "4",
        "friction": f"{float(item.friction)!r} 0.005 0.0001",
        "solref": "0.01 1",
        "priority": "1",  # else the larger friction of both geoms would count, and the hand's is 1
    }
    ElementTree.SubElement(body, "geom", {"name": item.geom_name(shape), "type": shape, **attributes, **common})


def depth_sensor(item: SceneObject) -> str:
    """The sensor that reads (number of contacts, smallest distance in m) of all contacts of an object."""
    return f"{item.name}_depth"


def hand_depth_sensor(item: SceneObject) -> str:
    """The same of its contacts with the hand."""
    return f"{item.name}_hand_depth"


def scene_mjcf(scene: Scene, physics: Physics) -> str:
    """The scene as an MJCF document.

    Joint order is the hand's 26 joints (``hand.joints.joint_names``), then one free joint an object, so the first 26
    entries of ``qpos`` and ``qvel`` are the hand's in every scene.
    """
    root = hand_element(scene.side)
    root.insert(0, _option(physics))
    _found(root, ".//default[@class='hand']/geom").set("margin", repr(physics.hand_margin_m))
    actuate(root, scene.actuation)
    worldbody, sensors = _found(root, "worldbody"), _found(root, "sensor")
    hand = _found(root, f"worldbody/body[@name='{HAND_BODY}']")
    hand.set("pos", _numbers((0.0, 0.0, scene.spawn_height_m)))
    if scene.table:
        table = ElementTree.Element(
            "geom",
            name="table",
            type="plane",
            size="2 2 0.1",
            contype=WORLD_CONTYPE,
            conaffinity=WORLD_CONAFFINITY,
            condim="4",
            friction="1 0.005 0.0001",
            solref="0.01 1",
        )
        worldbody.insert(0, table)
    for item in scene.objects:
        worldbody.append(_object_body(item))
        deepest = {"body1": item.name, "num": "1", "reduce": "mindist", "data": "found dist"}
        by_hand = {**deepest, "name": hand_depth_sensor(item), "subtree2": HAND_BODY}
        ElementTree.SubElement(sensors, "contact", {**deepest, "name": depth_sensor(item)})
        ElementTree.SubElement(sensors, "contact", by_hand)
    return ElementTree.tostring(root, encoding="unicode")
