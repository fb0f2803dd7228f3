"""Objects that have another shape and size in each world move as in a scene where each has that one alone."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Set, Tuple

import mujoco
import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.randomness import NumberedEpisodes
from dexhand_env.sim.contract import Simulation, WorldParameters
from dexhand_env.sim.scene import Scene
from dexhand_env.tasks.registry import make_env

from .backends import BACKENDS, SHAPES, Backend
from .motions import every
from .parameters import NAMES, present_geoms, single_shaped
from .test_scripted_grasp import ABOVE, CLOSE_S, CUBE, DESCEND_S, GRASPED, OPENED, SPAWN_HEIGHT_M, joint_targets, move

DROP_M = 0.01
Objects = Tuple[Tuple[str, Tuple[float, ...]], ...]
# The shape and the extents of a world's object.
SPHERE_AND_BOX: Objects = (("sphere", (0.05, 0.05, 0.05)), ("box", (0.06, 0.048, 0.036)))
EVERY_SHAPE: Objects = (*SPHERE_AND_BOX, ("box", (0.06, 0.06, 0.06)), ("cylinder", (0.05, 0.05, 0.05)))


def make(backend: Backend, objects: Objects) -> Tuple[Scene, Simulation]:
    """The scripted grasp's scene, and a simulation in which each world has another object."""
    others = tuple(dict.fromkeys(shape for shape, _ in objects if shape != "box"))
    scene = Scene(spawn_height_m=SPAWN_HEIGHT_M, objects=(dataclasses.replace(CUBE, other_shapes=others),))
    sim = backend.make(scene, num_envs=len(objects))
    shapes = torch.tensor([[scene.objects[0].shapes.index(shape)] for shape, _ in objects])
    extents = torch.tensor([[extents_m] for _, extents_m in objects])
    sim.set_parameters(every(sim), WorldParameters(object_shapes=shapes, object_extents_m=extents))
    return scene, sim


def dropped_and_squeezed(sim: Simulation, half_heights_m: List[float]) -> Dict[str, torch.Tensor]:
    """What can be seen when the objects have fallen onto the table, and when the hands have closed on them."""
    poses = torch.zeros(sim.num_envs, 1, 7)
    poses[:, 0, 2] = torch.tensor(half_heights_m) + DROP_M
    poses[:, 0, 3] = 1.0
    sim.reset(every(sim), joint_targets(sim, ABOVE), poses)
    seen: Dict[str, torch.Tensor] = {}
    for phase, begin, end, seconds in (("dropped", ABOVE, OPENED, DESCEND_S), ("squeezed", OPENED, GRASPED, CLOSE_S)):
        move(sim, begin, end, seconds)
        seen[f"{phase}: object"] = sim.object_positions[:, 0].clone()
        seen[f"{phase}: joints"] = sim.joint_positions.clone()
        seen[f"{phase}: forces"] = sim.peak_fingertip_forces.clone()
        seen[f"{phase}: depth"] = sim.object_penetrations.clone()
    return seen


def assert_like_scenes_of_one_shape(backend: Backend, objects: Objects) -> None:
    """Almost to the last bit: formulas and the order of contacts differ."""
    scene, sim = make(backend, objects)
    heights = [extents_m[2] / 2.0 for _, extents_m in objects]
    found = dropped_and_squeezed(sim, heights)
    for world, height in enumerate(heights):
        alone = backend.make(single_shaped(scene, sim.parameters, world), num_envs=1)
        for name, expected in dropped_and_squeezed(alone, [height]).items():
            atol = 0.01 if name.endswith("forces") else 1e-5
            torch.testing.assert_close(found[name][world], expected[0], rtol=0.0, atol=atol)
    assert (found["squeezed: forces"][:, 0] > 1.0).all()  # every thumb presses
    assert (found["squeezed: depth"] > 1e-4).all()
    assert sim.counters() == backend.counters()


def test_objects_fall_and_are_squeezed_as_in_scenes_of_one_shape(backend: Backend) -> None:
    """On Warp without the cylinder, for which it compiles for a quarter of a minute."""
    backend.needs_mujoco(SHAPES)
    assert_like_scenes_of_one_shape(backend, EVERY_SHAPE if backend.name == "mujoco" else SPHERE_AND_BOX)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [each for each in BACKENDS if each.name == "mujoco_warp"], ids=lambda b: b.device)
def test_cylinders_on_warp_too(backend: Backend) -> None:
    assert_like_scenes_of_one_shape(backend, EVERY_SHAPE)


def touching(sim: Any, world: int) -> Set[int]:
    """The geoms that are in contact in a world."""
    if hasattr(sim, "_batch"):
        model, data = sim._batch.get_model(world), sim._batch.get_data(world)
        mujoco.mj_forward(model, data)
        return set(data.contact.geom.reshape(-1).tolist())
    contact, count = sim._data.contact, int(sim._data.nacon.numpy()[0])
    geoms, worlds = contact.geom.numpy()[:count], contact.worldid.numpy()[:count]
    return set(geoms[worlds == world].reshape(-1).tolist())


def find_contacts(sim: Any) -> None:
    """Of the present state, on Warp."""
    import mujoco_warp
    import warp

    with warp.ScopedDevice(str(sim.device)):
        mujoco_warp.forward(sim._model, sim._data)


def test_what_an_object_is_not_touches_nothing(backend: Backend) -> None:
    """Even with a fingertip in its middle, where the shapes that it does not have are."""
    backend.needs_mujoco(SHAPES)
    scene, sim = make(backend, SPHERE_AND_BOX)
    tips = sim.site_poses(["r_f_link2_tip"])[0].clone()
    poses = torch.cat((tips, torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(tips), 1, 4)), dim=2)
    sim.reset(every(sim), sim.joint_positions.clone(), poses)
    inner: Any = getattr(sim, "_sim", sim)
    if backend.name == "mujoco_warp":
        find_contacts(inner)
    model = getattr(inner, "_mujoco_model", None) or inner.model
    shapes = sim.parameters.object_shapes
    assert shapes is not None
    for world, shape in enumerate(shapes):
        present = present_geoms(model, scene, shape)
        found = touching(inner, world)
        assert present[-1] in found
        assert found <= set(present)


def test_a_numbered_episode_has_the_same_object_on_every_backend(backend: Backend) -> None:
    drawn: Dict[str, Any] = {"object_friction": [0.3, 1.0], "object_mass_kg": [0.05, 0.3]}
    if backend.is_mujoco:
        drawn.update(object_shapes=["cube", "sphere", "box"], object_size_m=[0.04, 0.07])
    config = load_task("DexGrasp", {"sim": {"backend": backend.name}, "randomisation": drawn})

    def begun(device: str, config: Any) -> List[torch.Tensor]:
        randomness = NumberedEpisodes(range(7, 11), torch.device(device))
        env = make_env(config, load_physics("default"), 4, randomness, device, auto_reset=False)
        parameters = [getattr(env.sim.parameters, name) for name in NAMES]
        return [values.cpu() for values in (*parameters, env.sim.object_positions, env.task.target_positions())]

    on_cpu = begun("cpu", config.model_copy(update={"sim": config.sim.model_copy(update={"backend": "mujoco"})}))
    for found, expected in zip(begun(backend.device, config), on_cpu):
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-6)
