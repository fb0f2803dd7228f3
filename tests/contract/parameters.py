"""Physical parameters that differ from world to world, and the models that such worlds must be."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterator, List, Tuple

import mujoco
import numpy as np
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.sim.contract import WorldParameters
from dexhand_env.sim.scene import Scene, SceneObject, scene_mjcf

from .backends import BALL, CUBE, Backend

NAMES = [field.name for field in dataclasses.fields(WorldParameters)]
PHYSICS = load_physics("default")
# Without a cylinder, for which Warp compiles for a quarter of a minute.
MIXED = Scene(
    objects=(dataclasses.replace(CUBE, other_shapes=("sphere",)), dataclasses.replace(BALL, other_shapes=("box",)))
)
PILL = SceneObject("pill", "capsule", (0.02, 0.01), 0.1, (0.3, 0.1, 0.03), other_shapes=("box", "cylinder"))
EVERY_SHAPE = Scene(objects=(dataclasses.replace(CUBE, other_shapes=("cylinder", "sphere")), PILL))


def drawn(worlds: int, seed: int = 0, scene: Scene = MIXED) -> WorldParameters:
    """Other parameters in every world."""
    generator, objects = torch.Generator().manual_seed(seed), len(scene.objects)

    def uniform(low: float, high: float, size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(worlds, size, generator=generator)

    frictions, masses_kg = uniform(0.3, 1.5, objects), uniform(0.02, 0.5, objects)
    gains, dampings = uniform(0.5, 2.0, 26), uniform(0.5, 2.0, 26)
    counts = torch.tensor([len(item.shapes) for item in scene.objects])
    shapes = (uniform(0.0, 1.0, objects) * counts).to(torch.int64)
    extents_m = torch.stack(
        (uniform(0.03, 0.05, objects), uniform(0.03, 0.05, objects), uniform(0.05, 0.07, objects)), 2
    )
    for place, item in enumerate(scene.objects):
        for world, shape in enumerate(shapes[:, place].tolist()):
            if item.shapes[shape] != "box":  # round about z; a sphere about everything
                extents_m[world, place, 1] = extents_m[world, place, 0]
            if item.shapes[shape] == "sphere":
                extents_m[world, place, 2] = extents_m[world, place, 0]
    return WorldParameters(frictions, masses_kg, shapes, extents_m, gains, dampings)


def drawn_for(backend: Backend, worlds: int, seed: int = 0) -> WorldParameters:
    """The same, as far as the backend can change them."""
    parameters = drawn(worlds, seed)
    return (
        parameters if backend.is_mujoco else dataclasses.replace(parameters, object_shapes=None, object_extents_m=None)
    )


def single_shaped(scene: Scene, parameters: WorldParameters, world: int) -> Scene:
    """The scene of a world, whose objects have one shape each."""
    row: Dict[str, List[Any]] = {name: getattr(parameters, name)[world].tolist() for name in NAMES}
    keys = ("object_shapes", "object_extents_m", "object_masses_kg", "object_frictions")
    objects = (item.changed(*(row[key][place] for key in keys)) for place, item in enumerate(scene.objects))
    return dataclasses.replace(scene, objects=tuple(objects))


def compiled(scene: Scene, parameters: WorldParameters, world: int) -> mujoco.MjModel:
    """MuJoCo's model of a world, from its source."""
    spec = mujoco.MjSpec.from_string(scene_mjcf(single_shaped(scene, parameters, world), PHYSICS))
    joints = {joint.name: joint for joint in spec.joints}
    gains, dampings = (getattr(parameters, name)[world].tolist() for name in ("gain_factors", "damping_factors"))
    for actuator, gain, damping in zip(spec.actuators, gains, dampings):
        actuator.gainprm[0] *= gain
        actuator.biasprm[1] *= gain
        actuator.biasprm[2] *= damping
        joints[actuator.target].damping[0] *= damping
    return spec.compile()


def present_geoms(model: mujoco.MjModel, scene: Scene, shapes: torch.Tensor) -> List[int]:
    """The geoms that a world has, of a model with geoms for all shapes; ``shapes`` are the objects' in that world."""
    names = [item.geom_name(item.shapes[shape]) for item, shape in zip(scene.objects, shapes.tolist())]
    of_objects = {item.geom_name(shape) for item in scene.objects for shape in item.shapes}
    others = [geom for geom in range(model.ngeom) if model.geom(geom).name not in of_objects]
    return others + [model.geom(name).id for name in names]


def rows(sim: Any, world: int) -> Iterator[Tuple[str, np.ndarray]]:
    """The fields of the model of a world, as the backend steps it."""
    if hasattr(sim, "_batch"):
        model = sim._batch.get_model(world)
        for name in dir(model):
            if not name.startswith("_") and isinstance(getattr(model, name), np.ndarray):
                yield name, getattr(model, name)
    else:
        for name, values in sim._varied.items():
            yield name, values[world].cpu().numpy().reshape(getattr(sim._mujoco_model, name).shape)


def assert_is_compiled(sim: Any, scene: Scene, world: int, rtol: float = 2e-5) -> set[str]:
    """The model of a world is what its parameters compile to; the names of the fields that were compared.

    Of an object's shapes only the present one is compared, so the tree of bounding boxes over them is left out.
    """
    fresh, model = compiled(scene, sim.parameters, world), getattr(sim, "_mujoco_model", None) or sim.model
    present = present_geoms(model, scene, sim.parameters.object_shapes[world])
    compared = set()
    for name, values in rows(sim, world):
        if values.dtype.kind != "f" or name.startswith("bvh_"):
            continue
        values = values[present] if name.startswith("geom_") else values
        np.testing.assert_allclose(values, getattr(fresh, name), rtol=rtol, atol=1e-9, err_msg=name)
        compared.add(name)
    return compared
