"""A simulation on a GPU whose tensors are given and taken on the CPU, as tests write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import torch

from dexhand_env.sim.contract import Simulation, SimulationCounters, WorldParameters
from dexhand_env.sim.world_parameters import each


class SeenFromCpu(Simulation):
    """Passes everything on to another simulation and back; its ``device`` is the CPU."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self.num_envs, self.control_dt_s = sim.num_envs, sim.control_dt_s
        self.device = torch.device("cpu")
        self.object_shapes = sim.object_shapes

    @property
    def joint_positions(self) -> torch.Tensor:
        return self._sim.joint_positions.cpu()

    @property
    def joint_velocities(self) -> torch.Tensor:
        return self._sim.joint_velocities.cpu()

    @property
    def joint_targets(self) -> torch.Tensor:
        return self._sim.joint_targets.cpu()

    def site_poses(self, names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        positions, quaternions = self._sim.site_poses(names)
        return positions.cpu(), quaternions.cpu()

    def body_poses(self, names: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        positions, quaternions = self._sim.body_poses(names)
        return positions.cpu(), quaternions.cpu()

    @property
    def fingertip_forces(self) -> torch.Tensor:
        return self._sim.fingertip_forces.cpu()

    @property
    def peak_fingertip_forces(self) -> torch.Tensor:
        return self._sim.peak_fingertip_forces.cpu()

    @property
    def object_penetrations(self) -> torch.Tensor:
        return self._sim.object_penetrations.cpu()

    @property
    def hand_penetrations(self) -> torch.Tensor:
        return self._sim.hand_penetrations.cpu()

    @property
    def object_positions(self) -> torch.Tensor:
        return self._sim.object_positions.cpu()

    @property
    def object_quaternions(self) -> torch.Tensor:
        return self._sim.object_quaternions.cpu()

    @property
    def object_velocities(self) -> torch.Tensor:
        return self._sim.object_velocities.cpu()

    @property
    def nan_worlds(self) -> torch.Tensor:
        return self._sim.nan_worlds.cpu()

    def counters(self) -> SimulationCounters:
        return self._sim.counters()

    def _given(self, values: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        return None if values is None else values.to(self._sim.device)

    def set_joint_targets(self, targets: torch.Tensor) -> None:
        self._sim.set_joint_targets(targets.to(self._sim.device))

    def step(self, worlds: Optional[torch.Tensor] = None) -> None:
        self._sim.step(self._given(worlds))

    def reset(
        self, worlds: torch.Tensor, joint_positions: torch.Tensor, object_poses: Optional[torch.Tensor] = None
    ) -> None:
        device = self._sim.device
        self._sim.reset(worlds.to(device), joint_positions.to(device), self._given(object_poses))

    def add_velocities(self, base: torch.Tensor, objects: torch.Tensor) -> None:
        self._sim.add_velocities(base.to(self._sim.device), objects.to(self._sim.device))

    @property
    def parameters(self) -> WorldParameters:
        return each(self._sim.parameters, lambda _, values: values.cpu())

    def set_parameters(self, worlds: torch.Tensor, parameters: WorldParameters) -> None:
        device = self._sim.device
        self._sim.set_parameters(worlds.to(device), each(parameters, lambda _, values: values.to(device)))

    def get_state(self) -> dict[str, torch.Tensor]:
        return self._sim.get_state()

    def set_state(self, state: dict[str, torch.Tensor]) -> None:
        self._sim.set_state(state)
