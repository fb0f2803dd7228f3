"""One training in several processes: who they are, and what they settle among themselves.

A launcher (``torchrun``) starts the processes and says in environment variables which is which. Nothing here needs
torch, so that mistakes are answered at once; :mod:`dexhand_env.rl.process_group` does the talking.
"""

from __future__ import annotations

import contextlib
import os
from functools import reduce
from operator import add
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Dict, List, Optional, Type, TypeVar

from dexhand_env.errors import UserError

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
# For a process that hangs. One that dies is noticed at once by gloo, after this time by NCCL.
TIMEOUT_S = 30.0


class ProcessLost(Exception):
    """Another process of the training has ended or does not answer."""


class Processes:
    """The processes of one training, where there is only one; ``ProcessGroup`` is several.

    What is said to be for all must be called by all processes, in the same order. As a context it ends when all have
    reached its end, for a launcher ends every process as soon as one of them fails.

    Attributes:
        rank: of this process, 0 for the first, which alone writes and speaks.
        size: number of processes.
        local_rank, local_size: the same among the processes of this machine.
    """

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Wait for the others, unless an exception ends the context."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def gather(self, value: T) -> List[T]:
        """For all: everybody's value, by rank. Tensors must be on the CPU."""
        return [value]

    def any(self, flag: bool) -> bool:
        """For all: whether it is so in any process."""
        return any(self.gather(flag))

    def total(self, values: Dict[str, float]) -> Dict[str, float]:
        """For all: everybody's numbers added up, name by name and in the order of ranks."""
        everybodys = self.gather(values)
        # reduce, since sum() begins with 0 and would turn a -0.0 into a 0.0.
        return {name: reduce(add, (each[name] for each in everybodys)) for name in values}

    def agree(self, step: Callable[[], T]) -> T:
        """For all: this process's result of ``step``, which must not talk to the others.

        Raises:
            Exception: that of ``step``, in all processes where it was raised in one.
        """
        try:
            result = step()
        except Exception as error:
            self.gather(error)
            raise
        for others in self.gather(None):
            if others is not None:
                raise others
        return result

    def copy_first(self, network: nn.Module) -> None:
        """For all: give the network the first process's weights and normalisers."""

    def join_normalisers(self, model: nn.Module) -> None:
        """Let the running normalisers of a model of rl_games learn from the batches of all processes."""

    def watch(self) -> ContextManager[Any]:
        """A context that raises :class:`ProcessLost` where talking to the others fails in it."""
        return contextlib.nullcontext()


ALONE = Processes()


def join_processes(timeout_s: float = TIMEOUT_S) -> Processes:
    """The processes that the launcher started this one with.

    Args:
        timeout_s: how long to wait for the others, now and whenever they are to answer.

    Raises:
        UserError: environment variables that no launcher sets so.
        ProcessLost: the others did not come.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        return ALONE
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise UserError(name, f"not set where WORLD_SIZE is {size}", "what torchrun sets; or unset WORLD_SIZE")
    from dexhand_env.rl.process_group import ProcessGroup

    rank = _number("RANK", 0)
    return ProcessGroup(rank, size, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", size), timeout_s)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise UserError(name, f"found {text!r}", "a number, as torchrun sets it")
    return int(text)
