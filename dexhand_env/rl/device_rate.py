"""A learning rate that the GPU adapts by itself."""

from __future__ import annotations

from typing import Any, Dict, Optional

import torch

# rl_games' AdaptiveScheduler (common/schedulers.py, 1.6.5).
FACTOR, LEAST, MOST = 1.5, 1e-6, 1e-2


class DeviceRate:
    """The learning rate of an optimizer as a number on the device, which steps read there.

    Args:
        optimizer: fused Adam, which takes such a rate; it gets this one.
        rate: to begin with.
        kl_threshold: how far a minibatch should move the policy, to begin with.
        device: of the weights.

    Attributes:
        rate: a scalar tensor, single precision, for that is what fused Adam reads.
        kl_threshold: a scalar tensor too.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, rate: float, kl_threshold: float, device: torch.device
    ) -> None:
        self.rate = torch.full((), rate, device=device)
        self.kl_threshold = torch.full((), kl_threshold, device=device)
        for group in optimizer.param_groups:
            # Tells Adam that it may be captured; fused, it does the same either way.
            group.update(lr=self.rate, capturable=device.type == "cuda")

    def get(self) -> float:
        """The rate; a GPU is waited for."""
        return float(self.rate)

    def set(self, rate: float) -> None:
        """Change it from outside."""
        self.rate.fill_(rate)

    def aim_at(self, kl_threshold: float) -> None:
        """Change how far a minibatch should move the policy."""
        self.kl_threshold.fill_(kl_threshold)

    def adapt(self, kl: torch.Tensor) -> None:
        """rl_games' adaptive schedule: lower where a minibatch moved the policy too far, higher where not far enough.

        Args:
            kl: how far the minibatch moved the policy, a scalar tensor.
        """
        lower, higher = (self.rate / FACTOR).clamp(min=LEAST), (self.rate * FACTOR).clamp(max=MOST)
        kept = torch.where(kl > 2.0 * self.kl_threshold, lower, self.rate)
        self.rate.copy_(torch.where(kl < 0.5 * self.kl_threshold, higher, kept))


def plain_optimizer_state(optimizer: torch.optim.Optimizer, rate: float) -> Dict[str, Any]:
    """The optimizer's state with a plain number for its rate: checkpoints do not tell where the rate was."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group.update(lr=rate, capturable=False)
    return state


def load_optimizer(optimizer: torch.optim.Optimizer, state: Dict[str, Any], rate: Optional[float] = None) -> None:
    """Give an optimizer the state of a checkpoint, with the weight decay of the configuration.

    Args:
        optimizer: as the configuration makes it.
        state: of the checkpoint.
        rate: a learning rate other than the checkpoint's.
    """
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, decay in zip(optimizer.param_groups, decays):
        group["weight_decay"] = decay
        if rate is not None:
            group["lr"] = rate
