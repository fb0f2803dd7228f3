"""The backends that the contract suite runs on: all that this machine has."""

from __future__ import annotations

import dataclasses
import os

import pytest
import torch

from dexhand_env.config.physics import Physics, load_physics
from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp
from dexhand_env.sim.contract import Simulation, SimulationCounters
from dexhand_env.sim.factory import make_simulation
from dexhand_env.sim.scene import Scene, SceneObject

from ..real_machine.remote import RemoteSimulation
from .seen_from_cpu import SeenFromCpu

# Why PhysX cannot pass a test.
SHAPES = "PhysX cannot change the shape or size of an object from episode to episode"
NOT_MUJOCO = "PhysX has no compiled model of MuJoCo's to compare"

CUBE = SceneObject("cube", "box", (0.025, 0.025, 0.025), mass_kg=0.1, position_m=(0.1, 0.2, 0.025))
BALL = SceneObject("ball", "sphere", (0.02,), mass_kg=0.05, position_m=(-0.3, 0.1, 0.3))
BARE = Scene()
WITH_OBJECTS = Scene(objects=(CUBE, BALL))


@dataclasses.dataclass(frozen=True)
class Backend:
    """One way to step physics.

    Attributes:
        name: of the backend, as in ``sim.backend``.
        device: where it runs.
        tolerance: how far results of equal inputs may lie apart; 0 demands equal bits.
        grasps: trials of the scripted grasp, fewer where each takes long.
    """

    name: str
    device: str
    tolerance: float
    grasps: int = 100

    @property
    def is_mujoco(self) -> bool:
        """Whether it computes what MuJoCo does; PhysX is another engine, which agrees less closely."""
        return self.name != "isaac_gym"

    def needs_mujoco(self, reason: str) -> None:
        """Skip a test that PhysX cannot pass."""
        if not self.is_mujoco:
            pytest.skip(reason)

    def varied(self, scene: Scene) -> Scene:
        """The scene, its objects as far as the backend can vary their shapes."""
        if self.is_mujoco:
            return scene
        return dataclasses.replace(scene, objects=tuple(dataclasses.replace(o, other_shapes=()) for o in scene.objects))

    def counters(self, nan_resets: int = 0) -> SimulationCounters:
        """What a simulation has counted in which nothing else went wrong; PhysX does not report overflows."""
        return SimulationCounters(nan_resets, 0 if self.is_mujoco else None)

    def make(self, scene: Scene, num_envs: int = 3, physics: str | Physics = "default", threads: int = 1) -> Simulation:
        """A simulation of the scene, every hand at rest at zero joint positions; its tensors come to the CPU."""
        settings = load_physics(physics) if isinstance(physics, str) else physics
        if not self.is_mujoco and REAL is not None:
            return RemoteSimulation(REAL, scene, settings, num_envs, self.device)
        sim = make_simulation(scene, settings, num_envs, self.name, self.device, threads)
        return sim if self.device == "cpu" else SeenFromCpu(sim)

    def assert_same(self, found: torch.Tensor, expected: torch.Tensor) -> None:
        """Equal inputs gave equal results."""
        torch.testing.assert_close(found, expected, rtol=0.0, atol=self.tolerance)


# The Python that has Isaac Gym itself, where `make test-isaacgym` runs the suite on it; else the stand-in is tested.
REAL = os.environ.get("DEXHAND_TEST_ISAACGYM")
CUDA = why_no_warp(find_driver(), 0, warp_installed()) is None
BACKENDS = [Backend("mujoco", "cpu", tolerance=0.0)]
if warp_installed():
    BACKENDS.append(Backend("mujoco_warp", "cpu", tolerance=0.0, grasps=10))
# On the stand-in, whose worlds lose what PhysX hides when their state is set: contacts are solved from scratch then.
BACKENDS.append(Backend("isaac_gym", "cpu", tolerance=1e-3, grasps=20))
if CUDA:
    # Sums of contacts come in another order each time.
    BACKENDS.append(Backend("mujoco_warp", "cuda:0", tolerance=1e-3))
if torch.cuda.is_available() if REAL is None else find_driver().devices > 0:
    BACKENDS.append(Backend("isaac_gym", "cuda:0", tolerance=1e-3, grasps=20))
