"""One-line hints for set-ups that work but waste time."""

from __future__ import annotations

from dexhand_env.errors import UserError
from dexhand_env.sim.backends import check_backend

# From here on the CPU, not the overhead of a step, decides the speed.
MANY_ENVS = 2048


def steps_on_gpu(backend: str) -> bool:
    """Whether this version can step physics on a GPU with a backend."""
    try:
        check_backend(backend, "cuda:0")
    except UserError:
        return False
    return True


def slow_setup(
    num_envs: int,
    sim_device: str,
    rl_device: str,
    threads: int,
    cores: int,
    processes: int,
    gpu: bool,
    gpu_physics: bool,
) -> tuple[str, ...]:
    """Hints, one line each; none where nothing is wasted.

    Args:
        num_envs: environments of one process.
        sim_device, rl_device: ``cpu`` or ``cuda:<index>``.
        threads: CPU threads of a process.
        cores: that they may use.
        processes: that train together on this machine.
        gpu: whether torch can use one.
        gpu_physics: whether physics could be stepped there.
    """
    hints = []
    if gpu and sim_device == "cpu" and num_envs >= MANY_ENVS:
        if gpu_physics:
            hints.append(f"slow set-up: the CPU steps {num_envs} environments; a GPU would with --sim-device cuda:0")
        elif rl_device == "cpu":
            hints.append(
                f"slow set-up: the CPU learns from {num_envs} environments while a GPU is idle; "
                "it would learn with --rl-device cuda:0"
            )
    share = max(cores // processes, 1)
    if threads > share:
        hints.append(f"slow set-up: {threads * processes} threads share {cores} cores; --threads {share} is faster")
    return tuple(hints)
