"""rl_games' PPO without what makes a GPU wait, and with the right value where an episode times out.

All else on the CPU is what rl_games computes, bit for bit. rl_games takes the value of the observation before the last
step for what an episode would still have brought; here it is that of the last observation.

rl_games asks the GPU for an answer in every step of a rollout (which episodes have ended? is every standard deviation
positive?) and after every minibatch (how far has the policy moved?). Each answer is waited for, and until then nothing
new is given to the GPU to do.
"""

from __future__ import annotations

import math
import time
from typing import Any, Dict, Optional, Tuple

import torch
import torch.distributed as dist
from rl_games.algos_torch.a2c_continuous import A2CAgent
from rl_games.common.a2c_common import swap_and_flatten01

from dexhand_env.rl.captured_step import CapturedStep, Minibatch, Step
from dexhand_env.rl.device_rate import DeviceRate
from dexhand_env.rl.time_limits import TimeLimits

# A ``schedule_type`` that rl_games does not know, so that it does not ask for the KL divergence to adapt the rate.
ADAPTED_HERE = "on the device"


def sample(mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Normal random numbers. torch.normal gives the same on the CPU, and has a GPU wait to check the deviations."""
    if mean.device.type == "cpu":
        return torch.normal(mean, deviation)
    return torch.randn_like(mean).mul_(deviation).add_(mean)


class PPO(A2CAgent):
    """See the module. ``learn_on_device`` chooses how minibatches are learned from.

    Attributes:
        device_rate: the learning rate where the GPU adapts it; None where rl_games does.
    """

    device_rate: Optional[DeviceRate] = None
    obs: Dict[str, torch.Tensor]
    dones: torch.Tensor
    entropy_coef: float
    normalize_advantage: bool
    schedule_type: str
    _step: Step
    _time_limits: TimeLimits

    def learn_on_device(self, captured: bool) -> None:
        """Keep the learning rate on the device and do nothing in a minibatch that must be waited for.

        To be called when the optimizer has its state: again after that was loaded.

        Args:
            captured: replay the step as one CUDA graph, what several processes say to each other in it included. Needs
                GPUs.
        """
        aim = self.config["kl_threshold"]
        self.device_rate = DeviceRate(self.optimizer, self.last_lr, aim, torch.device(self.ppo_device))
        if self.schedule_type == "legacy":  # after each minibatch
            self.schedule_type = ADAPTED_HERE
        self._step = CapturedStep(self._learn, self.model) if captured else self._learn

    def end_learning(self) -> None:
        """Give up what a captured step holds. To be called before the processes part."""
        if self.device_rate is not None and isinstance(self._step, CapturedStep):
            self._step.release()

    # Rollout

    def init_tensors(self) -> None:
        """Make what a rollout is kept in."""
        super().init_tensors()
        self.normalize_advantage = self.normalize_advantage and self.batch_size > 1  # one sample has no deviation
        size = (self.state_shape if self.has_central_value else self.obs_shape)[0]
        self._time_limits = TimeLimits(
            self.horizon_length, self.vec_env.max_episode_steps, self.num_actors, size, torch.device(self.ppo_device)
        )

    def get_action_values(self, obs: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
        """Actions and what the networks say of them; rl_games' ``ModelA2CContinuousLogStd`` but for ``sample``."""
        model = self.model
        model.eval()
        with torch.no_grad():
            seen = {"obs": model.norm_obs(obs["obs"]), "is_train": False}
            mean, log_deviation, value, _ = model.a2c_network(seen)
            deviation = torch.exp(log_deviation)
            actions = sample(mean, deviation)
            neglogp = model.neglogp(actions, mean, deviation, log_deviation)
            value = self.get_values(obs) if self.has_central_value else model.denorm_value(value)
        return {"neglogpacs": neglogp, "values": value, "actions": actions, "mus": mean, "sigmas": deviation}

    def get_values(self, obs: Dict[str, torch.Tensor]) -> torch.Tensor:
        """The values of observations, (num_envs, 1)."""
        if self.has_central_value:
            return super().get_values(obs)
        # Actions are drawn too, as rl_games does: what is drawn later depends on it.
        return self.get_action_values(obs)["values"]

    def _value(self, observations: torch.Tensor) -> torch.Tensor:
        """The values (n, 1) of what the network that values sees, (n, size); no random number is drawn."""
        if self.has_central_value:
            return self.central_value_net.get_value({"states": observations})
        self.model.eval()
        _, _, value, _ = self.model.a2c_network({"obs": self.model.norm_obs(observations), "is_train": False})
        return self.model.denorm_value(value)

    def play_steps(self) -> Dict[str, Any]:
        """A rollout in rl_games' form; episodes are counted by the observer alone, on the device."""
        buffer, stepping_s = self.experience_buffer, 0.0
        valued = "states" if self.has_central_value else "obs"
        for step in range(self.horizon_length):
            result = self.get_action_values(self.obs)
            buffer.update_data("obses", step, self.obs["obs"])
            buffer.update_data("dones", step, self.dones)
            for name in self.update_list:
                buffer.update_data(name, step, result[name])
            if self.has_central_value:
                buffer.update_data("states", step, self.obs["states"])
            begun = time.perf_counter()
            self.obs, rewards, self.dones, infos = self.env_step(result["actions"])
            stepping_s += time.perf_counter() - begun
            buffer.update_data("rewards", step, self.rewards_shaper(rewards))
            if self.value_bootstrap:
                final = infos["final_observations"]
                self._time_limits.note(step, infos["time_outs"], None if final is None else final[valued])
            self.algo_observer.process_infos(infos, None)
        values = buffer.tensor_dict["values"]
        if self.value_bootstrap:
            with torch.no_grad():
                buffer.tensor_dict["rewards"].add_(self.gamma * self._time_limits.values(self._value))
        advantages = self.discount_values(
            self.dones.float(),
            self.get_values(self.obs),
            buffer.tensor_dict["dones"].float(),
            values,
            buffer.tensor_dict["rewards"],
        )
        batch = buffer.get_transformed_list(swap_and_flatten01, self.tensor_list)
        batch.update(
            returns=swap_and_flatten01(advantages + values), played_frames=self.batch_size, step_time=stepping_s
        )
        return batch

    # Update

    def update_lr(self, lr: float) -> None:
        """Set the optimizer's learning rate. All processes found the same, from the same KL divergence.

        rl_games would also send it from the first to the others, after each minibatch and cut to single precision.
        """
        if self.device_rate is not None:
            self.device_rate.set(lr)
            return
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def update_epoch(self) -> int:
        """Begin an iteration: count it, and go on with ``kl_threshold_last`` and ``sigma_last`` (PPOConfig)."""
        iteration = int(super().update_epoch())
        past_half = max(0.0, 2.0 * iteration / self.max_epochs - 1.0)
        if "kl_threshold_last" in self.config:
            first, last = self.config["kl_threshold"], self.config["kl_threshold_last"]
            self.scheduler.kl_threshold = first + past_half * (last - first)
            if self.device_rate is not None:
                self.device_rate.aim_at(self.scheduler.kl_threshold)
        if "sigma_last" in self.config and past_half > 0.0:
            log_deviation = self.model.a2c_network.sigma
            log_deviation.data.clamp_(max=past_half * math.log(self.config["sigma_last"]))
        return iteration

    def read_rate(self) -> None:
        """Take note of the rate that the device has adapted; a GPU is waited for."""
        if self.device_rate is not None and self._adapts_here:
            self.last_lr = self.device_rate.get()

    @property
    def _adapts_here(self) -> bool:
        return self.is_adaptive_lr and self.schedule_type == ADAPTED_HERE

    def train_actor_critic(self, minibatch: Minibatch) -> Tuple[Any, ...]:
        """Learn from a minibatch; rl_games' tuple."""
        if self.device_rate is None:
            return super().train_actor_critic(minibatch)
        self.set_train()
        losses, mean, deviation = self._step(minibatch)
        a_loss, c_loss, entropy, kl, b_loss, learning_rate = losses.clone().unbind()  # the next step writes over them
        if (
            self.schedule_type == ADAPTED_HERE and not self.is_adaptive_lr
        ):  # these schedules do not look at the KL divergence
            self.last_lr, self.entropy_coef = self.scheduler.update(
                self.last_lr, self.entropy_coef, self.epoch_num, 0, kl_dist=0.0
            )
            self.update_lr(self.last_lr)
        return a_loss, c_loss, entropy, kl, learning_rate, 1.0, mean, deviation, b_loss

    def _learn(self, minibatch: Minibatch) -> Tuple[torch.Tensor, ...]:
        """Everything of a minibatch that happens on the device: losses (6,), means and deviations of the samples."""
        assert self.device_rate is not None
        used_rate = self.device_rate.rate.clone()
        self.calc_gradients(minibatch)
        a_loss, c_loss, entropy, kl, _, _, mean, deviation, b_loss = self.train_result
        if self._adapts_here:
            if self.multi_gpu:
                dist.all_reduce(kl)
                kl /= self.world_size
            self.device_rate.adapt(kl)
        losses = torch.stack([each.detach() for each in (a_loss, c_loss, entropy, kl, b_loss, used_rate)])
        return losses, mean, deviation
