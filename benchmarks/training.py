"""Where the time of training goes: whole iterations, their parts in place, and parts of those alone."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.agent import DexHandAgent

WARM_UP, CALLS = 2, 20


@dataclasses.dataclass(frozen=True)
class TrainingTime:
    """Milliseconds of a control step; medians over the iterations.

    Attributes:
        iteration_ms: everything, divergence checks, history and TensorBoard included.
        rollout_ms, update_ms: the two halves of it; the rest of ``iteration_ms`` is what comes after them.
        alone_ms: parts, each repeated by itself: a rollout's ``network`` and ``statistics``; an update's ``data set``
            (advantages, normalisation, order) and ``minibatches``. A GPU works on a rollout while the CPU prepares what
            follows, so there they add up to more than the whole.
    """

    iteration_ms: float
    rollout_ms: float
    update_ms: float
    alone_ms: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Rollout:
    """What raw physics needs to replay a rollout: the state before it, and the joint targets of each step."""

    state: dict[str, torch.Tensor]
    joint_targets: list[torch.Tensor]


def seconds(device: str, work: Callable[[], Any]) -> float:
    """Wall time of something, until the GPU has done it too."""
    synchronize(device)
    clock = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - clock


def synchronize(device: str) -> None:
    """Wait for the GPU, if it is one."""
    if device != "cpu":
        torch.cuda.synchronize(device)


class _Watched:
    """A method that notes the seconds of its calls and what the last one was given."""

    def __init__(self, method: Callable[..., Any], device: str) -> None:
        self.method = method
        self._device = device
        self.seconds: list[float] = []
        self.arguments: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any) -> Any:
        results = []
        self.arguments = arguments
        self.seconds.append(seconds(self._device, lambda: results.append(self.method(*arguments))))
        return results[0]


def time_training(
    params: dict[str, Any], env: DexHandEnv, device: str, iterations: int
) -> tuple[TrainingTime, Rollout]:
    """How long some iterations of training take, the first ones left out; and one more rollout, to be replayed."""
    total = WARM_UP + iterations
    config = {**params["config"], "max_epochs": total, "save_frequency": total + 1, "save_best_after": total + 1}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        agent: Any = DexHandAgent({**params, "config": config}, env, "BaseTask", 0, run, torch.device(device))
        agent.play_steps = rollout = _Watched(agent.play_steps, device)
        agent.train_epoch = epoch = _Watched(agent.train_epoch, device)
        agent.algo_observer.process_infos = counting = _Watched(agent.algo_observer.process_infos, "cpu")
        ends: list[float] = []
        agent.train(lambda row: bool(ends.append(time.perf_counter())))
        per_step = 1e3 / config["horizon_length"]
        whole = [after - before for before, after in zip(ends, ends[1:], strict=False)]
        rollouts, epochs = rollout.seconds[-iterations:], epoch.seconds[-iterations:]
        updates = [both - play for both, play in zip(epochs, rollouts, strict=True)]
        last = _record(agent, env, counting)
        alone = {name: value * per_step for name, value in _alone(agent, counting, device, config).items()}
        agent.writer.close()
    median = statistics.median
    times = (median(values) * per_step for values in (whole[-iterations:], rollouts, updates))
    return TrainingTime(*times, alone), last


def _record(agent: Any, env: DexHandEnv, counting: _Watched) -> Rollout:
    """One more rollout; what the actuators were told is read when its steps are counted."""
    state, targets = env.sim.get_state(), []
    count = counting.method

    def read_and_count(*arguments: Any) -> None:
        targets.append(env.sim.joint_targets.clone())
        count(*arguments)

    counting.method = read_and_count
    with torch.no_grad():
        agent.play_steps()
    counting.method = count
    return Rollout(state, targets)


def _alone(agent: Any, counting: _Watched, device: str, config: dict[str, Any]) -> dict[str, float]:
    """Seconds of an iteration by part, each part repeated by itself. The policy is no good afterwards."""

    def repeated(work: Callable[[], Any]) -> float:
        work()
        return seconds(device, lambda: [work() for _ in range(CALLS)]) / CALLS

    with torch.no_grad():
        batch = agent.play_steps()
        network = repeated(lambda: agent.get_action_values(agent.obs))
        counted = repeated(lambda: counting(*counting.arguments))
        data_set = repeated(lambda: agent.prepare_dataset(dict(batch)))
    minibatch = repeated(lambda: agent.train_actor_critic(agent.dataset[0]))
    steps, minibatches = config["horizon_length"], config["mini_epochs"] * len(agent.dataset)
    return {
        "network": network * steps,
        "statistics": counted * steps,
        "data set": data_set,
        "minibatches": minibatch * minibatches,
    }
