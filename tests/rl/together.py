"""What one of several processes does in test_distributed.py: ``together.py FOLDER SCENARIO...``.

Runs go to FOLDER/<scenario>, and what a process saw to FOLDER/<scenario>-<rank>.json.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
from rl_games.algos_torch.running_mean_std import RunningMeanStd

from dexhand_env.env.vec_env import Step
from dexhand_env.errors import UserError
from dexhand_env.rl.agent import DexHandAgent, TrainingDiverged
from dexhand_env.rl.distributed import Processes, join_processes
from dexhand_env.rl.statistics import TrainingStatistics
from dexhand_env.rl.training import run_training
from tests.rl.runs import curriculum_spec, params, spec

ITERATIONS = 4
WORLDS = 3
OUTCOMES = ("running", "success", "timeout", "nan", "dropped")
Result = Dict[str, Any]


def bits(state: Any) -> str:
    """A fingerprint of every bit of nested tensors and numbers."""
    if isinstance(state, torch.Tensor):
        return hashlib.sha256(state.detach().cpu().numpy().tobytes()).hexdigest()
    if isinstance(state, dict):
        state = [(str(key), bits(value)) for key, value in sorted(state.items(), key=lambda item: str(item[0]))]
    elif isinstance(state, (list, tuple)):
        state = [bits(value) for value in state]
    return hashlib.sha256(repr(state).encode()).hexdigest()


def seen(agent: DexHandAgent, row: Dict[str, float]) -> Result:
    """Fingerprints of what must be alike in all processes, and of what must not be."""
    timings = ("seconds", "cpu_seconds", "frames_per_second")
    alike = {
        "weights": dict(agent.model.named_parameters()),
        "normalisers": dict(agent.model.named_buffers()),
        "optimizer": agent.optimizer.state_dict(),
        "learning_rate": agent.last_lr,
        "statistics": agent.statistics.get_state(),
        "best_return": agent.best_return,
        "row": {name: value for name, value in row.items() if name not in timings},
    }
    if agent.has_central_value:
        alike["critic"] = agent.central_value_net.state_dict()
        alike["critic_optimizer"] = agent.central_value_net.optimizer.state_dict()
    noise = torch.cuda.get_rng_state(agent.ppo_device) if agent.device_is_cuda else torch.get_rng_state()
    return {
        "alike": {name: bits(value) for name, value in alike.items()},
        "own": {"observations": bits(agent.obs["obs"]), "noise": bits(noise)},
        "learning_rate": agent.last_lr,
        "level": row.get("curriculum_level"),
        "samples": float(agent.value_mean_std.count) - 1.0,
    }


def train(
    folder: Path,
    processes: Processes,
    settings: Any,
    resume_from: Path | None = None,
    then: Callable[[Dict[str, float], DexHandAgent], None] = lambda row, agent: None,
) -> Result:
    """A run: what was seen after each of its iterations, and how it ended."""
    iterations: List[Result] = []

    def note(row: Dict[str, float], agent: DexHandAgent) -> None:
        iterations.append(seen(agent, row))
        then(row, agent)

    try:
        result = run_training(settings, folder, resume_from, note, processes)
        end: Any = [result.iterations, result.frames, result.interrupted]
    except (TrainingDiverged, UserError) as error:
        end = [f"{type(error).__name__}: {error}"]
    return {"iterations": iterations, "end": end}


def in_last(processes: Processes, iteration: int, act: Callable[[DexHandAgent], Any]) -> Any:
    """Something that the last process alone does, after one of its iterations."""

    def then(row: Dict[str, float], agent: DexHandAgent) -> None:
        if row["iteration"] == iteration and processes.rank == processes.size - 1:
            act(agent)

    return then


def straight(folder: Path, processes: Processes) -> Result:
    return train(folder, processes, spec(params=params(max_epochs=ITERATIONS)))


def on_device(folder: Path, processes: Processes) -> Result:
    """As on GPUs: the learning rate is a tensor that each process adapts by itself."""

    def keep_rate(row: Dict[str, float], agent: DexHandAgent) -> None:
        if row["iteration"] == 1:
            agent.learn_on_device(captured=False)

    return train(folder, processes, spec(params=params(max_epochs=ITERATIONS)), then=keep_rate)


def curriculum(folder: Path, processes: Processes) -> Result:
    """DexGrasp, with a critic of its own."""
    return train(folder, processes, curriculum_spec(max_epochs=3))


def on_gpus(folder: Path, processes: Processes) -> Result:
    """The same, each process on a GPU of its own and the two talking by NCCL."""
    device, settings = f"cuda:{processes.local_rank}", curriculum_spec(max_epochs=3)
    sim = settings.task.sim.model_copy(update={"backend": "mujoco_warp"})
    task = settings.task.model_copy(update={"sim": sim})
    return train(folder, processes, dataclasses.replace(settings, task=task, sim_device=device, rl_device=device))


def widened(folder: Path, processes: Processes) -> Result:
    """The same from right before a widening."""
    return train(folder, processes, curriculum_spec(max_epochs=3), folder.parent / "curriculum/nn/checkpoint_1.pth")


def half(folder: Path, processes: Processes) -> Result:
    return train(folder, processes, spec(params=params(max_epochs=ITERATIONS // 2)))


def other_half(folder: Path, processes: Processes) -> Result:
    run = folder.parent / "half"
    return train(run, processes, spec(params=params(max_epochs=ITERATIONS)), run / "nn" / "checkpoint_2.pth")


def signalled(folder: Path, processes: Processes) -> Result:
    then = in_last(processes, 2, lambda agent: os.kill(os.getpid(), signal.SIGTERM))
    return train(folder, processes, spec(params=params(save_frequency=100)), then=then)


def diverged(folder: Path, processes: Processes) -> Result:
    return train(folder, processes, spec(), then=in_last(processes, 1, lambda agent: agent.obs["obs"].fill_(torch.nan)))


def mistaken(folder: Path, processes: Processes) -> Result:
    """The last process alone looks for a checkpoint that is not there."""
    missing = folder / "checkpoint_1.pth" if processes.rank == processes.size - 1 else None
    return train(folder, processes, spec(), missing)


def hung(folder: Path, processes: Processes) -> Result:
    return train(
        folder, processes, spec(), then=in_last(processes, 2, lambda agent: os.kill(os.getpid(), signal.SIGSTOP))
    )


def batches(rank: int) -> List[torch.Tensor]:
    """What a process's normaliser is fed: other values in each process."""
    generator = torch.Generator().manual_seed(rank)
    return [torch.randn(5, 3, generator=generator) * (1 + rank) + 10.0 * rank for _ in range(4)]


def normaliser(folder: Path, processes: Processes) -> Result:
    model: Any = torch.nn.Module()
    model.running_mean_std = torch.jit.script(RunningMeanStd((3,)))
    processes.join_normalisers(model)
    outputs = [model.running_mean_std(batch).tolist() for batch in batches(processes.rank)]
    return {"outputs": outputs, "state": {name: value.tolist() for name, value in model.state_dict().items()}}


def steps(rank: int) -> List[Step]:
    """Steps of a process's worlds."""
    from tests.rl.test_statistics import drawn_step

    generator = torch.Generator().manual_seed(rank)
    return [drawn_step(WORLDS, generator, 0.2) for _ in range(10)]


def statistics(folder: Path, processes: Processes) -> Result:
    counted = TrainingStatistics(WORLDS, OUTCOMES, torch.device("cpu"), processes)
    for step in steps(processes.rank):
        counted.add(step)
    return {"row": counted.finish_iteration(), "state": counted.get_state()}


SCENARIOS = (
    *(straight, on_device, curriculum, on_gpus, widened, half, other_half),
    *(signalled, diverged, mistaken, normaliser, statistics, hung),
)

if __name__ == "__main__":
    with join_processes(float(os.environ.get("TIMEOUT_S", "60"))) as processes:
        for scenario in SCENARIOS:
            if scenario.__name__ in sys.argv[2:]:
                found = scenario(Path(sys.argv[1]) / scenario.__name__, processes)
                file = Path(sys.argv[1]) / f"{scenario.__name__}-{processes.rank}.json"
                file.write_text(json.dumps(found), encoding="utf-8")
