"""Several processes that train one policy: ``torch.distributed``, by gloo between CPUs and by NCCL between GPUs."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from types import TracebackType
from typing import Any, Iterator, List, Optional, Type

import torch
import torch.distributed as dist
from torch import nn

from dexhand_env.rl.distributed import Processes, ProcessLost, T


class ProcessGroup(Processes):
    """The processes of one training.

    Args:
        rank, size, local_rank, local_size: see :class:`Processes`.
        timeout_s: how long to wait for the others' answers.

    Raises:
        ProcessLost: the others did not come.
    """

    def __init__(self, rank: int, size: int, local_rank: int, local_size: int, timeout_s: float) -> None:
        self.rank, self.size, self.local_rank, self.local_size = rank, size, local_rank, local_size
        # What is on the CPU goes by gloo also where weights are on GPUs: gloo notices at once that a process has died.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        # Registering the buffers of captured steps pays for large ones alone; such steps were only measured without it.
        os.environ.setdefault("NCCL_GRAPH_REGISTER", "0")
        with self.watch():
            timeout = datetime.timedelta(seconds=timeout_s)
            dist.init_process_group(backend, rank=rank, world_size=size, timeout=timeout)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is None:
            self.gather(None)
            dist.destroy_process_group()

    def gather(self, value: T) -> List[T]:
        values: List[Any] = [None] * self.size
        with self.watch():
            dist.all_gather_object(values, value)
        return values

    def copy_first(self, network: nn.Module) -> None:
        with self.watch():
            for tensor in (*network.parameters(), *network.buffers()):
                dist.broadcast(tensor.data, src=0)

    def join_normalisers(self, model: nn.Module) -> None:
        from dexhand_env.rl.joined_normaliser import JoinedMeanStd  # rl_games takes seconds to import

        for name in ("running_mean_std", "value_mean_std"):
            if hasattr(model, name):
                setattr(model, name, JoinedMeanStd(getattr(model, name), self.size, self.mean))

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """For all: the mean of everybody's tensor, the same bits everywhere."""
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            # gloo's errors have no class of their own, but name its source file.
            if not isinstance(error, dist.DistError) and "gloo/" not in str(error):
                raise
            reason = re.sub(r"^\[.*?\] ", "", " ".join(str(error).split())).partition(". ")[0][:120]
            raise ProcessLost(
                f"process {self.rank} of {self.size} ends, since another has ended or does not answer ({reason})"
            ) from error
