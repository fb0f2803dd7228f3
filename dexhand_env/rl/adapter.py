"""The environment in the form that rl_games steps."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import gymnasium
import numpy as np
import torch
from rl_games.common.algo_observer import AlgoObserver
from rl_games.common.ivecenv import IVecEnv

from dexhand_env.env.vec_env import TIMEOUT, DexHandEnv
from dexhand_env.rl.statistics import TrainingStatistics


class RlGamesEnv(IVecEnv):
    """A :class:`DexHandEnv` behind rl_games' interface.

    Args:
        env: the environment; its observations and state stay where they are.
        device: where the learner runs.
    """

    def __init__(self, env: DexHandEnv, device: torch.device) -> None:
        self._env = env
        self._device = device

    def _observations(self, groups: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
        observations = {"obs": groups["policy"].to(self._device)}
        if "critic" in groups:
            observations["states"] = groups["critic"].to(self._device)
        return observations

    @property
    def max_episode_steps(self) -> int:
        """Control steps until an episode times out."""
        return self._env.max_episode_steps

    def reset(self) -> Dict[str, torch.Tensor]:
        """Current observations. Episodes were begun when the environment was made, or restored by ``set_env_state``."""
        return self._observations(self._env.observe())

    def step(self, actions: torch.Tensor) -> Tuple[Dict[str, torch.Tensor], torch.Tensor, torch.Tensor, Dict[str, Any]]:
        """One control step; ``infos`` has the time-outs, and the observations before new episodes began."""
        step = self._env.step(actions.to(self._env.device))
        final = None if step.final_observations is None else self._observations(step.final_observations)
        time_outs = (step.outcomes == TIMEOUT).to(self._device)
        infos = {"time_outs": time_outs, "final_observations": final, "step": step}
        observations = self._observations(step.observations)
        return observations, step.rewards.to(self._device), step.dones.to(self._device), infos

    def get_env_info(self) -> Dict[str, Any]:
        """Spaces: actions in [-1, 1], observations unbounded."""
        sizes = self._env.observation_sizes
        info = {
            "action_space": gymnasium.spaces.Box(-1.0, 1.0, (self._env.num_actions,), np.float32),
            "observation_space": _unbounded(sizes["policy"]),
            "agents": 1,
            "value_size": 1,
        }
        if "critic" in sizes:
            info["state_space"] = _unbounded(sizes["critic"])
        return info

    def get_env_state(self) -> Dict[str, Any]:
        return self._env.get_state()

    def set_env_state(self, env_state: Dict[str, Any]) -> None:
        self._env.set_state(env_state)


def _unbounded(size: int) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)


class StatisticsObserver(AlgoObserver):
    """Hands every step that rl_games takes to the statistics."""

    def __init__(self, statistics: TrainingStatistics) -> None:
        super().__init__()
        self._statistics = statistics

    def process_infos(self, infos: Dict[str, Any], done_indices: torch.Tensor) -> None:
        self._statistics.add(infos["step"])
