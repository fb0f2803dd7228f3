"""A step of learning as one CUDA graph: a few hundred small kernels that the CPU launches at once."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

import torch
from torch import nn

Minibatch = Dict[str, torch.Tensor]
Step = Callable[[Minibatch], Tuple[torch.Tensor, ...]]
# Steps before the capture: what is made once (the optimizer's moments, compiled kernels) must be there, and TorchScript
# watches its first runs before it settles on a program.
WARM_UP = 4


class CapturedStep:
    """Replays ``step`` from its fifth call on; minibatches must have the same shapes.

    What it gives is written over by the next call.

    Args:
        step: changes weights, optimizer and normalisers in ways that depend on nothing but tensors on the GPU.
        model: whose normalisers rl_games replaces in each step; the graph needs them to stay where they are.
    """

    def __init__(self, step: Step, model: nn.Module) -> None:
        self._step = step
        self._model = model
        self._stream = torch.cuda.Stream()
        self._runs = 0
        self._graph: Optional[torch.cuda.CUDAGraph] = None
        self._inputs: Minibatch = {}
        self._outputs: Tuple[torch.Tensor, ...] = ()

    def __call__(self, minibatch: Minibatch) -> Tuple[torch.Tensor, ...]:
        if self._runs < WARM_UP:
            self._runs += 1
            return self._warm_up(minibatch)
        if self._graph is None:
            self._capture(minibatch)
        assert self._graph is not None
        for name, values in self._inputs.items():
            values.copy_(minibatch[name])
        self._graph.replay()
        return self._outputs

    def release(self) -> None:
        """Give up the graph: NCCL waits with the end of a process group for the graphs that talk in it."""
        if self._graph is not None:
            self._graph.reset()
        self._graph = None

    def _warm_up(self, minibatch: Minibatch) -> Tuple[torch.Tensor, ...]:
        """On the stream of the capture: autograd ties its nodes to the stream on which they were made."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            outputs = self._step(minibatch)
        torch.cuda.current_stream().wait_stream(self._stream)
        return outputs

    def _capture(self, minibatch: Minibatch) -> None:
        """Record a step, which does not happen by that."""
        self._inputs = {name: values.clone() for name, values in minibatch.items()}
        before = [(owner, name, buffer) for owner in self._model.modules() for name, buffer in _own_buffers(owner)]
        self._graph = torch.cuda.CUDAGraph()
        # NCCL's own thread asks the GPU how it is getting on, which is no part of this.
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._outputs = self._step(self._inputs)
            for owner, name, buffer in before:
                after = getattr(owner, name)
                if after.data_ptr() != buffer.data_ptr():
                    buffer.copy_(after)
                    setattr(owner, name, buffer)


def _own_buffers(module: nn.Module) -> Tuple[Tuple[str, torch.Tensor], ...]:
    return tuple(module.named_buffers(recurse=False))
