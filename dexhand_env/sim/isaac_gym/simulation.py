"""The simulation contract on Isaac Gym's tensors.

The rules of its GPU pipeline decide the shape of this file: between two ``simulate`` each setter counts once, tensors
are refreshed before anything is set, and what is set acts at the next ``simulate``. So changes of state go into views
of Isaac Gym's own tensors, worlds are marked, and all is handed over once, right before the physics.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import torch
from isaacgym import gymtorch

from dexhand_env.config.physics import Physics
from dexhand_env.sim.contract import Simulation, SimulationCounters, SimulationMemory, WorldParameters
from dexhand_env.sim.isaac_gym.contact_depth import ContactDepth
from dexhand_env.sim.isaac_gym.hand_tree import joints_of, read_hand
from dexhand_env.sim.isaac_gym.kinematics import Kinematics, Sites
from dexhand_env.sim.isaac_gym.parameters import Parameters
from dexhand_env.sim.isaac_gym.worlds import make_worlds
from dexhand_env.sim.quaternions import quaternions_of, rotation_matrices
from dexhand_env.sim.scene import Scene
from dexhand_env.sim.world_parameters import from_state, has_parameters, to_state

HUGE = 1e10  # as MuJoCo's mjMAXVAL
FINGERTIPS = 5
W_FIRST, W_LAST = (6, 3, 4, 5), (1, 2, 3, 0)  # of a root state's quaternion x y z w; of one w x y z
# Guessed, for want of a measurement: ``make test-isaacgym`` measures them on a real machine (docs/isaac_gym.md).
FIXED_BYTES, PAIR_BYTES, WORLD_BYTES = 1_000_000_000, 64, 150_000


class IsaacGymSimulation(Simulation):
    """See :class:`Simulation`. PhysX keeps contacts and solver impulses to itself, so a state that is restored goes on
    a little differently. Objects keep the scene's shapes and sizes, whatever a state says.

    Args:
        scene: what to simulate.
        physics: time step, substeps and PhysX' settings.
        num_envs: number of worlds.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        UserError: a scene that Isaac Gym cannot simulate.
    """

    def __init__(self, scene: Scene, physics: Physics, num_envs: int, device: str) -> None:
        self.num_envs, self.device = num_envs, torch.device(device)
        self.control_dt_s, self._substeps = physics.control_dt_s, physics.substeps
        self.object_shapes = tuple(item.shapes[:1] for item in scene.objects)
        bodies = read_hand(scene.side, scene.actuation)
        joints = joints_of(bodies)
        self._joints, self._objects = len(joints), len(scene.objects)
        self._worlds = make_worlds(scene, physics, bodies, num_envs, self.device)
        self._gym, self._sim = self._worlds.gym, self._worlds.sim
        self._kinematics = Kinematics(bodies, scene.spawn_height_m, self.device)
        self._sites = Sites(bodies, self._kinematics.places, self.device)
        self._depth = ContactDepth(bodies, self._kinematics.places, scene, self.device)
        self._object_places = {item.name: place for place, item in enumerate(scene.objects)}
        limits = torch.tensor([joint.limits for joint in joints], device=self.device)
        self._lowest, self._highest = limits.unbind(dim=1)
        self._bind(scene.spawn_height_m)
        self._parameters = Parameters(self._worlds, scene, len(joints))

    def _bind(self, height_m: float) -> None:
        gym, sim, num_envs = self._gym, self._sim, self.num_envs
        self._all_dofs = gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(sim))
        self._all_roots = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim))
        contact_forces = gymtorch.wrap_tensor(gym.acquire_net_contact_force_tensor(sim))
        gym.refresh_dof_state_tensor(sim)
        gym.refresh_actor_root_state_tensor(sim)
        # Views: what is written to them is in Isaac Gym's own tensors.
        self._dofs = self._all_dofs.view(num_envs, self._joints, 2)
        self._roots = self._all_roots.view(num_envs, 1 + self._objects, 13)
        self._contact_forces = contact_forces.view(num_envs, -1, 3)
        self._theirs = self._worlds.joint_order  # places of their DOFs in our joints, and of ours in theirs
        self._ours = self._theirs.argsort()
        # On the device: a list as an index would have a GPU wait for it.
        self._w_first, self._w_last = (torch.tensor(places, device=self.device) for places in (W_FIRST, W_LAST))
        self._initial_roots = self._roots.clone()
        # Whether Isaac Gym counts positions from each environment's origin or from one for all shows in the hand's.
        self._origins = self._initial_roots[:, :1, :3] - torch.tensor([0.0, 0.0, height_m], device=self.device)
        self._targets = torch.zeros(num_envs, self._joints, device=self.device)
        self._was_set = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._nan_worlds = torch.zeros_like(self._was_set)
        self._counts = torch.zeros(2, dtype=torch.int64, device=self.device)  # the second is another backend's
        self._forces = torch.zeros(num_envs, FINGERTIPS, 3, device=self.device)
        # Peak forces, then depths in the objects: of anything, of the hand; measured once somebody has asked.
        self._peaks = torch.zeros(num_envs, FINGERTIPS + 2 * self._objects, device=self.device)
        self._measures_peaks = False
        self._given: List[torch.Tensor] = []
        self._fresh: Dict[str, torch.Tensor] = {}
        self._place(torch.ones_like(self._was_set), self._targets, None)

    def _cached(self, name: str, read: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The same tensor object until the state changes."""
        if name not in self._fresh:
            self._fresh[name] = read()
        return self._fresh[name]

    @property
    def joint_positions(self) -> torch.Tensor:
        return self._cached("joint_positions", lambda: self._dofs[:, self._ours, 0])

    @property
    def joint_velocities(self) -> torch.Tensor:
        return self._cached("joint_velocities", lambda: self._dofs[:, self._ours, 1])

    @property
    def joint_targets(self) -> torch.Tensor:
        return self._cached("joint_targets", self._targets.clone)

    def _hand_frames(self) -> torch.Tensor:
        return self._cached("hand", lambda: self._kinematics.frames(self.joint_positions))

    def site_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        # Kept, for several observations and rewards ask for the same sites.
        positions, quaternions = (f"{what} of {' '.join(names)}" for what in ("positions", "quaternions"))
        if positions not in self._fresh:
            frames = self._sites.frames(names, self._hand_frames())
            self._fresh[positions], self._fresh[quaternions] = frames[..., 3], quaternions_of(frames[..., :3])
        return self._fresh[positions], self._fresh[quaternions]

    def body_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        parts = []
        for name in names:
            place = self._object_places.get(name)
            if place is None:
                parts.append(self._sites.frames([name], self._hand_frames()))
            else:
                axes, position = self._object_axes()[:, place, None], self.object_positions[:, place, None, :, None]
                parts.append(torch.cat((axes, position), dim=-1))
        frames = torch.cat(parts, dim=1)
        return frames[..., 3], quaternions_of(frames[..., :3])

    @property
    def fingertip_forces(self) -> torch.Tensor:
        return self._forces

    @property
    def peak_fingertip_forces(self) -> torch.Tensor:
        return self._measured_peaks()[:, :FINGERTIPS]

    @property
    def object_penetrations(self) -> torch.Tensor:
        return self._measured_peaks()[:, FINGERTIPS : FINGERTIPS + self._objects]

    @property
    def hand_penetrations(self) -> torch.Tensor:
        return self._measured_peaks()[:, FINGERTIPS + self._objects :]

    def _measured_peaks(self) -> torch.Tensor:
        self._measures_peaks = True
        return self._peaks

    @property
    def object_positions(self) -> torch.Tensor:
        return self._cached("object_positions", lambda: self._roots[:, 1:, :3] - self._origins)

    @property
    def object_quaternions(self) -> torch.Tensor:
        return self._cached("object_quaternions", lambda: self._roots[:, 1:, self._w_first])

    @property
    def object_velocities(self) -> torch.Tensor:
        return self._cached("object_velocities", self._read_object_velocities)

    def _read_object_velocities(self) -> torch.Tensor:
        spin = self._roots[:, 1:, None, 10:] @ self._object_axes()  # a row times the axes: in the object's frame
        return torch.cat((self._roots[:, 1:, 7:10], spin[..., 0, :]), dim=-1)

    def _object_axes(self) -> torch.Tensor:
        return self._cached("object_axes", lambda: rotation_matrices(self.object_quaternions))

    @property
    def nan_worlds(self) -> torch.Tensor:
        return self._nan_worlds

    def counters(self) -> SimulationCounters:
        return SimulationCounters(int(self._counts[0]), None)

    def set_joint_targets(self, targets: torch.Tensor) -> None:
        self._targets = targets.to(self.device, torch.float32, copy=True)
        self._fresh.pop("joint_targets", None)

    def step(self, worlds: Optional[torch.Tensor] = None) -> None:
        broken = self._broken()  # by what was set; never shown to PhysX, which it could crash
        live = (self._dofs, self._roots)
        kept = [] if worlds is None else [values.clone() for values in (*live, self._forces, self._peaks)]
        self._dofs.masked_fill_(broken[:, None, None], 0.0)
        self._roots.copy_(torch.where(broken[:, None, None], self._initial_roots, self._roots))
        self._was_set = self._was_set | broken
        self._hand_over()
        self._simulate()
        if worlds is not None:  # all were stepped; the others are put back to where they were
            for values, before in zip(live, kept):
                values.copy_(torch.where(worlds[:, None, None], values, before))
            self._forces = torch.where(worlds[:, None, None], self._forces, kept[2])
            self._peaks = torch.where(worlds[:, None], self._peaks, kept[3])
            self._was_set = self._was_set | ~worlds
            broken = broken & worlds
        broken = broken | (self._broken() if worlds is None else self._broken() & worlds)
        self._nan_worlds = broken
        self._counts[0] += broken.sum()
        self._place(broken, torch.zeros_like(self._targets), None)

    def _hand_over(self) -> None:
        """Give Isaac Gym all that was set since the last step."""
        gym, sim = self._gym, self._sim
        targets = self._targets.clamp(self._lowest, self._highest)[:, self._theirs].contiguous()
        gym.set_dof_position_target_tensor(sim, gymtorch.unwrap_tensor(targets))
        self._given = [targets]  # Isaac Gym holds addresses: they live until it has simulated
        actors = self._worlds.actors[self._was_set]  # the one thing for which a GPU is waited: how many there are
        if len(actors):
            dofs, roots = gymtorch.unwrap_tensor(self._all_dofs), gymtorch.unwrap_tensor(self._all_roots)
            hands, others = actors[:, 0].contiguous(), actors[:, 1:].flatten().contiguous()
            gym.set_dof_state_tensor_indexed(sim, dofs, gymtorch.unwrap_tensor(hands), len(hands))
            if len(others):
                gym.set_actor_root_state_tensor_indexed(sim, roots, gymtorch.unwrap_tensor(others), len(others))
            self._given += [hands, others]
        self._was_set = torch.zeros_like(self._was_set)

    def _simulate(self) -> None:
        gym, sim, seen = self._gym, self._sim, []
        for left in reversed(range(self._substeps)):
            gym.simulate(sim)
            if self.device.type == "cpu":
                gym.fetch_results(sim, True)
            if left == 0 or self._measures_peaks:
                gym.refresh_dof_state_tensor(sim)
                gym.refresh_actor_root_state_tensor(sim)
                gym.refresh_net_contact_force_tensor(sim)
                self._forces = self._contact_forces[:, self._worlds.fingertips]
                self._fresh.clear()
                seen.append((self.joint_positions, self.object_positions, self.object_quaternions, self._forces))
        if self._measures_peaks:
            self._measure(*(torch.cat(values) for values in zip(*seen)))

    def _measure(
        self, joints: torch.Tensor, positions: torch.Tensor, quaternions: torch.Tensor, forces: torch.Tensor
    ) -> None:
        """Peaks over the physics steps, which are given after each other, as if they were more worlds."""
        hand, axes = self._kinematics.frames(joints), rotation_matrices(quaternions)
        depths = self._depth.measure(hand, positions, axes)
        found = torch.cat((forces.norm(dim=-1), depths), dim=1)
        self._peaks = found.view(self._substeps, self.num_envs, -1).amax(dim=0)
        self._fresh["hand"], self._fresh["object_axes"] = hand[:, -self.num_envs :], axes[-self.num_envs :]

    def _broken(self) -> torch.Tensor:
        """Worlds that are NaN, infinite or huge, (num_envs,) bool."""
        values = torch.cat((self._dofs.flatten(1), self._roots.flatten(1)), dim=1)
        return ~(values.abs().amax(dim=1) < HUGE)  # NaN is not below anything

    def _place(self, worlds: torch.Tensor, joints: torch.Tensor, poses: Optional[torch.Tensor]) -> None:
        """Put worlds into a state at rest."""
        marked = worlds[:, None, None]
        dofs = torch.stack((joints[:, self._theirs], torch.zeros_like(joints)), dim=-1)
        roots = self._initial_roots
        if poses is not None:
            roots = roots.clone()
            roots[:, 1:, :3] = poses[..., :3] + self._origins
            roots[:, 1:, 3:7] = poses[..., 3:][..., self._w_last]
        self._dofs.copy_(torch.where(marked, dofs, self._dofs))
        self._roots.copy_(torch.where(marked, roots, self._roots))
        self._targets = torch.where(worlds[:, None], joints, self._targets)
        self._forces = self._forces.masked_fill(marked, 0.0)
        self._peaks = self._peaks.masked_fill(worlds[:, None], 0.0)
        self._was_set = self._was_set | worlds
        self._fresh.clear()

    def reset(
        self,
        worlds: torch.Tensor,
        joint_positions: torch.Tensor,
        object_poses: Optional[torch.Tensor] = None,
    ) -> None:
        self._place(worlds, joint_positions, object_poses)

    def add_velocities(self, base: torch.Tensor, objects: torch.Tensor) -> None:
        self._dofs[:, self._ours[:3], 1] += base
        self._roots[:, 1:, 7:10] += objects
        self._was_set = self._was_set | (base != 0.0).any(dim=1) | (objects != 0.0).flatten(1).any(dim=1)
        self._fresh.clear()

    @property
    def parameters(self) -> WorldParameters:
        return self._parameters.present

    def set_parameters(self, worlds: torch.Tensor, parameters: WorldParameters) -> None:
        self._parameters.change(worlds, parameters)

    def get_state(self) -> Dict[str, torch.Tensor]:
        """In MuJoCo's layout, so that a training can go on under another backend."""
        poses = torch.cat((self.object_positions, self.object_quaternions), dim=-1).flatten(1)
        velocities = torch.cat((self.joint_velocities, self.object_velocities.flatten(1)), dim=1)
        state = {
            "time": torch.zeros(self.num_envs),
            "qpos": torch.cat((self.joint_positions, poses), dim=1),
            "qvel": velocities,
            "ctrl": self._targets,
            "qacc_warmstart": torch.zeros_like(velocities),
            "forces": self._forces,
            "counters": self._counts,
        }
        copies = {name: values.to("cpu", copy=True) for name, values in state.items()}
        if self._parameters.present is not self._parameters.own:
            copies.update(to_state(self._parameters.present, self.object_shapes))
        return copies

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        qpos, qvel, ctrl = (state[name].to(self.device, torch.float32, copy=True) for name in ("qpos", "qvel", "ctrl"))
        self._dofs[:, :, 0], self._dofs[:, :, 1] = qpos[:, self._theirs], qvel[:, self._theirs]
        poses = qpos[:, self._joints :].view(self.num_envs, self._objects, 7)
        speeds = qvel[:, self._joints :].view(self.num_envs, self._objects, 6)
        self._roots[:, 1:, :3] = poses[..., :3] + self._origins
        self._roots[:, 1:, 3:7] = poses[..., 3:][..., self._w_last]
        self._roots[:, 1:, 7:10] = speeds[..., :3]
        self._roots[:, 1:, 10:] = (rotation_matrices(poses[..., 3:]) @ speeds[..., 3:, None])[..., 0]
        self._targets, self._counts = ctrl, state["counters"].to(self.device, copy=True)
        forces = state.get("forces")
        self._forces = torch.zeros_like(self._forces) if forces is None else forces.to(self.device, copy=True)
        self._peaks = torch.zeros_like(self._peaks)
        self._was_set = torch.ones_like(self._was_set)
        self._fresh.clear()
        parameters = self._parameters
        if has_parameters(state) or parameters.present is not parameters.own:
            restored = from_state(state, parameters.own, self.object_shapes)
            restored = dataclasses.replace(restored, object_shapes=None, object_extents_m=None)
            parameters.change(torch.ones_like(self._was_set), restored)
        if not has_parameters(state):
            parameters.present = parameters.own


def memory_needed(scene: Scene, physics: Physics, device: str) -> SimulationMemory:
    """What :class:`IsaacGymSimulation` takes: a guess."""
    objects = len(scene.objects)
    pairs = physics.physx.max_gpu_contact_pairs * PAIR_BYTES if device != "cpu" else 0
    joints = len(joints_of(read_hand(scene.side, scene.actuation)))
    positions, velocities = joints + 7 * objects, joints + 6 * objects
    state = 4 * (1 + positions + 2 * velocities + joints + 3 * FINGERTIPS)
    return SimulationMemory(FIXED_BYTES + pairs, WORLD_BYTES, state)
