"""Chooses the backend that steps a scene."""

from __future__ import annotations

from typing import Callable

from dexhand_env.config.physics import Physics
from dexhand_env.sim.backends import check_backend, chosen_backend
from dexhand_env.sim.contract import Simulation, SimulationMemory
from dexhand_env.sim.scene import Scene


def simulation_class(backend: str, device: str) -> Callable[[Scene, Physics, int, int], Simulation]:
    """What makes a simulation of (scene, physics, num_envs, threads) with a backend, imported now.

    Each backend brings its own simulator, and none needs another's.

    Raises:
        UserError: where the backend cannot run on the device.
    """
    check_backend(backend, device)
    chosen = chosen_backend(backend, device)
    if chosen == "mujoco":
        from dexhand_env.sim.mujoco_cpu import MujocoCpuSimulation

        return MujocoCpuSimulation
    if chosen == "isaac_gym":
        from dexhand_env.sim.isaac_gym.simulation import IsaacGymSimulation

        return lambda scene, physics, num_envs, threads: IsaacGymSimulation(scene, physics, num_envs, device)
    from dexhand_env.sim.mujoco_warp import MujocoWarpSimulation

    return lambda scene, physics, num_envs, threads: MujocoWarpSimulation(scene, physics, num_envs, device)


def make_simulation(
    scene: Scene, physics: Physics, num_envs: int, backend: str, device: str, threads: int
) -> Simulation:
    """A simulation of ``num_envs`` copies of ``scene``.

    Raises:
        UserError: where the backend cannot run on the device.
    """
    return simulation_class(backend, device)(scene, physics, num_envs, threads)


def simulation_memory(scene: Scene, physics: Physics, backend: str, device: str, threads: int) -> SimulationMemory:
    """What :func:`make_simulation` would take on ``device``; no worlds are made.

    Raises:
        UserError: where the backend cannot run on the device, or does not support the scene.
    """
    check_backend(backend, device)
    chosen = chosen_backend(backend, device)
    if chosen == "mujoco":
        from dexhand_env.sim import mujoco_cpu

        return mujoco_cpu.memory_needed(scene, physics, threads)
    if chosen == "isaac_gym":
        from dexhand_env.sim.isaac_gym import simulation as isaac_gym

        return isaac_gym.memory_needed(scene, physics, device)
    from dexhand_env.sim import mujoco_warp

    return mujoco_warp.memory_needed(scene, physics, device)
