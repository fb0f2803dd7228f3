"""How many control steps a second: raw physics, the environment, training; by number of worlds.

    python -m benchmarks.throughput [--device cuda:0] [--num-envs 4096 8192] [--scene hand+cube] [--json FILE]

Raw physics replays the joint targets of the same rollout, physics only. Each number of worlds is measured in a process
of its own, so that memory is its own too. Where jax and mujoco.mjx can be imported, the same scene in MJX follows.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.cube_task import CubeTask
from benchmarks.memory import Memory, predicted_gb, used_gb
from benchmarks.raw_physics import raw_physics
from benchmarks.training import Rollout, seconds, synchronize, time_training
from dexhand_env.config.physics import load_physics
from dexhand_env.config.ppo import PPOParams, fit_minibatch, load_ppo, train_file
from dexhand_env.config.registry import load_task
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.env.actions import HandControls
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.files import write_text
from dexhand_env.sim.backends import chosen_device
from dexhand_env.sim.factory import make_simulation
from dexhand_env.stages.record import available_cores, machine
from dexhand_env.tasks.base_task import BaseTask

TASKS = {"hand": BaseTask, "hand+cube": CubeTask}
WARM_UP, ROUNDS = 10, 3
PACKAGES = ("mujoco", "mujoco-warp", "warp-lang", "torch", "rl-games", "jax", "mujoco-mjx")


@dataclasses.dataclass(frozen=True)
class Speed:
    """Of one number of worlds; rates are control steps of all worlds a second, times are of one control step.

    Attributes:
        made_s: seconds to make the environment, kernels compiled where the cache lacked them.
        raw, env, training: control steps a second.
        env_of_raw: median of the rounds' ratios.
        raw_ms, env_ms: of one control step with random actions.
        explored_ms: of raw physics on a rollout of training, whose actions move the hand more.
        policy_ms: the rest of that rollout, what env.step adds to raw physics left out.
        update_ms, rest_ms: the update, and the rest of the iteration: divergence checks, history, TensorBoard.
        alone_ms: see :class:`benchmarks.training.TrainingTime`.
        memory: what training takes, and the prediction.
    """

    worlds: int
    made_s: float
    raw: float
    env: float
    training: float
    env_of_raw: float
    training_of_raw: float
    raw_ms: float
    env_ms: float
    explored_ms: float
    policy_ms: float
    update_ms: float
    rest_ms: float
    alone_ms: dict[str, float]
    memory: Memory
    nan_resets: int
    contact_overflows: int | None


def make_env(options: argparse.Namespace, worlds: int) -> DexHandEnv:
    """The environment of a scene, as training steps it."""
    values = parse_overrides(options.set)
    values.pop("params", None)
    config, physics = load_task("BaseTask", values), load_physics(options.physics)
    cls = TASKS[options.scene]
    sim = make_simulation(cls.scene(config), physics, worlds, "auto", options.device, options.threads)
    hand = RobotHand(sim, HandControls(config.actions, physics.control_dt_s, sim.device), config.hand.side)
    randomness = TrainingRandomness(0, sim.device)
    return DexHandEnv(config, sim, hand, cls(config, hand, sim), randomness, stagger=True)


def _ppo(options: argparse.Namespace, worlds: int) -> dict[str, Any]:
    overrides = parse_overrides(options.set).get("params", {})
    params: PPOParams = load_ppo(train_file("BaseTask"), {"params": overrides} if overrides else {}, "--set")
    params, _ = fit_minibatch(params, worlds, "--num-envs and params.config.minibatch_size")
    return params.dump()


def rollouts(
    options: argparse.Namespace, env: DexHandEnv, worlds: int, explored: Rollout
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of a control step, by round.

    Returns:
        env.step with random actions, raw physics following its joint targets, and following those of training.
    """
    device, steps = options.device, options.steps
    scene = TASKS[options.scene].scene(env.task.config)
    restore, step_raw = raw_physics(scene, load_physics(options.physics), worlds, device, options.threads)

    def raw_s(replayed: Rollout) -> float:
        restore(replayed.state)
        whole = seconds(device, lambda: [step_raw(each) for each in replayed.joint_targets])
        return whole / len(replayed.joint_targets)

    env_s, random_s, explored_s = [], [], []
    for _ in range(ROUNDS):
        actions = torch.rand((WARM_UP + steps, worlds, env.num_actions), device=env.device) * 2.0 - 1.0
        for each in actions[:WARM_UP]:
            env.step(each)
        state = env.get_state()
        whole_s = seconds(device, lambda actions=actions: [env.step(each) for each in actions[WARM_UP:]])
        env_s.append(whole_s / steps)
        # Once more, to record what the actuators are told.
        env.set_state(state)
        targets = []
        for each in actions[WARM_UP:]:
            env.step(each)
            targets.append(env.sim.joint_targets.clone())
        random_s.append(raw_s(Rollout(state["sim"], targets)))
        explored_s.append(raw_s(explored))
    return env_s, random_s, explored_s


def measure(options: argparse.Namespace, worlds: int) -> Speed:
    """Everything about one number of worlds, in this process."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    begun_with = used_gb(options.device)
    made_s = time.perf_counter()
    env = make_env(options, worlds)
    synchronize(options.device)
    made_s = time.perf_counter() - made_s
    params, scene = _ppo(options, worlds), TASKS[options.scene].scene(env.task.config)
    training, explored = time_training(params, env, options.device, options.iterations)
    predicted = predicted_gb(env, scene, load_physics(options.physics), params, options.device, options.threads)
    memory = Memory(used_gb(options.device), begun_with, predicted)
    measured = rollouts(options, env, worlds, explored)
    env_ms, raw_ms, explored_ms = (statistics.median(values) * 1e3 for values in measured)
    counters = env.sim.counters()
    return Speed(
        worlds=worlds,
        made_s=made_s,
        raw=worlds / raw_ms * 1e3,
        env=worlds / env_ms * 1e3,
        training=worlds / training.iteration_ms * 1e3,
        env_of_raw=statistics.median(raw / whole for whole, raw in zip(*measured[:2], strict=True)),
        training_of_raw=raw_ms / training.iteration_ms,
        raw_ms=raw_ms,
        env_ms=env_ms,
        explored_ms=explored_ms,
        policy_ms=training.rollout_ms - explored_ms - (env_ms - raw_ms),
        update_ms=training.update_ms,
        rest_ms=training.iteration_ms - training.rollout_ms - training.update_ms,
        alone_ms=training.alone_ms,
        memory=memory,
        nan_resets=counters.nan_resets,
        contact_overflows=counters.contact_overflows,
    )


def _in_a_process(arguments: list[str], worlds: int) -> dict[str, Any] | None:
    """The measurement in a process of its own; None where it failed, which it has said itself."""
    command = [sys.executable, "-m", "benchmarks.throughput", *arguments, "--in-this-process", str(worlds)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(result.stdout.splitlines()[-1]) if result.returncode == 0 else None


def _mjx(options: argparse.Namespace, worlds: int) -> dict[str, Any] | None:
    """MJX-JAX on the same scene, where it is installed."""
    if not (importlib.util.find_spec("jax") and importlib.util.find_spec("mujoco.mjx")):
        print("MJX-JAX: jax or mujoco.mjx is not installed", flush=True)
        return None
    command = [sys.executable, "-m", "benchmarks.mjx", options.scene, options.physics, str(worlds)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        return None
    peer = json.loads(result.stdout.splitlines()[-1])
    for row in peer["rates"]:
        print(f"MJX-JAX on {peer['device']}, {row['cone']} cones, {worlds:,} worlds: {row['raw']:,.0f} control steps/s")
    return peer


def table(speeds: list[dict[str, Any]]) -> str:
    """The measurements as a Markdown table."""
    rates = ("worlds", "raw physics", "env.step", "of raw", "training", "of raw")
    alone = tuple(speeds[0]["alone_ms"]) if speeds else ()
    costs = (
        "ms a step: raw",
        "env",
        "raw of training",
        "policy",
        "update",
        "rest",
        *(f"{name} alone" for name in alone),
    )
    memory = ("memory, GB", "of it new", "predicted")
    heading = (*rates, *costs, *memory, "made in, s", "broken", "lost")
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for row in speeds:
        cells = [
            f"{row['worlds']:,}",
            f"{row['raw']:,.0f}",
            f"{row['env']:,.0f}",
            f"{row['env_of_raw']:.2f}",
            f"{row['training']:,.0f}",
            f"{row['training_of_raw']:.2f}",
            f"{row['raw_ms']:.2f}",
            f"{row['env_ms'] - row['raw_ms']:.2f}",
            f"{row['explored_ms']:.2f}",
            f"{row['policy_ms']:.2f}",
            f"{row['update_ms']:.2f}",
            f"{row['rest_ms']:.2f}",
            *(f"{row['alone_ms'][name]:.2f}" for name in alone),
            f"{row['memory']['used']:.2f}",
            f"{row['memory']['used'] - row['memory']['begun_with']:.2f}",
            f"{row['memory']['predicted']:.2f}",
            f"{row['made_s']:.0f}",
            str(row["nan_resets"]),
            str(row["contact_overflows"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def where(device: str) -> str:
    """The machine and the versions, in a line."""
    this = machine()
    name = torch.cuda.get_device_name(device) if device != "cpu" else this["processor"]
    versions = []
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return f"{name}, {available_cores()} cores; Python {platform.python_version()}, " + ", ".join(versions)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:<index>")
    parser.add_argument("--num-envs", type=int, nargs="+", help="numbers of worlds (GPU: 4096 8192 16384; CPU: 256)")
    parser.add_argument("--scene", choices=list(TASKS), default="hand+cube")
    parser.add_argument("--physics", default="default", help="a preset of cfg/physics.yaml")
    parser.add_argument("--steps", type=int, default=100, help="control steps of a round")
    parser.add_argument("--iterations", type=int, default=5, help="iterations of training")
    parser.add_argument("--threads", type=int, default=available_cores(), help="CPU threads")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values of the YAML, as for train.py")
    parser.add_argument(
        "--mjx", action=argparse.BooleanOptionalAction, default=True, help="MJX-JAX of the same scene too"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--in-this-process", type=int, help=argparse.SUPPRESS)
    return parser


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit code."""
    options = _parser().parse_args(arguments)
    options.device, _ = chosen_device(options.device, "auto")
    if options.in_this_process:
        print(json.dumps(dataclasses.asdict(measure(options, options.in_this_process))))
        return 0
    numbers = options.num_envs or ([256] if options.device == "cpu" else [4096, 8192, 16384])
    made = f"{where(options.device)}; scene {options.scene}, physics {options.physics}"
    print(made, flush=True)
    speeds = [speed for worlds in numbers if (speed := _in_a_process(arguments, worlds)) is not None]
    print(table(speeds), flush=True)
    peer = _mjx(options, max(numbers)) if options.mjx else None
    if options.json:
        write_text(options.json, json.dumps({"where": made, "speeds": speeds, "mjx": peer}, indent=1) + "\n")
    return 0 if len(speeds) == len(numbers) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
