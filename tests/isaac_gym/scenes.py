"""Small sims on the stand-in: a finger of two joints on a fixed base, and a box."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from isaacgym import gymapi, gymtorch

# Not the vendor's, so no stub declares it.
VIOLATION: type[RuntimeError] = importlib.import_module("isaacgym._rules").Violation
ASSETS = importlib.import_module("isaacgym._importer")

FINGER = """<mujoco><compiler angle="radian"/><worldbody>
<body name="base"><inertial pos="0 0 0" mass="0.1" diaginertia="1e-3 1e-3 1e-3"/>
  <body name="link" pos="0 0 0.1"><inertial pos="0.1 0 0" mass="0.1" diaginertia="1e-4 2e-4 3e-4"/>
    <joint name="lower" axis="0 1 0" limited="true" range="-1 1" armature="0.01" frictionloss="5"/>
    <geom type="capsule" size="0.02" fromto="0 0 0 0.2 0 0" mass="0"/>
    <body name="tip" pos="0.25 0 0"><inertial pos="0 0 0" mass="0.1" diaginertia="1e-4 1e-4 1e-4"/>
      <joint name="upper" axis="0 1 0" range="-0.1 0.1" armature="0.01"/>
      <geom type="sphere" size="0.02" mass="0"/>
      <geom type="sphere" size="0.02" pos="0.05 0 0" mass="0"/>
    </body>
  </body>
</body></worldbody></mujoco>"""
HEIGHT_M, SIZE_M, MASS_KG = 0.5, 0.05, 0.125
FINGER_ACTOR, BOX_ACTOR = 0, 1
DOFS, ACTORS, BODIES = 2, 2, 4


def violates(match: str) -> pytest.RaisesExc[RuntimeError]:
    """The rule that is broken, in one line."""
    return pytest.RaisesExc(VIOLATION, match=match, check=lambda error: "\n" not in str(error))


def simulation_params() -> gymapi.SimParams:
    """Steps of 5 ms on the CPU, gravity along -z, shapes that rest where they touch."""
    params = gymapi.SimParams()
    params.dt, params.substeps = 0.005, 1
    params.up_axis, params.gravity = gymapi.UP_AXIS_Z, gymapi.Vec3(0.0, 0.0, -9.81)
    params.physx.contact_collection = gymapi.CC_LAST_SUBSTEP
    params.physx.rest_offset = 0.0
    return params


def loaded(sim: gymapi.Sim, text: str, name: str = "asset.xml", options: gymapi.AssetOptions | None = None) -> Any:
    """An asset from a text."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_text(text, encoding="utf-8")
        return gymapi.acquire_gym().load_asset(sim, folder, name, options or gymapi.AssetOptions())


def finger_options() -> gymapi.AssetOptions:
    """A base that stays, without weight."""
    options = gymapi.AssetOptions()
    options.fix_base_link = options.disable_gravity = True
    options.default_dof_drive_mode = gymapi.DOF_MODE_POS
    return options


def at(x: float = 0.0, z: float = 0.0) -> gymapi.Transform:
    """A place."""
    return gymapi.Transform(gymapi.Vec3(x, 0.0, z))


class Unprepared:
    """A sim to which things can still be added. ``finger`` and ``box`` are assets."""

    def __init__(self, params: gymapi.SimParams | None = None) -> None:
        self.gym = gymapi.acquire_gym()
        self.sim = self.gym.create_sim(0, -1, gymapi.SIM_PHYSX, params or simulation_params())
        plane = gymapi.PlaneParams()
        plane.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        self.gym.add_ground(self.sim, plane)
        self.finger = loaded(self.sim, FINGER, options=finger_options())
        self.box = self.gym.create_box(self.sim, SIZE_M, SIZE_M, SIZE_M, gymapi.AssetOptions())
        self.envs: list[gymapi.Env] = []

    def add_env(self, drop_m: float = 0.0) -> gymapi.Env:
        """An env with a finger and a box that lies on the ground, or falls on it."""
        env = self.gym.create_env(self.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
        self.envs.append(env)
        number = len(self.envs) - 1
        self.gym.create_actor(env, self.finger, at(z=HEIGHT_M), "finger", number, -1, 0)
        self.gym.create_actor(env, self.box, at(1.0, SIZE_M / 2 + drop_m), "box", number, -1, 0)
        drives = self.gym.get_actor_dof_properties(env, FINGER_ACTOR)
        drives["stiffness"], drives["damping"], drives["effort"] = 10.0, 1.0, 100.0
        self.gym.set_actor_dof_properties(env, FINGER_ACTOR, drives)
        return env


class Prepared(Unprepared):
    """A sim whose tensors are there. On the CPU results are fetched after each step.

    Attributes:
        roots, dofs, bodies, forces: the sim's tensors, a row an env.
        targets: what the DOFs are to reach, likewise.
    """

    def __init__(self, count: int = 3, params: gymapi.SimParams | None = None, drop_m: float = 0.0) -> None:
        super().__init__(params)
        for _ in range(count):
            self.add_env(drop_m)
        self.prepare()

    def prepare(self) -> None:
        """Acquire and refresh what there is."""
        count = len(self.envs)
        self.gym.prepare_sim(self.sim)
        gym, sim = self.gym, self.sim
        self.roots = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim))
        self.dofs = gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(sim))
        self.bodies = gymtorch.wrap_tensor(gym.acquire_rigid_body_state_tensor(sim))
        self.forces = gymtorch.wrap_tensor(gym.acquire_net_contact_force_tensor(sim))
        self.targets = torch.zeros(count, DOFS, device=self.dofs.device)
        self.refresh()

    def refresh(self) -> None:
        """All tensors."""
        self.gym.refresh_actor_root_state_tensor(self.sim)
        self.gym.refresh_dof_state_tensor(self.sim)
        self.gym.refresh_rigid_body_state_tensor(self.sim)
        self.gym.refresh_net_contact_force_tensor(self.sim)

    def set_targets(self) -> None:
        """Give the DOFs their targets."""
        self.gym.set_dof_position_target_tensor(self.sim, gymtorch.unwrap_tensor(self.targets))

    def set_dofs(self, actors: torch.Tensor, count: int | None = None) -> None:
        """Put fingers into the state of ``dofs``."""
        self._set(self.gym.set_dof_state_tensor_indexed, self.dofs, actors, count)

    def set_roots(self, actors: torch.Tensor, count: int | None = None) -> None:
        """Put actors into the state of ``roots``."""
        self._set(self.gym.set_actor_root_state_tensor_indexed, self.roots, actors, count)

    def _set(self, method: Any, states: torch.Tensor, actors: torch.Tensor, count: int | None) -> None:
        number = len(actors) if count is None else count
        method(self.sim, gymtorch.unwrap_tensor(states), gymtorch.unwrap_tensor(actors), number)

    def step(self, times: int = 1) -> None:
        """So many ``simulate``, then refresh."""
        for _ in range(times):
            self.set_targets()
            self.gym.simulate(self.sim)
            self.gym.fetch_results(self.sim, True)
        self.refresh()


def numbers(*actors: int) -> torch.Tensor:
    """Indices of actors as setters want them."""
    return torch.tensor(actors, dtype=torch.int32)
