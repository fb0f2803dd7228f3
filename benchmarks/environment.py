"""How much of raw physics speed the environment keeps, and how it compares with gymnasium's vector environments."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import gymnasium
import mujoco
import numpy as np
import torch
from mujoco import batch

from benchmarks.table import Row
from dexhand_env.config.physics import Physics, load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.sim.mujoco_cpu import STATE_FIELDS
from dexhand_env.sim.mujoco_model import compile_scene
from dexhand_env.tasks.registry import make_env, task_class

WORLDS = 256
STEPS = 60
ROUNDS = 7


def _rate(step: Callable[[int], None]) -> float:
    """Control steps of all worlds per second, wall time."""
    begun = time.perf_counter()
    for index in range(STEPS):
        step(index)
    return STEPS * WORLDS / (time.perf_counter() - begun)


def _env(physics: Physics, threads: int) -> DexHandEnv:
    torch.set_num_threads(1)
    config = load_task("BaseTask")
    return make_env(config, physics, WORLDS, TrainingRandomness(0, torch.device("cpu")), threads=threads)


def environment_against_physics(preset: str, threads: int) -> tuple[float, float, float]:
    """env.step with random actions against ``Batch.step`` alone.

    Both start from the same states and follow the same joint targets: those of the environment's rollout are recorded
    and replayed. They take turns, so that a busy machine slows both.

    Returns:
        Control steps per second of raw physics and of the environment, and the median of the rounds' ratios.
    """
    physics = load_physics(preset)
    env = _env(physics, threads)
    model = compile_scene(task_class("BaseTask").scene(load_task("BaseTask")), physics)
    raw = batch.Batch(model, WORLDS, nthread=threads)
    controls = raw.bind("ctrl")
    generator = torch.Generator().manual_seed(0)
    raw_rates, env_rates = [], []
    for _ in range(ROUNDS):
        actions = torch.rand((STEPS, WORLDS, env.num_actions), generator=generator) * 2 - 1
        state = env.get_state()
        targets = []

        def step_env(index: int, actions: torch.Tensor = actions) -> None:
            env.step(actions[index])

        env_rates.append(_rate(step_env))
        # The rollout once more, to record what the actuators were told.
        env.set_state(state)
        for index in range(STEPS):
            env.step(actions[index])
            targets.append(env.sim.joint_targets.numpy().astype(np.float64))
        for name in STATE_FIELDS:
            raw.bind(name)[...] = state["sim"][name].numpy()

        def step_raw(index: int, targets: list[np.ndarray] = targets) -> None:
            controls[...] = targets[index]
            raw.step(nstep=physics.substeps)

        raw_rates.append(_rate(step_raw))
    ratios = [fast / slow for fast, slow in zip(env_rates, raw_rates, strict=True)]
    return statistics.median(raw_rates), statistics.median(env_rates), statistics.median(ratios)


class SingleHand(gymnasium.Env):
    """One world of BaseTask's scene for gymnasium: same model, same substeps, as many observations.

    An action is what our environment tells the actuators: 26 joint targets.
    """

    def __init__(self, preset: str, observation_size: int) -> None:
        physics = load_physics(preset)
        self._model = compile_scene(task_class("BaseTask").scene(load_task("BaseTask")), physics)
        self._data = mujoco.MjData(self._model)
        self._substeps = physics.substeps
        self.action_space = gymnasium.spaces.Box(-4.0, 4.0, (26,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self._observation = np.zeros(observation_size, np.float32)

    def _observe(self) -> np.ndarray:
        self._observation[:26] = self._data.qpos
        self._observation[26:52] = self._data.qvel
        return self._observation

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self._model, self._data)
        return self._observe(), {}

    def step(self, action):
        self._data.ctrl[:] = action
        mujoco.mj_step(self._model, self._data, self._substeps)
        return self._observe(), 0.0, False, False, {}


def against_gymnasium(preset: str) -> tuple[float, float, float]:
    """Control steps per second of ours on two threads, of SyncVectorEnv and of AsyncVectorEnv.

    Theirs follow the joint targets of our rollout, with no rewards to compute and no episodes to begin.
    """
    env = _env(load_physics(preset), threads=2)
    actions = torch.rand((STEPS, WORLDS, env.num_actions), generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours, targets = [], []
    for index in range(STEPS):
        env.step(actions[index])
        targets.append(env.sim.joint_targets.numpy().copy())
    env.reset()
    ours += [_rate(lambda index: env.step(actions[index]) and None) for _ in range(3)]
    size = env.observation_sizes["policy"]
    theirs = []
    for kind in (gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv):  # the latter: a process a world
        vector = kind([lambda: SingleHand(preset, size)] * WORLDS)
        try:
            vector.reset(seed=0)
            rates = [_rate(lambda index, vector=vector: vector.step(targets[index]) and None) for _ in range(3)]
        finally:
            vector.close()
        theirs.append(statistics.median(rates))
        ours += [_rate(lambda index: env.step(actions[index]) and None) for _ in range(3)]
    return statistics.median(ours), theirs[0], theirs[1]


def rows() -> list[Row]:
    """The environment's part of the table."""
    table = []
    for preset in ("default", "fast"):
        for threads in (1, 2):
            raw, env, ratio = environment_against_physics(preset, threads)
            what = f"env.step / raw physics, {preset}, {WORLDS} worlds, {threads} thread{'s' * (threads > 1)}"
            table.append(Row(what, f"{env:,.0f} / {raw:,.0f} steps/s", f"{ratio:.2f}", "at least 0.85"))
    ours, sync, parallel = against_gymnasium("default")
    for name, theirs, wanted in (("SyncVectorEnv", sync, 2), ("AsyncVectorEnv", parallel, 3)):
        what = f"ours on 2 threads / {name}, default, {WORLDS} worlds"
        table.append(Row(what, f"{ours:,.0f} / {theirs:,.0f} steps/s", f"{ours / theirs:.2f}", f"at least {wanted}"))
    return table
