"""Watches a policy, or moves the hand by sliders: what ``dexhand view`` does."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dexhand_env.commands.options import RUNS, ResolvedRun, TrainOptions, resolve
from dexhand_env.commands.recorded_run import find_checkpoint
from dexhand_env.config.task import TaskConfig
from dexhand_env.errors import UserError
from dexhand_env.stages.devices import played
from dexhand_env.stages.record import given_threads

if TYPE_CHECKING:
    import torch

    from dexhand_env.env.vec_env import DexHandEnv
    from dexhand_env.rl.policy import Policy
    from dexhand_env.viewer.tap import Tap

BY_HAND_OVERRIDES = ("actions.mode=position", "actions.base.policy=true", "actions.fingers.policy=true")
LOOK_S = 1.0  # between looks for a newer checkpoint


class ActionSource(Protocol):
    """What moves the hands."""

    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions (num_envs, num_actions) for observations (num_envs, n)."""


def view(options: TrainOptions) -> int:
    """Watch until Ctrl-C; returns the exit code.

    With a checkpoint its policy plays, and newer ones as a training writes them; without one, sliders move the hand.

    Raises:
        UserError: a mistake in options or files.
    """
    by_hand = options.checkpoint is None
    if by_hand:
        options = dataclasses.replace(options, overrides=(*options.overrides, *BY_HAND_OVERRIDES))
    try:
        _watch(resolve(options, on_task=_without_isaac_gym), by_hand)
    except KeyboardInterrupt:
        print("ended", flush=True)
    return 0


def _without_isaac_gym(task: TaskConfig) -> TaskConfig:
    """MuJoCo plays what was trained under Isaac Gym, which this Python has not."""
    return played(task) if task.sim.backend == "isaac_gym" else task


def _watch(run: ResolvedRun, by_hand: bool) -> None:
    import torch

    from dexhand_env.env.randomness import TrainingRandomness
    from dexhand_env.tasks.registry import make_env, simulated_scene
    from dexhand_env.viewer.launch import live_viewer
    from dexhand_env.viewer.messages import BY_HAND, PLAYING, Setup

    def env(worlds: int, watcher: Tap | None) -> DexHandEnv:
        randomness = TrainingRandomness(run.seed, torch.device(run.sim_device))
        threads = run.options.threads or given_threads()
        return make_env(run.task, run.physics, worlds, randomness, run.sim_device, threads, watcher=watcher)

    torch.set_num_threads(1)
    mode = BY_HAND if by_hand else PLAYING
    start = tuple(env(1, None).hand.control_targets[0].tolist()) if by_hand else ()
    scene = simulated_scene(run.task)
    assert run.viewer_port is not None
    setup = Setup(f"{run.task.task}: {mode}", mode, scene, run.physics, run.options.num_envs, run.viewer_port, start)
    with live_viewer(setup, hint=" (Ctrl-C ends it)") as tap:
        watched = env(run.options.num_envs, tap)
        source: ActionSource = Sliders(watched, tap, start) if by_hand else NewestPolicy(run, watched, tap)
        _play(watched, source, tap)


def _play(env: DexHandEnv, source: ActionSource, tap: Tap) -> None:
    """Step until the viewer ends."""
    resets = 0
    observations = env.observe()["policy"]
    while tap.is_open:
        observations = env.step(source(observations)).observations["policy"]
        if tap.controls.resets != resets:
            resets = tap.controls.resets
            observations = env.reset()["policy"]


class Sliders:
    """Actions that aim all hands at the sliders.

    Args:
        env: whose actions are ``position``, of all 18 controls.
        tap: knows the sliders.
        start: where the sliders start, 18 values.
    """

    def __init__(self, env: DexHandEnv, tap: Tap, start: tuple[float, ...]) -> None:
        self._env = env
        self._tap = tap
        self._start = start

    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        wanted = observations.new_tensor(self._tap.controls.sliders or self._start)
        controls = self._env.hand.controls
        actions = 2.0 * (wanted - controls.lower) / (controls.upper - controls.lower) - 1.0
        return actions.expand(self._env.num_envs, -1)


class NewestPolicy:
    """The policy of the newest checkpoint that ``--checkpoint`` names; one that cannot be used is passed over.

    Args:
        run: names the checkpoint.
        env: where it plays.
        tap: shows which one plays.

    Raises:
        UserError: the first one cannot be used.
    """

    def __init__(self, run: ResolvedRun, env: DexHandEnv, tap: Tap) -> None:
        assert run.options.checkpoint is not None
        self._named = run.options.checkpoint
        self._run = run
        self._env = env
        self._tap = tap
        self._look_at = 0.0
        self._playing = ""
        self._seen: tuple[Path, int] | None = self._find()
        self._policy = self._load(self._seen)

    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_S
            self._renew()
        return self._policy(observations)

    def _find(self) -> tuple[Path, int]:
        try:
            path = find_checkpoint(self._named, RUNS, for_test=False)
            return path, path.stat().st_mtime_ns
        except FileNotFoundError as error:
            raise UserError("--checkpoint", f"{error.filename} has gone") from None

    def _renew(self) -> None:
        seen, self._seen = self._seen, None  # what comes back after it had gone is loaded again
        try:
            self._seen = self._find()
            if self._seen != seen:
                self._policy = self._load(self._seen)
        except UserError as error:
            note = f"{self._playing}; newer: {error}"
            if self._tap.note != note:
                print(f"{error}; playing on with what was loaded", flush=True)
            self._tap.note = note

    def _load(self, found: tuple[Path, int]) -> Policy:
        from dexhand_env.rl.checkpoint import load_checkpoint
        from dexhand_env.rl.policy import Policy

        path = found[0]
        state = load_checkpoint(path)
        policy = Policy(state, self._env.device, f"checkpoint {path}")
        policy.check(self._run.task.task, self._env.interface)
        self._playing = f"{path}, iteration {state['iteration']}"
        print(f"playing {self._playing}", flush=True)
        self._tap.note = self._playing
        return policy
