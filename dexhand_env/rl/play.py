"""Plays numbered episodes with a policy, each exactly once and to its end."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch

from dexhand_env.config.physics import Physics
from dexhand_env.env.randomness import NumberedEpisodes
from dexhand_env.env.task_checks import check_same_names
from dexhand_env.env.vec_env import SUCCESS, DexHandEnv, Watcher
from dexhand_env.intervals import wilson_interval
from dexhand_env.rl.policy import Policy
from dexhand_env.tasks.registry import make_env

# More worlds at once are no faster on a CPU; fewer would spend more time in the policy.
WORLDS_AT_ONCE = 1024


@dataclasses.dataclass
class EpisodeTable:
    """Played episodes, one entry an episode in every array.

    Attributes:
        seeds: what each episode was drawn from.
        success: bool.
        outcomes: how each ended (``success``, ``timeout``, ``nan`` or a failure's name).
        returns: sums of rewards.
        lengths: control steps.
        metrics: the task's metrics in each episode's last step.
        nan_resets: worlds that broke, in all.
        contact_overflows: steps without room for all contacts, in all; None where the simulator does not report them.
    """

    seeds: np.ndarray
    success: np.ndarray
    outcomes: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    metrics: Dict[str, np.ndarray]
    nan_resets: int
    contact_overflows: Optional[int]

    @property
    def episodes(self) -> int:
        """How many episodes were played."""
        return len(self.success)

    @property
    def successes(self) -> int:
        """How many of them succeeded."""
        return int(self.success.sum())

    @property
    def success_rate(self) -> float:
        """The fraction of episodes that succeeded."""
        return self.successes / self.episodes

    @property
    def interval(self) -> Tuple[float, float]:
        """Wilson's 95 % interval of the success rate."""
        return wilson_interval(self.successes, self.episodes)


STEP_BY_STEP = ("joint_positions", "object_poses", "target_positions")


@dataclasses.dataclass
class Trajectories:
    """Recorded motion of all episodes of one table.

    Attributes:
        joint_positions: (steps, episodes, 26), the state after each control step; constant after an episode's end.
        object_poses: (steps, episodes, objects, 7).
        target_positions: (steps, episodes, 3), m, None where the task has no target.
        goal_joints: (episodes, 26), None where the task has no goal posture.
        object_shapes: places in ``Simulation.object_shapes``, (episodes, objects).
        object_extents_m: (episodes, objects, 3).
    """

    joint_positions: np.ndarray
    object_poses: np.ndarray
    target_positions: Optional[np.ndarray]
    goal_joints: Optional[np.ndarray]
    object_shapes: np.ndarray
    object_extents_m: np.ndarray


def play_episodes(
    config: Any,
    physics: Physics,
    policy: Policy,
    first_seed: int,
    episodes: int,
    threads: int = 1,
    record: bool = False,
    worlds: int = WORLDS_AT_ONCE,
    device: str = "cpu",
    watcher: Optional[Watcher] = None,
) -> tuple[EpisodeTable, Optional[Trajectories]]:
    """Play the episodes drawn from ``first_seed ... first_seed + episodes - 1``, all to their end.

    Args:
        config: the task's configuration.
        physics: time step, substeps, solver.
        policy: played without noise; on the device of physics.
        first_seed: of the first episode.
        episodes: how many.
        threads: CPU threads of physics.
        record: keep the motion too.
        worlds: how many are played side by side.
        device: of physics, ``cpu`` or ``cuda:<index>``; the episodes are the same on any.
        watcher: is shown every step.

    Raises:
        UserError: a policy that does not fit the task.
    """
    tables: List[EpisodeTable] = []
    motions: List[Trajectories] = []
    for begin in range(0, episodes, worlds):
        seeds = range(first_seed + begin, first_seed + min(begin + worlds, episodes))
        randomness = NumberedEpisodes(seeds, torch.device(device))
        env = make_env(config, physics, len(seeds), randomness, device, threads, auto_reset=False, watcher=watcher)
        policy.check(config.task, env.interface)
        table, motion = _play(env, policy, np.array(seeds), record)
        tables.append(table)
        if motion is not None:
            motions.append(motion)
    return _join_tables(tables), _join_motions(motions) if record else None


def _numpy(values: torch.Tensor) -> np.ndarray:
    """A copy on the CPU."""
    return values.to("cpu", copy=True).numpy()


def _play(
    env: DexHandEnv, policy: Policy, seeds: np.ndarray, record: bool
) -> tuple[EpisodeTable, Optional[Trajectories]]:
    names = np.array(env.outcome_names)
    outcomes = torch.zeros(env.num_envs, dtype=torch.int64, device=env.device)
    metrics: Dict[str, torch.Tensor] = {}
    joints, objects, targets = [], [], []
    observations = env.observe()["policy"]
    while bool(env.active.any()):
        step = env.step(policy(observations))
        observations = step.observations["policy"]
        outcomes = torch.where(step.dones, step.outcomes, outcomes)
        if metrics:
            check_same_names(env.task, {"metrics": tuple(metrics)}, {"metrics": tuple(step.metrics)})
        for name, values in step.metrics.items():
            metrics[name] = torch.where(step.dones, values, metrics.get(name, values))
        if record:
            joints.append(_numpy(env.sim.joint_positions))
            objects.append(_numpy(torch.cat((env.sim.object_positions, env.sim.object_quaternions), dim=-1)))
            if (target := env.task.target_positions()) is not None:
                targets.append(_numpy(target))
    counters = env.sim.counters()
    table = EpisodeTable(
        seeds=seeds,
        success=_numpy(outcomes == SUCCESS),
        outcomes=names[_numpy(outcomes)],
        returns=_numpy(step.episode_returns),
        lengths=_numpy(step.episode_lengths),
        metrics={name: _numpy(values) for name, values in metrics.items()},
        nan_resets=counters.nan_resets,
        contact_overflows=counters.contact_overflows,
    )
    if not record:
        return table, None
    goal = env.task.goal_controls().get("controls")
    goal_joints = None if goal is None else _numpy(env.hand.controls.to_joints(goal))
    shapes, extents_m = env.sim.parameters.object_shapes, env.sim.parameters.object_extents_m
    assert shapes is not None
    assert extents_m is not None
    return table, Trajectories(
        np.stack(joints),
        np.stack(objects),
        np.stack(targets) if targets else None,
        goal_joints,
        _numpy(shapes),
        _numpy(extents_m),
    )


def _join_tables(tables: List[EpisodeTable]) -> EpisodeTable:
    def joined(field: str) -> np.ndarray:
        return np.concatenate([getattr(table, field) for table in tables])

    return EpisodeTable(
        **{field: joined(field) for field in ("seeds", "success", "outcomes", "returns", "lengths")},
        metrics={name: np.concatenate([t.metrics[name] for t in tables]) for name in tables[0].metrics},
        nan_resets=sum(table.nan_resets for table in tables),
        contact_overflows=_total([table.contact_overflows for table in tables]),
    )


def _total(counts: List[Optional[int]]) -> Optional[int]:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _join_motions(motions: List[Trajectories]) -> Trajectories:
    steps = max(len(motion.joint_positions) for motion in motions)

    def joined(field: str) -> Any:
        arrays = [getattr(motion, field) for motion in motions]
        if any(array is None for array in arrays):
            return None
        if field not in STEP_BY_STEP:
            return np.concatenate(arrays)
        # A batch that ended early stands still in its last state.
        return np.concatenate([np.concatenate((a, np.repeat(a[-1:], steps - len(a), axis=0))) for a in arrays], axis=1)

    return Trajectories(**{field.name: joined(field.name) for field in dataclasses.fields(Trajectories)})
