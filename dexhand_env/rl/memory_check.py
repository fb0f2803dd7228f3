"""Refuses a run that memory is too small for, and says which number of environments would fit."""

from __future__ import annotations

import contextlib
import re
from typing import Dict, Iterator, Mapping, Optional

import torch

from dexhand_env.config.ppo import PPOParams, largest_num_envs
from dexhand_env.errors import UserError
from dexhand_env.rl.free_memory import free_memory, used_memory
from dexhand_env.rl.memory import RAM, MemoryNeeds
from dexhand_env.rl.training import TrainingSpec
from dexhand_env.sim.factory import simulation_memory
from dexhand_env.tasks.registry import observation_sizes, simulated_scene

NUM_ENVS = "--num-envs"
NOTHING_FITS = (
    "fewer would not fit either: free memory, or smaller params.config.minibatch_size, params.config.horizon_length "
    "or params.network.mlp.units"
)
# What libraries say where an allocation failed: torch on the CPU; C++ in mujoco.batch; MuJoCo and Warp; CUDA; Linux.
ALLOCATION_FAILED = re.compile(
    r"can't allocate memory|bad_alloc|(could not|failed to) allocate|out of memory|cannot allocate memory",
    re.IGNORECASE,
)
# Where memory ran out although the prediction was below what there was, the next prediction is held this much lower.
MISJUDGED = 1.25


def memory_needs(spec: TrainingSpec) -> MemoryNeeds:
    """What decides the run's memory; the scene is compiled for its sizes, worlds are not made."""
    threads = max(spec.threads, spec.learner_threads)
    sizes = observation_sizes(spec.task, spec.physics)
    scene = simulated_scene(spec.task)
    return MemoryNeeds(
        physics=simulation_memory(scene, spec.physics, spec.task.sim.backend, spec.sim_device, spec.threads),
        observations=sizes["policy"],
        critic_observations=sizes["critic"],
        actions=spec.task.actions.num_actions,
        params=spec.params,
        sim_device=spec.sim_device,
        rl_device=spec.rl_device,
        threads=threads,
    )


def fitting_num_envs(needs: MemoryNeeds, room: Mapping[str, float], below: int) -> int:
    """The largest number of environments under ``below`` that fits and gives whole minibatches; 0 where none does.

    Args:
        needs: of the run.
        room: bytes by kind of memory; kinds that are not in it are not limited.
        below: a number of environments.
    """

    def fits(num_envs: int) -> bool:
        return all(amount <= room.get(kind, amount) for kind, amount in needs.total(num_envs).items())

    fitting, beyond = 0, below  # memory grows with the number, so halve what lies between
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if fits(middle) else (fitting, middle)
    return largest_num_envs(PPOParams.model_validate(needs.params), fitting)


def check_memory(spec: TrainingSpec, where: str = NUM_ENVS, processes: int = 1) -> None:
    """See that the run fits into free memory, before anything is allocated or written.

    Args:
        spec: what is to be trained.
        where: names the number of environments in the error.
        processes: that train so on this machine, each with worlds of its own, and share its memory.

    Raises:
        UserError: with what it needs, what is free, and the number of environments that would fit.
    """
    needs, free = memory_needs(spec), free_memory({spec.sim_device, spec.rl_device})
    free[RAM] //= processes
    for kind, amount in needs.total(spec.num_envs).items():
        if amount > free.get(kind, amount):
            found = f"{spec.num_envs} environments need about {_gb(amount)} of {kind}, {_gb(free[kind])} are free"
            raise UserError(where, found, _at_most(fitting_num_envs(needs, free, spec.num_envs)))


@contextlib.contextmanager
def running_out_is_a_mistake(spec: TrainingSpec, where: str = NUM_ENVS) -> Iterator[None]:
    """Around a training: turns the end of memory into a message that says how many environments would fit.

    Raises:
        UserError: an allocation failed.
    """
    devices, needs = {spec.sim_device, spec.rl_device}, memory_needs(spec)
    before = used_memory(devices)
    try:
        yield
    except Exception as error:
        if not ran_out(error):
            raise
        used, free = used_memory(devices), free_memory(devices)
        capacity = {kind: free[kind] + used[kind] - before[kind] for kind in free}
        fitting = fitting_num_envs(needs, room_after_failure(needs.total(spec.num_envs), capacity), spec.num_envs)
        raise UserError(where, f"memory ran out with {spec.num_envs} environments", _at_most(fitting)) from error


def room_after_failure(needed: Mapping[str, int], capacity: Mapping[str, int]) -> Dict[str, float]:
    """What the prediction for another number may be, after a run did not get the memory that it needed.

    Args:
        needed: the prediction for the run, by kind.
        capacity: what the run had and what was left.
    """
    short = {kind: float(there) for kind, there in capacity.items() if needed[kind] > there}
    return short or {kind: needed[kind] / MISJUDGED for kind in capacity}


def ran_out(error: Optional[BaseException]) -> bool:
    """Whether an exception, or the one that it came of, says that an allocation failed."""
    if error is None:
        return False
    known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    return known or ALLOCATION_FAILED.search(str(error)) is not None or ran_out(error.__cause__ or error.__context__)


def _at_most(num_envs: int) -> str:
    return f"at most {num_envs}" if num_envs else NOTHING_FITS


def _gb(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
