"""Running observation and value normalisers that learn from the batches of several processes."""

from __future__ import annotations

from typing import Callable, Optional

import torch
from rl_games.algos_torch.running_mean_std import RunningMeanStd


class JoinedMeanStd(RunningMeanStd):
    """rl_games' running normaliser, fed with every process's batch.

    After each batch all processes have the same bits, which are those of one process fed with the joined batches but
    for rounding. Moments of batches of one size are joined by the law of total variance.

    Args:
        own: the normaliser to go on from.
        processes: their number.
        mean: of everybody's tensor, the same bits in all processes.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    count: torch.Tensor

    def __init__(self, own: RunningMeanStd, processes: int, mean: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(tuple(own.running_mean.shape), own.epsilon)
        self.load_state_dict(own.state_dict())
        self.to(own.running_mean.device)
        self._processes = processes
        self._mean = mean

    def forward(
        self,
        input: torch.Tensor,  # noqa: A002
        denorm: bool = False,
        mask: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        if not self.training:
            return super().forward(input, denorm, mask)
        own_mean, own_var = input.mean(0).double(), input.var(0, unbiased=False).double()
        mean = self._mean(own_mean)
        var = self._mean(own_var + (own_mean - mean) ** 2)
        self.running_mean, self.running_var, self.count = self._update_mean_var_count_from_moments(
            self.running_mean, self.running_var, self.count, mean, var, input.size(0) * self._processes
        )
        self.eval()
        try:
            return super().forward(input, denorm, mask)
        finally:
            self.train()
