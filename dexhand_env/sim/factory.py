"""Chooses the backend that steps a scene."""

from __future__ import annotations

from dexhand_env.config.physics import Physics
from dexhand_env.sim.backends import check_backend
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene


def make_simulation(
    scene: Scene, physics: Physics, num_envs: int, backend: str, device: str, threads: int
) -> Simulation:
    """A simulation of ``num_envs`` copies of ``scene``.

    Raises:
        UserError: where the backend cannot run on the device.
    """
    check_backend(backend, device)
    # Backends are imported when chosen: each brings its own simulator, and none needs another's.
    from dexhand_env.sim.mujoco_cpu import MujocoCpuSimulation

    return MujocoCpuSimulation(scene, physics, num_envs, threads)
