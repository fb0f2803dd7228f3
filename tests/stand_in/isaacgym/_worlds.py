"""All worlds in MuJoCo: stepping, states out and in, forces."""

from __future__ import annotations

import concurrent.futures
import copy
import os
from typing import List, Sequence, Tuple

import mujoco
import numpy as np

from . import _properties
from ._rules import need
from ._scene import Actor, Env, Places, Sim, check_equal, compile_env, find_places


def _ignore(message: str) -> None:
    """MuJoCo would write its warnings to a file."""


# Positions of roots and bodies count from each env's own origin, or, where a test sets a distance, from one for all,
# with the envs so far apart along x: the vendor's manual leaves open which.
SPACING_M = 0.0


class Worlds:
    """One model and one data a world. ``qpos`` and ``qvel`` mirror those of the data, a row a world.

    States are those after the last ``simulate``; contact forces are those that acted in its last substep.
    """

    def __init__(self, sim: Sim) -> None:
        mujoco.set_mju_user_warning(_ignore)
        check_equal(sim.envs)
        first = compile_env(sim.envs[0])
        actors = sim.envs[0].actors
        self.places: List[Places] = find_places(first, actors)
        self.body_count = sum(len(place.bodies) for place in self.places)
        self.dof_count = sum(len(place.joints) for place in self.places)
        self._substeps = sim.params.substeps
        self._bodies = np.concatenate([place.bodies for place in self.places])
        self._dof_qpos = np.concatenate([place.qpos for place in self.places])
        self._dof_qvel = np.concatenate([place.qvel for place in self.places])
        self._ctrl_order = np.argsort(np.concatenate([place.actuators for place in self.places]))
        self._fixed_roots = np.stack([_fixed_root(actor) for actor in actors])
        self._body_rows = np.full(first.nbody, -1)
        self._body_rows[self._bodies] = np.arange(self.body_count)
        self._geom_bodies = first.geom_bodyid.copy()
        self._filters = _properties.filters(actors)
        self._scratch = mujoco.MjData(first)
        self._origins = np.outer(np.arange(len(sim.envs)), (SPACING_M, 0.0, 0.0))
        self._models = [self._model(first, env) for env in sim.envs]
        self._data = [mujoco.MjData(model) for model in self._models]
        self._qpos_rows, self._qvel_rows, self._ctrl_rows, self._warm_rows = (
            [getattr(data, name) for data in self._data] for name in ("qpos", "qvel", "ctrl", "qacc_warmstart")
        )
        self.qpos, self.qvel = np.stack(self._qpos_rows), np.stack(self._qvel_rows)
        self._start_threads()

    def _model(self, first: mujoco.MjModel, env: Env) -> mujoco.MjModel:
        need(_properties.filters(env.actors) == self._filters, "stand-in: shapes have the same filters in every env")
        model = copy.copy(first)
        for place, actor in zip(self.places, env.actors):
            _properties.write_dofs(model, place, actor)
            if actor.bodies != actor.asset.body_properties:
                _properties.write_bodies(model, place, actor)
        _properties.write_contacts(model, self.places, env)
        mujoco.mj_setConst(model, self._scratch)
        return model

    def _start_threads(self) -> None:
        worlds = list(zip(self._models, self._data))
        count = min(len(os.sched_getaffinity(0)), len(worlds))
        self._parts = [worlds[part::count] for part in range(count)]
        self._pool = concurrent.futures.ThreadPoolExecutor(count)

    def close(self) -> None:
        """End its threads."""
        self._pool.shutdown()

    # Properties

    def update_dofs(self, env: Env, number: int) -> None:
        """After an actor's drives changed."""
        _properties.write_dofs(self._models[env.number], self.places[number], env.actors[number])
        mujoco.mj_setConst(self._models[env.number], self._scratch)

    def update_bodies(self, env: Env, number: int) -> None:
        """After an actor's masses changed."""
        _properties.write_bodies(self._models[env.number], self.places[number], env.actors[number])
        mujoco.mj_setConst(self._models[env.number], self._scratch)

    def update_shapes(self, env: Env) -> None:
        """After frictions or offsets changed."""
        same = _properties.filters(env.actors) == self._filters
        need(same, "stand-in: shapes keep their filters after prepare_sim")
        _properties.write_contacts(self._models[env.number], self.places, env)

    # Stepping

    def simulate(self) -> None:
        """One ``dt``."""
        list(self._pool.map(self._step, self._parts))
        np.concatenate(self._qpos_rows, out=self.qpos.reshape(-1))
        np.concatenate(self._qvel_rows, out=self.qvel.reshape(-1))

    def _step(self, worlds: Sequence[Tuple[mujoco.MjModel, mujoco.MjData]]) -> None:
        step, substeps = mujoco.mj_step, self._substeps  # releases the interpreter's lock
        for model, data in worlds:
            step(model, data, substeps)

    # States out

    def write_dof_state(self, out: np.ndarray) -> None:
        """Positions and velocities, a row a DOF."""
        rows = out.reshape(len(self.qpos), self.dof_count, 2)
        rows[..., 0], rows[..., 1] = self.qpos[:, self._dof_qpos], self.qvel[:, self._dof_qvel]

    def write_actor_root_state(self, out: np.ndarray) -> None:
        """Positions, quaternions x y z w, velocities and spins in the world's frame, a row an actor."""
        rows = out.reshape(len(self.qpos), len(self.places), 13)
        rows[...] = self._fixed_roots
        for row, place in enumerate(self.places):
            if place.root is not None:
                qpos, qvel = place.root
                pose, speed = self.qpos[:, qpos : qpos + 7], self.qvel[:, qvel : qvel + 6]
                rows[:, row, :3], rows[:, row, 3:6], rows[:, row, 6] = pose[:, :3], pose[:, 4:], pose[:, 3]
                rows[:, row, 7:10], rows[:, row, 10:] = speed[:, :3], _rotated(pose[:, 3:], speed[:, 3:])
        rows[:, :, :3] += self._origins[:, None]

    def write_rigid_body_state(self, out: np.ndarray) -> None:
        """The same of every body, its velocity that of its frame's origin."""
        rows = out.reshape(len(self.qpos), self.body_count, 13)
        for row, model, data in zip(rows, self._models, self._data):
            for compute in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_comVel):
                compute(model, data)
            position, quaternion = data.xpos[self._bodies], data.xquat[self._bodies]
            spin, speed = data.cvel[self._bodies, :3], data.cvel[self._bodies, 3:]
            centre = data.subtree_com[model.body_rootid[self._bodies]]
            speed = speed + np.cross(spin, position - centre)
            row[...] = np.concatenate((position, quaternion[:, 1:], quaternion[:, :1], speed, spin), 1)
        rows[:, :, :3] += self._origins[:, None]

    def write_net_contact_force(self, out: np.ndarray) -> None:
        """What acts on every body in the world's frame."""
        out[...] = 0.0
        touching = [(number, data) for number, data in enumerate(self._data) if data.ncon]
        if not touching:
            return
        contacts = [data.contact for _, data in touching]
        forces, before = _joined([data.efc_force for _, data in touching])
        addresses, counts = (
            np.concatenate([contact.efc_address for contact in contacts]),
            [len(each) for each in contacts],
        )
        acts = addresses >= 0
        addresses = (addresses + np.repeat(before, counts))[acts]
        numbers = np.repeat([number for number, _ in touching], counts)[acts]
        frames = np.concatenate([contact.frame for contact in contacts])[acts].reshape(-1, 3, 3)
        geoms = np.concatenate([contact.geom for contact in contacts])[acts]
        # An elliptic cone's forces stand in a row: along the normal, then along two tangents.
        on_second = np.einsum("ci,cij->cj", forces[addresses[:, None] + np.arange(3)], frames)
        for side, sign in ((0, -1.0), (1, 1.0)):
            rows = self._body_rows[self._geom_bodies[geoms[:, side]]]
            some = rows >= 0
            np.add.at(out, numbers[some] * self.body_count + rows[some], sign * on_second[some])

    # States in

    def set_targets(self, values: np.ndarray) -> None:
        """Of all DOFs."""
        ordered = values.reshape(len(self.qpos), self.dof_count)[:, self._ctrl_order].astype(np.float64)
        for row, targets in zip(self._ctrl_rows, ordered):
            row[:] = targets

    def set_dofs(self, values: np.ndarray, actors: np.ndarray) -> None:
        """Of these actors alone."""
        states = values.reshape(len(self.qpos), self.dof_count, 2)
        worlds, numbers = np.divmod(actors, len(self.places))
        for number, place in enumerate(self.places):
            own = worlds[numbers == number][:, None]
            rows = place.first_dof + np.arange(len(place.joints))
            self.qpos[own, place.qpos], self.qvel[own, place.qvel] = states[own, rows, 0], states[own, rows, 1]
        self._put(worlds)

    def set_roots(self, values: np.ndarray, actors: np.ndarray) -> None:
        """Of these actors alone."""
        states = values.reshape(len(self.qpos), len(self.places), 13).astype(np.float64)
        states[:, :, :3] -= self._origins[:, None]
        worlds, numbers = np.divmod(actors, len(self.places))
        for number, place in enumerate(self.places):
            own = worlds[numbers == number]
            state = states[own, number]
            if place.root is None:
                still = np.allclose(state, self._fixed_roots[number], atol=1e-6)
                need(still, "stand-in: a fixed base stays where it is")
                continue
            qpos, qvel = place.root
            pose = state[:, [0, 1, 2, 6, 3, 4, 5]]
            self.qpos[own, qpos : qpos + 7], self.qvel[own, qvel : qvel + 3] = pose, state[:, 7:10]
            inverse = pose[:, 3:] * (1.0, -1.0, -1.0, -1.0)
            self.qvel[own, qvel + 3 : qvel + 6] = _rotated(inverse, state[:, 10:])
        self._put(worlds)

    def _put(self, worlds: np.ndarray) -> None:
        """PhysX forgets the contacts of what is set, so MuJoCo does too."""
        for world in np.unique(worlds):
            self._qpos_rows[world][:], self._qvel_rows[world][:] = self.qpos[world], self.qvel[world]
            self._warm_rows[world][:] = 0.0


def _fixed_root(actor: Actor) -> np.ndarray:
    p, r = actor.pose.p, actor.pose.r
    return np.array([p.x, p.y, p.z, r.x, r.y, r.z, r.w, *[0.0] * 6])


def _joined(arrays: Sequence[np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
    """Arrays in one, and how many rows lie before each."""
    lengths = np.array([len(array) for array in arrays])
    return np.concatenate(arrays), np.cumsum(lengths) - lengths


def _rotated(quaternions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors turned by quaternions w x y z."""
    w, axis = quaternions[:, :1], quaternions[:, 1:]
    twice = 2.0 * np.cross(axis, vectors)
    return vectors + w * twice + np.cross(axis, twice)
