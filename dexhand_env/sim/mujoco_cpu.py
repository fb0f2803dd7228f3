"""MuJoCo on the CPU, many worlds at once through ``mujoco.batch``."""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

import mujoco
import numpy as np
import torch
from mujoco import batch

from dexhand_env.config.physics import Physics
from dexhand_env.sim.contract import Simulation, SimulationCounters, SimulationMemory, WorldParameters
from dexhand_env.sim.model_fields import BODY_PARAMETERS, ModelFields
from dexhand_env.sim.mujoco_model import HAND_JOINTS, compile_scene, distance_columns, force_columns
from dexhand_env.sim.scene import Scene
from dexhand_env.sim.world_parameters import (
    chosen,
    each,
    from_state,
    has_parameters,
    names_of,
    to_state,
    updated,
)

FINGERTIPS = 5
# Fields of a world that decide its future, contact warm start included: equal bits in, equal bits out.
STATE_FIELDS = ("time", "qpos", "qvel", "ctrl", "qacc_warmstart")
# Rows of ``Batch.warning``; numpy does not take MuJoCo's enumerations as indices.
NAN_WARNINGS = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
]
OVERFLOW_WARNINGS = [int(mujoco.mjtWarning.mjWARN_CONTACTFULL), int(mujoco.mjtWarning.mjWARN_CNSTRFULL)]


def memory_needed(scene: Scene, physics: Physics, threads: int) -> SimulationMemory:
    """What :class:`MujocoCpuSimulation` takes, from the compiled model's sizes.

    ``mujoco.batch`` keeps a world as a row of MuJoCo's integration state, its warnings and the fields that were asked
    for; the large ``mjData`` with its arena is one a thread (documentation of ``mujoco.batch`` 4.0.0).
    """
    model = compile_scene(scene, physics)
    row = 8 * mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    warnings = 2 * 4 * mujoco.mjtWarning.mjNWARNING.value + 4
    # Positions and orientations of sites and bodies, and sensors, once somebody has asked for them.
    derived = 8 * (7 * (model.nsite + model.nbody) + model.nsensordata)
    # The first state, to reset from, and float32 copies of what is read each step.
    copies = 4 * 2 * (model.nq + model.nv + model.nu)
    return SimulationMemory(
        fixed_bytes=threads * (model.nbuffer + model.narena),
        world_bytes=row + warnings + derived + copies,
        state_bytes=8 * (1 + model.nq + 2 * model.nv + model.nu),
    )


def _ignore_warning(message: str) -> None:
    """MuJoCo's warnings are counted in ``Batch.warning``; unhandled, it also writes MUJOCO_LOG.TXT where one stands."""


def _float32(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32))


def _ids(worlds: torch.Tensor) -> np.ndarray:
    """The worlds of a mask as ``Batch`` wants them."""
    return worlds.numpy().nonzero()[0].astype(np.int32)


class MujocoCpuSimulation(Simulation):
    """See :class:`Simulation`. A world is stepped by one thread alone, so results do not depend on ``threads``.

    Args:
        scene: what to simulate.
        physics: time step, substeps and solver.
        num_envs: number of worlds.
        threads: threads that step them.
    """

    def __init__(self, scene: Scene, physics: Physics, num_envs: int, threads: int) -> None:
        mujoco.set_mju_user_warning(_ignore_warning)
        self.model = compile_scene(scene, physics)
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        self.control_dt_s = physics.control_dt_s
        self.object_shapes = tuple(item.shapes for item in scene.objects)
        self._substeps = physics.substeps
        self._batch = batch.Batch(self.model, num_envs, nthread=threads)
        self._object_count = len(scene.objects)
        self._state = {name: self._batch.bind(name) for name in STATE_FIELDS}
        self._qpos = torch.from_numpy(self._state["qpos"])
        self._qvel = torch.from_numpy(self._state["qvel"])
        self._ctrl = torch.from_numpy(self._state["ctrl"])
        self._initial_state = self._batch.state[0].copy()
        # Poses and sensors cost a tenth of a step to keep current, so that starts when somebody first asks for them.
        self._derived: Dict[str, np.ndarray] = {}
        self._nan_resets = 0
        self._contact_overflows = 0
        self._nan_worlds = torch.zeros(num_envs, dtype=torch.bool)
        self._fresh: Dict[str, torch.Tensor] = {}
        self._force_columns = force_columns(self.model, scene.side)
        self._distance_columns = distance_columns(self.model, scene)
        self._fields = ModelFields(self.model, scene.objects, torch.float64, self.device)
        self._parameters = self._own_parameters = self._fields.own(num_envs)
        # Peak forces of the fingertips, then depths in the objects: of anything, of the hand. None until somebody asks,
        # for watching takes time.
        self._peaks: Optional[torch.Tensor] = None

    def _cached(self, name: str, source: torch.Tensor) -> torch.Tensor:
        if name not in self._fresh:
            self._fresh[name] = source.to(torch.float32)
        return self._fresh[name]

    @property
    def joint_positions(self) -> torch.Tensor:
        return self._cached("joint_positions", self._qpos[:, :HAND_JOINTS])

    @property
    def joint_velocities(self) -> torch.Tensor:
        return self._cached("joint_velocities", self._qvel[:, :HAND_JOINTS])

    @property
    def joint_targets(self) -> torch.Tensor:
        return self._cached("joint_targets", self._ctrl[:, :HAND_JOINTS])

    def _derive(self, name: str) -> np.ndarray:
        """A live, read-only view of a derived field, (num_envs, ...), current from now on."""
        if name not in self._derived:
            self._derived[name] = self._batch.bind(name)
            self._batch.forward(stage=mujoco.mjtStage.mjSTAGE_ACC)
        return self._derived[name]

    def _poses(self, prefix: str, ids: Sequence[int]) -> Tuple[torch.Tensor, torch.Tensor]:
        positions, quaternions = self._derive(prefix + "xpos"), self._derive(prefix + "xquat")
        index = list(ids)
        return _float32(positions[:, index]), _float32(quaternions[:, index])

    def site_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        return self._poses("site_", [self.model.site(name).id for name in names])

    def body_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        return self._poses("", [self.model.body(name).id for name in names])

    @property
    def fingertip_forces(self) -> torch.Tensor:
        return -_float32(self._derive("sensordata")[:, self._force_columns])

    @property
    def peak_fingertip_forces(self) -> torch.Tensor:
        return self._watched_peaks()[:, :FINGERTIPS]

    @property
    def object_penetrations(self) -> torch.Tensor:
        return self._watched_peaks()[:, FINGERTIPS : FINGERTIPS + self._object_count]

    @property
    def hand_penetrations(self) -> torch.Tensor:
        return self._watched_peaks()[:, FINGERTIPS + self._object_count :]

    def _watched_peaks(self) -> torch.Tensor:
        if self._peaks is None:
            self._derive("sensordata")
            self._peaks = torch.zeros((self.num_envs, FINGERTIPS + len(self._distance_columns)))
        return self._peaks

    @property
    def object_positions(self) -> torch.Tensor:
        return self._object_qpos()[:, :, :3]

    @property
    def object_quaternions(self) -> torch.Tensor:
        return self._object_qpos()[:, :, 3:]

    def _object_qpos(self) -> torch.Tensor:
        return self._cached("objects", self._qpos[:, HAND_JOINTS:]).view(self.num_envs, self._object_count, 7)

    @property
    def object_velocities(self) -> torch.Tensor:
        velocities = self._cached("object_velocities", self._qvel[:, HAND_JOINTS:])
        return velocities.view(self.num_envs, self._object_count, 6)

    @property
    def nan_worlds(self) -> torch.Tensor:
        return self._nan_worlds

    def counters(self) -> SimulationCounters:
        return SimulationCounters(self._nan_resets, self._contact_overflows)

    def set_joint_targets(self, targets: torch.Tensor) -> None:
        self._ctrl[:, :HAND_JOINTS] = targets
        self._fresh.pop("joint_targets", None)

    def step(self, worlds: Optional[torch.Tensor] = None) -> None:
        ids = None if worlds is None else _ids(worlds)
        # Contact sensors belong to the acceleration stage; poses alone need only positions and velocities.
        if "sensordata" in self._derived:
            stage = mujoco.mjtStage.mjSTAGE_ACC
        elif self._derived:
            stage = mujoco.mjtStage.mjSTAGE_VEL
        else:
            stage = mujoco.mjtStage.mjSTAGE_NONE
        if self._peaks is None:
            self._batch.step(ids=ids, nstep=self._substeps, stage=stage)
        else:
            self._step_watching(ids, self._peaks)
        self._fresh.clear()
        self._note_warnings()

    def _step_watching(self, ids: Optional[np.ndarray], peaks: torch.Tensor) -> None:
        """One physics step at a time; each leaves the sensors of the state that it began with."""
        rows = np.arange(self.num_envs) if ids is None else ids.astype(np.int64)
        highest = torch.zeros((len(rows), peaks.shape[1]))
        for _ in range(self._substeps):
            self._batch.step(ids=ids)
            sensors = _float32(self._derived["sensordata"][rows])
            forces, depths = sensors[:, self._force_columns].norm(dim=-1), -sensors[:, self._distance_columns]
            highest = torch.maximum(highest, torch.cat((forces, depths), dim=1))
        self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_ACC)
        self._peaks = peaks.index_copy(0, torch.from_numpy(rows), highest)

    def _note_warnings(self) -> None:
        counts = self._batch.warning[:, :, 1]
        if not counts.any():
            self._nan_worlds = torch.zeros(self.num_envs, dtype=torch.bool)
            return
        broken = counts[:, NAN_WARNINGS].any(axis=1)
        self._nan_worlds = torch.from_numpy(broken)
        self._forget_peaks(self._nan_worlds)
        self._nan_resets += int(broken.sum())
        self._contact_overflows += int(counts[:, OVERFLOW_WARNINGS].any(axis=1).sum())
        # Counted from zero again: MuJoCo clears the counts of a world that it puts back, so differences would mislead.
        counts[...] = 0

    def _forget_peaks(self, worlds: torch.Tensor) -> None:
        if self._peaks is not None:
            self._peaks = self._peaks.masked_fill(worlds[:, None], 0.0)

    def reset(
        self,
        worlds: torch.Tensor,
        joint_positions: torch.Tensor,
        object_poses: Optional[torch.Tensor] = None,
    ) -> None:
        ids = _ids(worlds)
        # The rows hold a world's whole state; Batch.reset, which also clears its scratch data, takes ten times as long.
        self._batch.state[ids] = self._initial_state
        self._qpos[ids, :HAND_JOINTS] = joint_positions[ids].to(self._qpos.dtype)
        if object_poses is not None:
            self._qpos[ids, HAND_JOINTS:] = object_poses[ids].to(self._qpos.dtype).reshape(len(ids), -1)
        self._ctrl[ids, :HAND_JOINTS] = joint_positions[ids].to(self._ctrl.dtype)
        if self._derived:
            self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_ACC)
        self._forget_peaks(worlds)
        self._fresh.clear()

    def add_velocities(self, base: torch.Tensor, objects: torch.Tensor) -> None:
        self._qvel[:, :3] += base
        self._qvel[:, HAND_JOINTS:].view(self.num_envs, self._object_count, 6)[:, :, :3] += objects
        if self._derived:
            self._batch.forward(stage=mujoco.mjtStage.mjSTAGE_ACC)
        self._fresh.clear()

    @property
    def parameters(self) -> WorldParameters:
        return self._parameters

    def set_parameters(self, worlds: torch.Tensor, parameters: WorldParameters) -> None:
        self._parameters = updated(self._parameters, chosen(worlds, parameters, self._parameters))
        ids, names = _ids(worlds), names_of(parameters)
        theirs = each(self._parameters, lambda _, values: values[worlds])
        for name, values in self._fields.values(names, theirs).items():
            self._batch.expand(name)[ids] = values.numpy()
        if names & BODY_PARAMETERS and self._object_count:
            self._batch.set_const(ids)
        if self._derived:
            self._batch.forward(ids, stage=mujoco.mjtStage.mjSTAGE_ACC)

    def get_state(self) -> Dict[str, torch.Tensor]:
        state = {name: torch.from_numpy(array.copy()) for name, array in self._state.items()}
        state["counters"] = torch.tensor([self._nan_resets, self._contact_overflows])
        if self._parameters is not self._own_parameters:
            state.update(to_state(self._parameters, self.object_shapes))
        return state

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        for name, array in self._state.items():
            array[...] = state[name].numpy()
        self._nan_resets, self._contact_overflows = state["counters"].tolist()
        if self._derived:
            self._batch.forward(stage=mujoco.mjtStage.mjSTAGE_ACC)
        all_worlds = torch.ones(self.num_envs, dtype=torch.bool)
        self._forget_peaks(all_worlds)
        self._fresh.clear()
        if has_parameters(state) or self._parameters is not self._own_parameters:
            self.set_parameters(all_worlds, from_state(state, self._own_parameters, self.object_shapes))
        if not has_parameters(state):
            self._parameters = self._own_parameters
