"""Parameters of a restored state: running episodes keep them, those that begin have the scene's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.own_parameters import OwnParameters
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.sim.contract import WorldParameters
from dexhand_env.sim.scene import Scene
from dexhand_env.tasks.registry import make_env

from .backends import BALL, CUBE, SHAPES, Backend
from .motions import every, into_contact, some
from .parameters import MIXED, NAMES, assert_is_compiled, drawn_for


@pytest.mark.parametrize("kept", [(), ("object_masses_kg",), ("gain_factors", "object_shapes")], ids=str)
def test_worlds_that_begin_are_the_scene_again(backend: Backend, kept: tuple[str, ...]) -> None:
    if "object_shapes" in kept:
        backend.needs_mujoco(SHAPES)
    scene, own_shapes = backend.varied(MIXED), () if backend.is_mujoco else ("object_shapes", "object_extents_m")
    sim, parameters = backend.make(scene, num_envs=3), drawn_for(backend, 3)
    own = sim.parameters
    putting_back = OwnParameters(sim, set(kept))
    before = backend.make(scene, num_envs=3)
    before.set_parameters(every(before), parameters)
    into_contact(before, 20)
    sim.set_state(before.get_state())
    putting_back.compare()
    putting_back.put_back(some(sim, 1))
    for name in NAMES:
        expected = getattr(own if name in own_shapes else parameters, name).clone()
        if name not in kept:
            expected[1] = getattr(own, name)[1]
        assert torch.equal(getattr(sim.parameters, name), expected), name
    for world in range(3) if backend.is_mujoco else ():
        assert_is_compiled(getattr(sim, "_sim", sim), MIXED, world)
    putting_back.put_back(every(sim))
    if not kept:
        for name in NAMES:
            assert torch.equal(getattr(sim.parameters, name), getattr(own, name))
        state, pristine = sim.get_state(), backend.make(scene, num_envs=3)
        pristine.set_state({name: values for name, values in state.items() if not name.startswith("parameter/")})
        for each in (sim, pristine):
            each.reset(every(each), torch.zeros(3, 26))
            into_contact(each, 20)
        backend.assert_same(sim.get_state()["qpos"], pristine.get_state()["qpos"])


def boxes_and_balls(*shapes: str) -> Scene:
    """A cube and a ball which can have these shapes, the first as their own."""
    own = {"box": CUBE, "sphere": BALL}[shapes[0]]
    other = {"box": BALL, "sphere": CUBE}[shapes[0]]
    item = dataclasses.replace(own, name="item", other_shapes=shapes[1:])
    return Scene(objects=(item, dataclasses.replace(other, name="other")))


@pytest.mark.parametrize(
    ("before", "after", "places", "expected"),
    [
        (("box", "sphere"), ("box", "sphere"), [0, 1, 1], [0, 1, 1]),
        (("box", "sphere"), ("sphere", "box"), [0, 1, 1], [1, 0, 0]),
        (("box", "sphere"), ("sphere",), [0, 1, 1], [None, 0, 0]),
        (("box", "sphere"), ("box",), [0, 1, 1], [0, None, None]),
        (("box",), ("sphere", "box"), [0, 0, 0], [1, 1, 1]),
    ],
)
def test_an_object_keeps_its_shape_in_a_scene_that_has_it(
    backend: Backend, before: tuple[str, ...], after: tuple[str, ...], places: list[int], expected: list[Any]
) -> None:
    """Whatever its place there; else it is the scene's own object."""
    backend.needs_mujoco(SHAPES)
    sim, restored = (backend.make(boxes_and_balls(*shapes), num_envs=3) for shapes in (before, after))
    extents_m = torch.full((3, 2, 3), 0.04)
    shapes = torch.tensor([[place, 0] for place in places])
    own = restored.parameters
    assert own.object_extents_m is not None
    sim.set_parameters(every(sim), WorldParameters(object_shapes=shapes, object_extents_m=extents_m))
    restored.set_state(sim.get_state())
    assert restored.parameters.object_shapes is not None
    assert restored.parameters.object_extents_m is not None
    assert restored.parameters.object_shapes[:, 0].tolist() == [0 if place is None else place for place in expected]
    for world, place in enumerate(expected):
        its_own = own.object_extents_m if place is None else extents_m
        assert torch.equal(restored.parameters.object_extents_m[world, 0], its_own[world, 0])
        assert_is_compiled(getattr(restored, "_sim", restored), boxes_and_balls(*after), world)


EVERYTHING = {
    "object_friction": [0.3, 0.4],
    "object_mass_kg": [0.5, 2.0],
    "gain_factor": [0.2, 0.5],
    "damping_factor": [2.0, 3.0],
}


OF_EVERY_SHAPE = {"object_shapes": ["cube", "sphere"], "object_size_m": [0.06, 0.08]}


def grasp(backend: Backend, randomisation: dict[str, Any], **overrides: Any) -> DexHandEnv:
    short: dict[str, Any] = {"sim": {"physics": "fast"}, "episode_length_steps": 6, "success": {"hold_steps": 5}}
    short["sim"]["backend"] = backend.name
    config = load_task("DexGrasp", {**short, "randomisation": randomisation, **overrides})
    randomness = TrainingRandomness(0, torch.device(backend.device))
    return make_env(config, load_physics("fast"), 3, randomness, backend.device)


def test_a_training_that_goes_on_without_randomisation_has_none(backend: Backend) -> None:
    """After one episode everywhere; other keys of the object count then too."""
    before = grasp(backend, {**EVERYTHING, **(OF_EVERY_SHAPE if backend.is_mujoco else {})})
    still = torch.zeros((3, before.num_actions), device=before.device)
    for _ in range(3):
        before.step(still)
    item = {"shape": "sphere" if backend.name == "mujoco_warp" else "cylinder", "size_m": 0.04, "mass_kg": 0.2}
    env, fresh = (grasp(backend, {}, object=item) for _ in range(2))
    env.set_state(before.get_state())
    gains = env.sim.parameters.gain_factors
    assert gains is not None
    assert float(gains.max()) <= 0.5
    for _ in range(6):
        env.step(still)
    for name in NAMES:
        assert torch.equal(getattr(env.sim.parameters, name), getattr(fresh.sim.parameters, name)), name
