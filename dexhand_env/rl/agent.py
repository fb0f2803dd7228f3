"""rl_games' PPO with checkpoints, statistics and resumption that hold (docs/training.md says what stock lacks)."""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import torch
from rl_games.algos_torch.torch_ext import mean_list
from rl_games.common.tr_helpers import DefaultRewardsShaper
from tensorboardX import SummaryWriter

from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.adapter import RlGamesEnv, StatisticsObserver
from dexhand_env.rl.checkpoint import BEST, checkpoint_name, save_checkpoint
from dexhand_env.rl.curriculum import CurriculumProgress
from dexhand_env.rl.device_rate import load_optimizer, plain_optimizer_state
from dexhand_env.rl.distributed import ALONE, Processes
from dexhand_env.rl.divergence import TrainingDiverged, explosion, first_not_finite, not_finite, terms_not_finite
from dexhand_env.rl.events import tag
from dexhand_env.rl.ppo import PPO
from dexhand_env.rl.statistics import TrainingStatistics

# Called after every iteration with the row of the history; true asks training to stop after this iteration.
AfterIteration = Callable[[Dict[str, float]], bool]


class DexHandAgent(PPO):
    """PPO on a :class:`DexHandEnv`.

    Args:
        params: rl_games' ``params``, complete and checked; ``config.max_epochs`` is the total number of iterations.
        env: the environment.
        task, seed: kept in checkpoints, to tell what they are of.
        folder: the run folder; checkpoints go to ``nn/``, TensorBoard events to ``summaries/``.
        device: where the learner runs.
        processes: those that train this policy together, each on an environment of its own; the first one writes.
        curriculum: at whose level the environment is; None where the configuration stays as it is.
        returns_digest: of what decides returns; kept in checkpoints.

    Attributes:
        same_returns: whether returns mean the same as in the checkpoint that training goes on from.
    """

    writer: Any

    def __init__(
        self,
        params: Dict[str, Any],
        env: DexHandEnv,
        task: str,
        seed: int,
        folder: Path,
        device: torch.device,
        processes: Processes = ALONE,
        curriculum: Optional[CurriculumProgress] = None,
        returns_digest: str = "",
    ) -> None:
        self._processes = processes
        self._curriculum = curriculum
        self.statistics = TrainingStatistics(env.num_envs, env.outcome_names, env.device, processes)
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
            seq_length=1,  # no recurrent policies: any number of samples can be learned from
            device=str(device),
            full_experiment_name=folder.name,
            reward_shaper=DefaultRewardsShaper(**config["reward_shaper"]),
            features={"observer": StatisticsObserver(self.statistics)},
            print_stats=False,
        )
        # rl_games prints as it is made; what it says stands in args.yaml and train_config.yaml.
        # It also makes folders and a TensorBoard file, which are wanted once training begins and not before.
        with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as nowhere:
            config["train_dir"] = nowhere
            super().__init__("run", {**params, "config": config})
            self.writer.close()
            self._learn_together()
        self._write_to(SummaryWriter(write_to_disk=False))
        self._env = env
        self._folder = folder
        critic = params["config"].get("central_value_config")
        self._policy_description = {
            "task": task,
            "interface": (env.interface if self.has_central_value else env.interface.without_critic()).to_plain(),
            "seed": seed,
            "network": {key: params[key] for key in ("algo", "model", "network")},
            "observation_size": info["observation_space"].shape[0],
            "num_actions": env.num_actions,
            "normalize_input": bool(self.normalize_input),
            "normalize_value": bool(self.normalize_value),
            **({} if critic is None else {"critic_network": critic["network"]}),
            "first_learning_rate": params["config"]["learning_rate"],
            "returns_digest": returns_digest,
        }
        self.same_returns = True
        self.best_return = float("-inf")
        self.training_seconds = 0.0
        self.training_cpu_seconds = 0.0
        self.init_tensors()
        self._choose_device_learning()

    # Several processes

    def _learn_together(self) -> None:
        """Have rl_games average gradients and KL divergences over the processes, and join the normalisers.

        It believes itself alone while it is made, for else it would start a process group of its own, always by NCCL.
        """
        networks = [self, self.central_value_net] if self.has_central_value else [self]
        for network in networks:
            network.multi_gpu, network.world_size = self._processes.size > 1, self._processes.size
            self._processes.join_normalisers(network.model)
        if self.normalize_value:
            self.value_mean_std = networks[-1].model.value_mean_std

    def open_folder(self) -> None:
        """Make the run folder with its parts, TensorBoard's file among them; only the first process writes there."""
        if self._processes.is_first:
            (self._folder / "nn").mkdir(parents=True, exist_ok=True)
            self._write_to(SummaryWriter(str(self._folder / "summaries")))

    def _write_to(self, writer: SummaryWriter) -> None:
        self.writer = writer
        if self.has_central_value:
            self.central_value_net.writter = writer

    def _choose_device_learning(self) -> None:
        """On a GPU a minibatch is a CUDA graph, the talk of several included. Mixed precision asks the CPU anyhow."""
        if self.device_is_cuda and not self.mixed_precision:
            self.learn_on_device(captured=True)

    # Checkpoints

    def get_full_state_weights(self) -> Dict[str, Any]:
        """Everything that decides how training goes on: tensors and plain values only. For all processes."""
        state: Dict[str, Any] = {
            **self._policy_description,
            "model": dict(self.model.state_dict()),
            **self._critic_state(),
            "optimizer": plain_optimizer_state(self.optimizer, float(self.last_lr)),
            "iteration": self.epoch_num,
            "frames": self.frame,
            "learning_rate": float(self.last_lr),
            "best_return": self.best_return,
            "statistics": self.statistics.get_state(),
            **({} if self._curriculum is None else {"curriculum": self._curriculum.get_state()}),
            **self._process_state(),
        }
        if self._processes.size > 1:
            state["other_processes"] = self._processes.gather(_on_cpu(self._process_state()))[1:]
        return state

    def _process_state(self) -> Dict[str, Any]:
        """What each process has of its own."""
        rng_state = {"cpu": torch.get_rng_state()}
        if self.device_is_cuda:
            rng_state["cuda"] = torch.cuda.get_rng_state(self.ppo_device)
        return {"env_state": self._env.get_state(), "rng_state": rng_state}

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
        """Write a checkpoint under ``nn/<fn>``. For all processes."""
        state = self.get_full_state_weights()
        if self._processes.is_first:
            save_checkpoint(self._folder / "nn" / fn, state)

    def set_full_state_weights(self, weights: Dict[str, Any], set_epoch: bool = True) -> None:
        """Go on from what ``get_full_state_weights`` gave."""
        self.model.load_state_dict(weights["model"])
        self.epoch_num = weights["iteration"]
        self.frame = weights["frames"]
        if self.is_adaptive_lr or self.linear_lr:  # a constant one is the configuration's
            self.last_lr = weights["learning_rate"]
        load_optimizer(self.optimizer, weights["optimizer"], self.last_lr)
        if self.has_central_value:
            critic, progress = self.central_value_net, weights["critic_progress"]
            critic.load_state_dict(weights["critic"])
            critic.epoch_num, critic.frame = progress["epoch_num"], progress["frame"]
            kept = critic.linear_lr or critic.lr == progress["lr"]
            critic.lr = progress["lr"] if kept else critic.lr
            load_optimizer(critic.optimizer, weights["critic_optimizer"], None if kept else critic.lr)
        self._choose_device_learning()  # once more, for loading has replaced the optimizer's state
        self.best_return = weights["best_return"]
        self.statistics.set_state(weights["statistics"])
        digest = self._policy_description["returns_digest"]
        self.same_returns = weights.get("returns_digest", digest) == digest
        if not self.same_returns:
            self._begin_returns_anew()
        if self._curriculum is not None:
            self._curriculum.set_state(weights["curriculum"])
            self._env.use(self._curriculum.config)
        own = [weights, *weights.get("other_processes", [])][self._processes.rank]
        self._env.set_state(own["env_state"])
        torch.set_rng_state(own["rng_state"]["cpu"])
        if self.device_is_cuda and "cuda" in own["rng_state"]:
            torch.cuda.set_rng_state(own["rng_state"]["cuda"], self.ppo_device)

    # Training

    def train(
        self,
        after_iteration: AfterIteration = lambda row: False,
        before_save: Callable[[], None] = lambda: None,
    ) -> bool:
        """Iterate until ``max_epochs`` iterations are done in total, or ``after_iteration`` says stop.

        A checkpoint is written every ``save_frequency`` iterations and after the last; ``checkpoint_best.pth``
        whenever the mean return of the latest num_envs episodes exceeds every earlier one. For all processes, whose
        ``after_iteration`` must say the same. ``before_save`` is called before each checkpoint is written.

        Returns:
            Whether ``after_iteration`` said stop.

        Raises:
            TrainingDiverged: see :mod:`dexhand_env.rl.divergence`; checkpoints written before that are good.
        """
        self._processes.copy_first(self.model)
        if self.has_central_value:
            self._processes.copy_first(self.central_value_net.model)
        self.obs = self.env_reset()
        while self.epoch_num < self.max_epochs:
            row = self._iterate()
            stop = after_iteration(row)
            self._save_best(row, before_save)
            last = stop or self.epoch_num >= self.max_epochs
            if last or (self.save_freq > 0 and self.epoch_num % self.save_freq == 0):
                before_save()
                self.save(checkpoint_name(self.epoch_num))
            if stop:
                return True
        return False

    def play_steps(self) -> Dict[str, Any]:
        """A rollout. The last that a process does by itself in an iteration: what ends it there ends it in all."""
        return self._processes.agree(self._play_steps)

    def _play_steps(self) -> Dict[str, Any]:
        try:
            return super().play_steps()
        except (RuntimeError, ValueError) as error:
            # torch refuses to sample from what is not a number: "normal expects all elements of std >= 0.0".
            broken = first_not_finite([("an observation", self.obs["obs"]), *self._learned()])
            if broken is None and "elements of std" not in str(error):
                raise
            what = f"{broken or 'the standard deviation of an action'} is not finite"
            raise TrainingDiverged(what, self.epoch_num) from error

    def _iterate(self) -> Dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        self._widen()
        self.update_epoch()
        _, _, _, seconds, a_losses, c_losses, b_losses, entropies, kls, learning_rate, _ = self.train_epoch()
        # A GPU whose captured step waits for a process that has ended waits for ever. So the processes ask each other
        # before they wait for their GPUs; one that ends after that is the launcher's business.
        self._processes.gather(None)
        self.read_rate()
        self.dataset.update_values_dict(None)
        frames = self.curr_frames * self._processes.size
        self.frame += frames
        self.training_seconds += time.perf_counter() - wall
        counters = self._env.sim.counters()
        losses = {
            "policy_loss": mean_list(a_losses).item(),
            "value_loss": mean_list(c_losses).item(),
            "entropy": mean_list(entropies).item(),
            "bounds_loss": mean_list(b_losses).item() if b_losses else 0.0,
            "kl": mean_list(kls).item(),
        }
        counts = {"nan_resets": counters.nan_resets}
        if counters.contact_overflows is not None:
            counts["contact_overflows"] = counters.contact_overflows
        totals = self._processes.total({"cpu_seconds": time.process_time() - cpu, **losses, **counts})
        self.training_cpu_seconds += totals["cpu_seconds"]
        row: Dict[str, float] = {
            "iteration": self.epoch_num,
            "frames": self.frame,
            "seconds": self.training_seconds,
            "cpu_seconds": self.training_cpu_seconds,
            **self.statistics.finish_iteration(),
            **self._count_for_curriculum(),
            **{name: totals[name] / self._processes.size for name in losses},
            "learning_rate": float(learning_rate),
            "frames_per_second": frames / seconds,
            **{name: totals[name] for name in counts},
        }
        self._processes.agree(lambda: self._check(row))
        for name, value in row.items():
            if name not in ("iteration", "frames"):
                self.writer.add_scalar(tag(name), value, self.frame)
        return row

    def _widen(self) -> None:
        """Let episodes be harder from here on, if it is time.

        Before a rollout and not after one, so that a training that goes on from a checkpoint has observed the same.
        """
        if self._curriculum is not None and self._curriculum.advance():
            self._env.use(self._curriculum.config)
            self._begin_returns_anew()  # those of easier episodes say nothing about those to come

    def _begin_returns_anew(self) -> None:
        """Compare no return of an episode that has begun with those of later ones."""
        self.best_return = float("-inf")
        self.statistics.forget_recent(self._env.max_episode_steps)

    def _count_for_curriculum(self) -> Dict[str, int]:
        """Count the episodes of the iteration that ends; gives its column of the history."""
        if self._curriculum is None:
            return {}
        self._curriculum.count(self.statistics.latest)
        return {"curriculum_level": self._curriculum.level}

    def _learned(self) -> Iterator[Tuple[str, torch.Tensor]]:
        """Everything that an update changes, by name: weights, normalisers, optimizer."""
        yield from self.model.state_dict().items()
        optimizers = [self.optimizer]
        if self.has_central_value:
            yield from self.central_value_net.state_dict().items()
            optimizers.append(self.central_value_net.optimizer)
        for optimizer in optimizers:
            for moments in optimizer.state.values():
                yield from ((f"the optimizer's {name}", values) for name, values in moments.items())

    def _check(self, row: Dict[str, float]) -> None:
        """Let nothing that has diverged reach a checkpoint.

        Raises:
            TrainingDiverged: NaN or infinity in losses, weights, normalisers or optimizer, or an explosion.
        """
        rollout = self.experience_buffer.tensor_dict
        losses = {name: row[name] for name in ("policy_loss", "value_loss", "kl")}
        what = not_finite(losses, rollout, self._learned(), terms_not_finite(row))
        what = what or explosion(self.model, rollout, self.normalize_value)
        if what is not None:
            raise TrainingDiverged(what, self.epoch_num)

    def _save_best(self, row: Dict[str, float], before_save: Callable[[], None]) -> None:
        recent = self.statistics.recent()
        if "return" not in row or recent is None or self.epoch_num < self.save_best_after:
            return
        if recent.episode_return > self.best_return:
            self.best_return = recent.episode_return
            before_save()
            self.save(BEST)


def _on_cpu(state: Any) -> Any:
    """Nested dictionaries of tensors, on the CPU."""
    if isinstance(state, dict):
        return {name: _on_cpu(value) for name, value in state.items()}
    return state.cpu() if isinstance(state, torch.Tensor) else state
