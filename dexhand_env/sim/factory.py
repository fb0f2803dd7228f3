"""Chooses the backend that steps a scene."""

from __future__ import annotations

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene


def check_backend(backend: str, device: str) -> None:
    """Refuse a backend or device that cannot run here, before anything is allocated.

    Args:
        backend: ``auto`` or a backend's name.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        UserError: with what would work.
    """
    if backend not in ("auto", "mujoco"):
        raise UserError("sim.backend", f"{backend} is not part of this version", "auto, mujoco")
    if device != "cpu":
        raise UserError("--sim-device", f"{device}: the mujoco backend steps physics on the CPU", "cpu")


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
