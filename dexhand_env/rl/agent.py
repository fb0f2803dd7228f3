"""rl_games' PPO with checkpoints, statistics and resumption that hold (docs/training.md says what stock lacks)."""

from __future__ import annotations

import contextlib
import copy
import io
import time
from pathlib import Path
from typing import Any, Callable, Dict

import torch
from rl_games.algos_torch.a2c_continuous import A2CAgent
from rl_games.algos_torch.torch_ext import mean_list
from rl_games.common.tr_helpers import DefaultRewardsShaper

from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.adapter import RlGamesEnv, StatisticsObserver
from dexhand_env.rl.checkpoint import BEST, checkpoint_name, save_checkpoint
from dexhand_env.rl.statistics import TrainingStatistics

# Called after every iteration with the row of the history; true asks training to stop after this iteration.
AfterIteration = Callable[[Dict[str, float]], bool]


class TrainingDiverged(Exception):
    """A loss or a weight became NaN or infinite."""


class DexHandAgent(A2CAgent):
    """PPO on a :class:`DexHandEnv`.

    Args:
        params: rl_games' ``params``, complete and checked; ``config.max_epochs`` is the total number of iterations.
        env: the environment.
        task, seed: kept in checkpoints, to tell what they are of.
        folder: the run folder; checkpoints go to ``nn/``, TensorBoard events to ``summaries/``.
        device: where the learner runs.
    """

    def __init__(
        self, params: Dict[str, Any], env: DexHandEnv, task: str, seed: int, folder: Path, device: torch.device
    ) -> None:
        self.statistics = TrainingStatistics(env.num_envs, env.outcome_names, env.device)
        adapter = RlGamesEnv(env, device)
        info = adapter.get_env_info()
        config = copy.deepcopy(params["config"])  # rl_games puts its objects into it
        config.update(
            name=task,
            env_name=task,
            env_info=info,
            vec_env=adapter,
            num_actors=env.num_envs,
            games_to_track=env.num_envs,
            device=str(device),
            train_dir=str(folder.parent),
            full_experiment_name=folder.name,
            reward_shaper=DefaultRewardsShaper(**config["reward_shaper"]),
            features={"observer": StatisticsObserver(self.statistics)},
            print_stats=False,
        )
        # rl_games prints as it is made; what it says stands in args.yaml and train_config.yaml.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__("run", {**params, "config": config})
        self._env = env
        self._checkpoint_folder = folder / "nn"
        self._policy_description = {
            "task": task,
            "seed": seed,
            "network": {key: params[key] for key in ("algo", "model", "network")},
            "observation_size": info["observation_space"].shape[0],
            "num_actions": env.num_actions,
            "normalize_input": bool(self.normalize_input),
            "normalize_value": bool(self.normalize_value),
        }
        self.best_return = float("-inf")
        self.training_seconds = 0.0
        self.training_cpu_seconds = 0.0
        self.init_tensors()

    # Checkpoints

    def get_full_state_weights(self) -> Dict[str, Any]:
        """Everything that decides how training goes on: tensors and plain values only."""
        prefix = "_orig_mod."  # of a compiled model
        weights = self.model.state_dict().items()
        model = {name[len(prefix) :] if name.startswith(prefix) else name: value for name, value in weights}
        state: Dict[str, Any] = {
            **self._policy_description,
            "model": model,
            **self._critic_state(),
            "optimizer": self.optimizer.state_dict(),
            "iteration": self.epoch_num,
            "frames": self.frame,
            "learning_rate": float(self.last_lr),
            "entropy_coefficient": float(self.entropy_coef),
            "best_return": self.best_return,
            "statistics": self.statistics.get_state(),
            "env_state": self._env.get_state(),
            "rng_state": {"cpu": torch.get_rng_state()},
        }
        if self.device_is_cuda:
            state["rng_state"]["cuda"] = torch.cuda.get_rng_state(self.ppo_device)
        return state

    def _critic_state(self) -> Dict[str, Any]:
        """The critic's own network and optimizer, where it has them."""
        if not self.has_central_value:
            return {}
        critic = self.central_value_net
        return {
            "critic": critic.state_dict(),
            "critic_optimizer": critic.optimizer.state_dict(),
            "critic_progress": {"epoch_num": critic.epoch_num, "frame": critic.frame, "lr": float(critic.lr)},
        }

    @property
    def device_is_cuda(self) -> bool:
        """Whether the learner runs on a GPU."""
        return str(self.ppo_device).startswith("cuda")

    def save(self, fn: str) -> None:
        """Write a checkpoint under ``nn/<fn>``."""
        save_checkpoint(self._checkpoint_folder / fn, self.get_full_state_weights())

    def set_full_state_weights(self, weights: Dict[str, Any], set_epoch: bool = True) -> None:
        """Go on from what ``get_full_state_weights`` gave."""
        self.model.load_state_dict(weights["model"])
        self.optimizer.load_state_dict(weights["optimizer"])
        if self.has_central_value:
            critic = self.central_value_net
            critic.load_state_dict(weights["critic"])
            critic.optimizer.load_state_dict(weights["critic_optimizer"])
            for name, value in weights["critic_progress"].items():
                setattr(critic, name, value)
        self.epoch_num = weights["iteration"]
        self.frame = weights["frames"]
        self.last_lr = weights["learning_rate"]
        self.entropy_coef = weights["entropy_coefficient"]
        self.best_return = weights["best_return"]
        self.statistics.set_state(weights["statistics"])
        self._env.set_state(weights["env_state"])
        torch.set_rng_state(weights["rng_state"]["cpu"])
        if self.device_is_cuda and "cuda" in weights["rng_state"]:
            torch.cuda.set_rng_state(weights["rng_state"]["cuda"], self.ppo_device)

    # Training

    def train(self, after_iteration: AfterIteration = lambda row: False) -> None:
        """Iterate until ``max_epochs`` iterations are done in total, or ``after_iteration`` says stop.

        A checkpoint is written every ``save_frequency`` iterations and after the last; ``checkpoint_best.pth``
        whenever the mean return of the latest num_envs episodes exceeds every earlier one.

        Raises:
            TrainingDiverged: NaN or infinity; checkpoints written before that are good.
        """
        self.obs = self.env_reset()
        while self.epoch_num < self.max_epochs:
            row = self._iterate()
            stop = after_iteration(row)
            self._save_best(row)
            last = stop or self.epoch_num >= self.max_epochs
            if last or (self.save_freq > 0 and self.epoch_num % self.save_freq == 0):
                self.save(checkpoint_name(self.epoch_num))
            if stop:
                return

    def _iterate(self) -> Dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        self.update_epoch()
        try:
            result = self.train_epoch()
        except (RuntimeError, ValueError) as error:
            # torch refuses to sample from what is not a number.
            if torch.isfinite(self.obs["obs"]).all():
                raise
            raise TrainingDiverged(f"an observation is not finite in iteration {self.epoch_num}") from error
        _, _, _, seconds, a_losses, c_losses, b_losses, entropies, kls, learning_rate, _ = result
        self.dataset.update_values_dict(None)
        self.frame += self.curr_frames
        self.training_seconds += time.perf_counter() - wall
        self.training_cpu_seconds += time.process_time() - cpu
        row: Dict[str, float] = {
            "iteration": self.epoch_num,
            "frames": self.frame,
            "seconds": self.training_seconds,
            "cpu_seconds": self.training_cpu_seconds,
            **self.statistics.finish_iteration(),
            "policy_loss": mean_list(a_losses).item(),
            "value_loss": mean_list(c_losses).item(),
            "entropy": mean_list(entropies).item(),
            "bounds_loss": mean_list(b_losses).item() if b_losses else 0.0,
            "kl": mean_list(kls).item(),
            "learning_rate": float(learning_rate),
            "frames_per_second": self.curr_frames / seconds,
        }
        counters = self._env.sim.counters()
        row["nan_resets"], row["contact_overflows"] = counters.nan_resets, counters.contact_overflows
        self._check_finite(row)
        for name, value in row.items():
            if name not in ("iteration", "frames"):
                self.writer.add_scalar(_tag(name), value, self.frame)
        return row

    def _check_finite(self, row: Dict[str, float]) -> None:
        for name in ("policy_loss", "value_loss", "kl"):
            if not abs(row[name]) < float("inf"):
                raise TrainingDiverged(f"{name} is {row[name]} in iteration {self.epoch_num}")
        # The losses are those before the last update, which may have broken the weights all the same.
        for name, values in self.model.named_parameters():
            if not bool(torch.isfinite(values).all()):
                raise TrainingDiverged(f"{name} is not finite after iteration {self.epoch_num}")

    def _save_best(self, row: Dict[str, float]) -> None:
        recent = self.statistics.recent()
        if "return" in row and recent is not None and recent.episode_return > self.best_return:
            self.best_return = recent.episode_return
            if self.epoch_num >= self.save_best_after:
                self.save(BEST)


def _tag(name: str) -> str:
    """TensorBoard tag of a history column: losses/, info/, episode/, performance/ or what it already has."""
    groups = {
        "losses": ("policy_loss", "value_loss", "entropy", "bounds_loss"),
        "info": ("kl", "learning_rate", "nan_resets", "contact_overflows"),
        "episode": ("return", "success_rate", "episode_length"),
        "performance": ("seconds", "cpu_seconds", "frames_per_second"),
    }
    return next((f"{group}/{name}" for group, names in groups.items() if name in names), name)
