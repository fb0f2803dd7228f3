"""MuJoCo Warp: MuJoCo's physics on an NVIDIA GPU, many worlds at once; for tests on the CPU too."""

from __future__ import annotations

from typing import AbstractSet, Dict, List, Optional, Sequence, Tuple

import mujoco
import mujoco_warp
import torch
import warp
from mujoco_warp import OverflowType

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation, SimulationCounters, SimulationMemory, WorldParameters
from dexhand_env.sim.model_fields import ModelFields
from dexhand_env.sim.mujoco_model import HAND_JOINTS, compile_scene, distance_columns, force_columns
from dexhand_env.sim.quaternions import quaternion_product
from dexhand_env.sim.scene import Scene
from dexhand_env.sim.warp_kernels import announced
from dexhand_env.sim.warp_peaks import keep_peaks
from dexhand_env.sim.world_parameters import (
    PARAMETERS,
    chosen,
    from_state,
    has_parameters,
    names_of,
    to_state,
    updated,
)

# Room for contacts and constraint rows, a world. Contacts share theirs between worlds.
CONTACTS, CONSTRAINTS = 64, 256
# Fields of a world that decide its future.
STATE_FIELDS = ("time", "qpos", "qvel", "ctrl", "qacc_warmstart")
# Measured on an H200 (docs/benchmarks_gpu.md), the learner's part taken off: with one free box (32 velocities) 0.8, 2.9
# and 5.3 GB for 1,024, 8,192 and 16,384 worlds, half a GB of it for libraries; 1.35 GB for 8,192 without objects, whose
# contacts take room to find. Of a box's world the arrays of ``Data`` are 88 kB; the rest is what a captured step works
# in.
FIXED_BYTES, OBJECTS_WORLD_BYTES, MEASURED_VELOCITIES, BARE_WORLD_BYTES = 100_000_000, 292_000, 32, 100_000
# What the search for a cylinder's contacts takes beyond that: arrays of ``convex_narrowphase`` (its source, 4.0.0) with
# room for 64 pairs a world, of 6,500 bytes each with 35 iterations, where a box's 16 take 3,000.
CYLINDERS_WORLD_BYTES = 230_000
# Of what ``Data.overflow`` tells, running out of solver iterations loses nothing.
LOST = int(OverflowType.ALL & ~(OverflowType.ITERATIONS | OverflowType.LS_ITERATIONS))


class MujocoWarpSimulation(Simulation):
    """See :class:`Simulation`. Tensors are views of MuJoCo Warp's own arrays: nothing is copied.

    The substeps of a control step are captured once as a graph and replayed as one launch, on the stream that torch
    uses at the time.

    Args:
        scene: what to simulate.
        physics: time step, substeps and solver.
        num_envs: number of worlds.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        UserError: a scene with something that MuJoCo Warp does not support.
    """

    def __init__(self, scene: Scene, physics: Physics, num_envs: int, device: str) -> None:
        self.num_envs = num_envs
        self.device = torch.device(device)
        self.control_dt_s = physics.control_dt_s
        self._mujoco_model = compile_scene(scene, physics)
        self._object_count = len(scene.objects)
        self._substeps = physics.substeps
        self.object_shapes = tuple(item.shapes for item in scene.objects)
        self._fields = ModelFields(self._mujoco_model, scene.objects, torch.float32, self.device)
        self._parameters = self._own_parameters = self._fields.own(num_envs)
        self._varied: Dict[str, torch.Tensor] = {}  # fields of the model that have a row for each world
        with announced(device), warp.ScopedDevice(device):
            self._model = _put_model(self._mujoco_model)
            self._data = mujoco_warp.make_data(self._mujoco_model, num_envs, nconmax=CONTACTS, njmax=CONSTRAINTS)
            self._bind(scene)
            self._step_graph = self._captured(physics.substeps)
            self._kinematics_graph = self._captured(0)
        self._stream: Optional[warp.Stream] = None
        self._place(torch.ones_like(self._nan_worlds), self._initial_qpos, torch.zeros_like(self._ctrl))

    def _bind(self, scene: Scene) -> None:
        data, model = self._data, self._mujoco_model
        self._state = {name: warp.to_torch(getattr(data, name)) for name in STATE_FIELDS}
        self._qpos, self._qvel, self._ctrl = (self._state[name] for name in ("qpos", "qvel", "ctrl"))
        self._initial_qpos = self._qpos.clone()
        self._sensordata = warp.to_torch(data.sensordata)
        self._overflow = warp.to_torch(data.overflow)
        self._body_poses = warp.to_torch(data.xpos), warp.to_torch(data.xquat)
        self._site_positions = warp.to_torch(data.site_xpos)
        self._site_bodies = torch.tensor(model.site_bodyid, dtype=torch.int64, device=self.device)
        self._site_quaternions = torch.tensor(model.site_quat, dtype=torch.float32, device=self.device)
        forces, distances = force_columns(model, scene.side), distance_columns(model, scene)
        self._force_columns = torch.tensor(forces, device=self.device)
        self._watched: List[warp.array] = [warp.array(forces, dtype=int), warp.array(distances, dtype=int)]
        # Peak forces of the fingertips, then depths in the objects, of anything and of the hand.
        self._warp_peaks = warp.zeros((self.num_envs, len(forces) + len(distances)), dtype=float)
        self._peaks = warp.to_torch(self._warp_peaks)
        self._nan_worlds = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._counts = torch.zeros(2, dtype=torch.int64, device=self.device)  # NaN resets, contact overflows
        self._ids: Dict[Tuple[str, ...], torch.Tensor] = {}
        self._fresh: Dict[str, torch.Tensor] = {}
        self._poses_are_fresh = False

    def _captured(self, substeps: int) -> warp.Graph:
        """A graph of some physics steps, or of forward kinematics alone."""

        def launch() -> None:
            if substeps > 0:
                self._warp_peaks.zero_()
            for _ in range(substeps):
                mujoco_warp.step(self._model, self._data)
                inputs = [self._data.sensordata, *self._watched, self._warp_peaks]
                warp.launch(keep_peaks, dim=self._warp_peaks.shape, inputs=inputs)
            if substeps == 0:
                mujoco_warp.kinematics(self._model, self._data)

        launch()  # loads its kernels, which cannot happen within a capture
        with warp.ScopedCapture() as capture:
            launch()
        return capture.graph

    def _launch(self, graph: warp.Graph) -> None:
        if self.device.type == "cuda":
            current = torch.cuda.current_stream(self.device)
            if self._stream is None or self._stream.cuda_stream != current.cuda_stream:
                self._stream = warp.stream_from_torch(current)  # kept: the launches need it alive
        warp.capture_launch(graph, self._stream)

    def _view(self, name: str, source: torch.Tensor) -> torch.Tensor:
        """The same tensor object until the state changes."""
        if name not in self._fresh:
            self._fresh[name] = source.view(source.shape)
        return self._fresh[name]

    @property
    def joint_positions(self) -> torch.Tensor:
        return self._view("joint_positions", self._qpos[:, :HAND_JOINTS])

    @property
    def joint_velocities(self) -> torch.Tensor:
        return self._view("joint_velocities", self._qvel[:, :HAND_JOINTS])

    @property
    def joint_targets(self) -> torch.Tensor:
        return self._view("joint_targets", self._ctrl[:, :HAND_JOINTS])

    def _index(self, kind: str, names: Sequence[str]) -> torch.Tensor:
        """Numbers of bodies or sites, copied to the device once."""
        key = (kind, *names)
        if key not in self._ids:
            ids = [getattr(self._mujoco_model, kind)(name).id for name in names]
            self._ids[key] = torch.tensor(ids, device=self.device)
        return self._ids[key]

    def _refresh_poses(self) -> None:
        """Steps leave poses one physics step behind, and resets do not touch them; computed when somebody looks."""
        if not self._poses_are_fresh:
            self._launch(self._kinematics_graph)
            self._poses_are_fresh = True

    def site_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        self._refresh_poses()
        ids = self._index("site", names)
        in_world = self._body_poses[1][:, self._site_bodies[ids]]
        return self._site_positions[:, ids], quaternion_product(in_world, self._site_quaternions[ids])

    def body_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        self._refresh_poses()
        ids = self._index("body", names)
        positions, quaternions = self._body_poses
        return positions[:, ids], quaternions[:, ids]

    @property
    def fingertip_forces(self) -> torch.Tensor:
        return -self._sensordata[:, self._force_columns]

    @property
    def peak_fingertip_forces(self) -> torch.Tensor:
        return self._peaks[:, : len(self._force_columns)]

    @property
    def object_penetrations(self) -> torch.Tensor:
        return self._peaks[:, len(self._force_columns) :][:, : self._object_count]

    @property
    def hand_penetrations(self) -> torch.Tensor:
        return self._peaks[:, len(self._force_columns) :][:, self._object_count :]

    @property
    def object_positions(self) -> torch.Tensor:
        return self._object_qpos()[:, :, :3]

    @property
    def object_quaternions(self) -> torch.Tensor:
        return self._object_qpos()[:, :, 3:]

    def _object_qpos(self) -> torch.Tensor:
        return self._qpos[:, HAND_JOINTS:].view(self.num_envs, self._object_count, 7)

    @property
    def object_velocities(self) -> torch.Tensor:
        return self._qvel[:, HAND_JOINTS:].view(self.num_envs, self._object_count, 6)

    @property
    def nan_worlds(self) -> torch.Tensor:
        return self._nan_worlds

    def counters(self) -> SimulationCounters:
        nan_resets, contact_overflows = self._counts.tolist()
        return SimulationCounters(nan_resets, contact_overflows)

    def set_joint_targets(self, targets: torch.Tensor) -> None:
        self._ctrl[:, :HAND_JOINTS] = targets
        self._fresh.pop("joint_targets", None)

    def step(self, worlds: Optional[torch.Tensor] = None) -> None:
        kept = [] if worlds is None else [values.clone() for values in self._all_state()]
        self._launch(self._step_graph)
        if worlds is not None:  # all are stepped; the others are put back to where they were
            for values, before in zip(self._all_state(), kept):
                values.copy_(torch.where(_column(worlds, values), values, before))
        self._note_broken(worlds)

    def _all_state(self) -> List[torch.Tensor]:
        return [*self._state.values(), self._sensordata, self._peaks]

    def _note_broken(self, worlds: Optional[torch.Tensor]) -> None:
        """Find and put back worlds that are NaN, infinite or huge, by MuJoCo's own measure; count what was lost."""
        values = torch.cat((self._qpos, self._qvel, self._state["qacc_warmstart"]), dim=1)
        broken = ~(values.abs().amax(dim=1) < mujoco.mjMAXVAL)  # NaN is not below anything
        lost = (self._overflow & LOST) != 0
        if worlds is not None:
            broken, lost = broken & worlds, lost & worlds
        self._nan_worlds = broken
        self._counts += torch.stack((broken, lost & ~broken)).sum(dim=1)
        self._overflow.zero_()
        self._place(broken, self._initial_qpos, torch.zeros_like(self._ctrl))

    def _place(self, worlds: torch.Tensor, qpos: torch.Tensor, ctrl: torch.Tensor) -> None:
        """Put worlds into a state at rest, with nothing left of what was before."""
        self._qpos.copy_(torch.where(worlds[:, None], qpos, self._qpos))
        self._ctrl.copy_(torch.where(worlds[:, None], ctrl, self._ctrl))
        for values in (self._state["time"], self._qvel, self._state["qacc_warmstart"], self._sensordata, self._peaks):
            values.masked_fill_(_column(worlds, values), 0.0)
        self._changed()

    def _changed(self) -> None:
        self._fresh.clear()
        self._poses_are_fresh = False

    def reset(
        self,
        worlds: torch.Tensor,
        joint_positions: torch.Tensor,
        object_poses: Optional[torch.Tensor] = None,
    ) -> None:
        objects = self._initial_qpos[:, HAND_JOINTS:] if object_poses is None else object_poses.flatten(1)
        self._place(worlds, torch.cat((joint_positions, objects), dim=1), joint_positions)

    def add_velocities(self, base: torch.Tensor, objects: torch.Tensor) -> None:
        self._qvel[:, :3] += base
        self.object_velocities[:, :, :3] += objects
        self._changed()

    @property
    def parameters(self) -> WorldParameters:
        return self._parameters

    def set_parameters(self, worlds: torch.Tensor, parameters: WorldParameters) -> None:
        self._parameters = updated(self._parameters, chosen(worlds, parameters, self._parameters))
        fields = self._fields.values(names_of(parameters), self._parameters)
        if not fields.keys() <= self._varied.keys():
            self._vary(fields.keys() | self._varied.keys())
            fields = self._fields.values(frozenset(PARAMETERS), self._parameters)
        for name in fields.keys() & self._varied.keys():
            self._varied[name].copy_(fields[name].view_as(self._varied[name]))

    def _vary(self, names: AbstractSet[str]) -> None:
        """Give fields of the model a row for each world, and capture the physics anew, for graphs hold addresses."""
        kept = [values.clone() for values in self._all_state()]
        with announced(str(self.device)), warp.ScopedDevice(str(self.device)):
            self._model = _put_model(self._mujoco_model, dict.fromkeys(names, self.num_envs))
            self._varied = {name: warp.to_torch(getattr(self._model, name)) for name in names}
            self._step_graph = self._captured(self._substeps)
            self._kinematics_graph = self._captured(0)
        for values, before in zip(self._all_state(), kept):
            values.copy_(before)
        self._overflow.zero_()
        self._changed()

    def get_state(self) -> Dict[str, torch.Tensor]:
        state = {**self._state, "sensordata": self._sensordata, "counters": self._counts}
        copies = {name: values.to("cpu", copy=True) for name, values in state.items()}
        if self._parameters is not self._own_parameters:
            copies.update(to_state(self._parameters, self.object_shapes))
        return copies

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        for name, values in {**self._state, "sensordata": self._sensordata, "counters": self._counts}.items():
            if name in state:
                values.copy_(state[name])
            else:  # MuJoCo on the CPU computes it anew when somebody looks
                values.zero_()
        self._peaks.zero_()
        self._changed()
        if has_parameters(state) or self._varied:
            all_worlds = torch.ones_like(self._nan_worlds)
            self.set_parameters(all_worlds, from_state(state, self._own_parameters, self.object_shapes))
        if not has_parameters(state):
            self._parameters = self._own_parameters


def memory_needed(scene: Scene, physics: Physics, device: str) -> SimulationMemory:
    """What :class:`MujocoWarpSimulation` takes, from measurements and, with objects, the number of velocities.

    Raises:
        UserError: a scene with something that MuJoCo Warp does not support; asked for memory, one is refused early.
    """
    model = compile_scene(scene, physics)
    with announced(device), warp.ScopedDevice(device):
        _put_model(model)
    world_bytes = OBJECTS_WORLD_BYTES * model.nv // MEASURED_VELOCITIES if scene.objects else BARE_WORLD_BYTES
    if any("cylinder" in item.shapes for item in scene.objects):
        world_bytes += CYLINDERS_WORLD_BYTES
    return SimulationMemory(
        fixed_bytes=FIXED_BYTES,
        world_bytes=world_bytes,
        state_bytes=4 * (1 + model.nq + 2 * model.nv + model.nu + model.nsensordata),
    )


def _put_model(model: mujoco.MjModel, rows: Optional[Dict[str, int]] = None) -> mujoco_warp.Model:
    """MuJoCo Warp's copy of a model, with so many rows of some of its fields; one row serves all worlds."""
    try:
        warp_model = mujoco_warp.put_model(model, rows)
    except (NotImplementedError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError("sim.backend", f"mujoco_warp does not support this scene: {reason}", "mujoco") from error
    # Its prints would halve the speed; overflows are counted instead.
    warp_model.opt.warn_overflow = 0
    return warp_model


def _column(worlds: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A mask of worlds, shaped to meet values (num_envs, ...)."""
    return worlds.view(-1, *(1,) * (values.dim() - 1))
