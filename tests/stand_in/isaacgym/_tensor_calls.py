"""What Gym's methods on tensors do: the sim's own are acquired and refreshed, the caller's are set."""

from __future__ import annotations

import functools
from typing import List, Optional

import numpy as np

from ._enums import TensorDataType
from ._rules import need
from ._scene import Sim
from ._structs import Tensor
from ._tensors import Buffer, Given, actor_indices, take

COLUMNS = {"actor_root_state": 13, "dof_state": 2, "rigid_body_state": 13, "net_contact_force": 3}


def _rows(sim: Sim, name: str) -> int:
    worlds = sim.worlds
    each = {"actor_root_state": len(worlds.places), "dof_state": worlds.dof_count}
    return len(sim.envs) * each.get(name, worlds.body_count)


def acquire(sim: Sim, name: str) -> Tensor:
    """A tensor of the sim's, which is not a number until its first refresh."""
    sim.calls.acquire(name)
    if name not in sim.buffers:
        sim.buffers[name] = Buffer((_rows(sim, name), COLUMNS[name]), sim.device)
    view: Tensor = sim.buffers[name].view
    return view


def refresh(sim: Sim, name: str) -> bool:
    """Show in a tensor what the last ``simulate`` left."""
    sim.calls.refresh(name)
    buffer = sim.buffers[name]
    getattr(sim.worlds, f"write_{name}")(buffer.host)
    buffer.publish()
    return True


def set_indexed(sim: Sim, name: str, states: Tensor, actors: Tensor, count: int) -> bool:
    """Put actors into states at the next ``simulate``."""
    method = f"set_{name}_tensor_indexed"
    sim.calls.set_tensor(method)
    given = take(method, states, TensorDataType.DTYPE_FLOAT32, (_rows(sim, name), COLUMNS[name]), sim.device)
    indices = take(method, actors, TensorDataType.DTYPE_UINT32, (count,), sim.device)
    need(count > 0, f"{method}: no actors")
    places = sim.worlds.places
    numbers = actor_indices(indices, len(sim.envs) * len(places))
    if name == "dof_state":
        put, first = sim.worlds.set_dofs, np.array([place.first_dof for place in places])
        sizes = np.array([len(place.joints) for place in places])
        need(bool(sizes[numbers % len(places)].all()), f"{method}: an actor without DOFs")
    else:
        put, first, sizes = sim.worlds.set_roots, np.arange(len(places)), np.ones(len(places), int)
    _finite(given, _listed_rows(numbers, first, sizes))
    sim.given.append(([given, indices], functools.partial(put, given.values, numbers)))
    return True


def _listed_rows(numbers: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The rows of these actors in a tensor where one has so many rows from so far on."""
    worlds, kinds = np.divmod(numbers, len(sizes))
    rows: List[np.ndarray] = [
        (worlds[kinds == kind, None] * sizes.sum() + first[kind] + np.arange(sizes[kind])).reshape(-1)
        for kind in range(len(sizes))
    ]
    return np.concatenate(rows)


def set_targets(sim: Sim, targets: Tensor) -> bool:
    """Give all DOFs their targets at the next ``simulate``."""
    method = "set_dof_position_target_tensor"
    sim.calls.set_tensor(method)
    given = take(method, targets, TensorDataType.DTYPE_FLOAT32, (_rows(sim, "dof_state"),), sim.device)
    _finite(given, np.arange(given.values.size), given.values.reshape(-1))
    sim.given.append(([given], functools.partial(sim.worlds.set_targets, given.values)))
    return True


def _finite(given: Given, rows: np.ndarray, values: Optional[np.ndarray] = None) -> None:
    chosen = (given.values if values is None else values)[rows]
    need(bool(np.isfinite(chosen).all()), f"{given.method}: a value that is not finite, which PhysX must never see")
