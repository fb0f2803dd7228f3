"""The backends that the contract suite runs on; a later backend joins by one line of ``BACKENDS``."""

from __future__ import annotations

import dataclasses

import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.factory import make_simulation
from dexhand_env.sim.scene import Scene, SceneObject

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
    """

    name: str
    device: str
    tolerance: float

    def make(self, scene: Scene, num_envs: int = 3, physics: str = "default", threads: int = 1) -> Simulation:
        """A simulation of the scene, every hand at rest at zero joint positions."""
        return make_simulation(scene, load_physics(physics), num_envs, self.name, self.device, threads)

    def assert_same(self, found: torch.Tensor, expected: torch.Tensor) -> None:
        """Equal inputs gave equal results."""
        torch.testing.assert_close(found, expected, rtol=0.0, atol=self.tolerance)


BACKENDS = (Backend("mujoco", "cpu", tolerance=0.0),)
