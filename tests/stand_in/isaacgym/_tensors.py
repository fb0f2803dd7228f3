"""Tensors: those of the sim, and those that setters are given. torch is imported when one is made, not before."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Tuple

import numpy as np

from ._enums import TensorDataType
from ._rules import Violation, need
from ._structs import Tensor

if TYPE_CHECKING:
    import torch


def _data_types() -> Dict[Any, TensorDataType]:
    import torch

    return {
        torch.float32: TensorDataType.DTYPE_FLOAT32,
        torch.int32: TensorDataType.DTYPE_UINT32,
        torch.int64: TensorDataType.DTYPE_UINT64,
        torch.uint8: TensorDataType.DTYPE_UINT8,
        torch.int16: TensorDataType.DTYPE_INT16,
    }


@contextlib.contextmanager
def waiting_allowed(device: str) -> Iterator[None]:
    """Copies of the stand-in's own, which a count of the caller's synchronisations has to leave out."""
    import torch

    mode = torch.cuda.get_sync_debug_mode() if device.startswith("cuda") else 0
    if mode == 0:
        yield
        return
    torch.cuda.set_sync_debug_mode("default")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def describe(tensor: torch.Tensor) -> Tensor:
    """Gym's view of a tensor, without what keeps it alive."""
    kinds = _data_types()
    if tensor.dtype not in kinds:
        raise TypeError(f"Gym has no tensors of {tensor.dtype}")
    view = Tensor()
    view.data_address = tensor.data_ptr()
    view.device = -1 if tensor.device.type == "cpu" else (tensor.device.index or 0)
    view.dtype = kinds[tensor.dtype]
    view.shape = tuple(tensor.shape)
    return view


def borrowed(tensor: torch.Tensor) -> Tensor:
    """What ``unwrap_tensor`` gives: it does not keep the caller's tensor alive."""
    need(tensor.is_contiguous(), "unwrap_tensor: the tensor is not contiguous")
    view = describe(tensor)
    view._memory = weakref.ref(tensor)
    return view


class Buffer:
    """A tensor of the sim's: memory on the host, which ``publish`` copies to the GPU where the tensor is there."""

    def __init__(self, shape: Tuple[int, int], device: str) -> None:
        import torch

        with waiting_allowed(device):
            self._tensor = torch.full(shape, float("nan"), dtype=torch.float32, device=device)
        self._device = device
        self._staged = self._tensor if device == "cpu" else torch.zeros(shape).pin_memory()
        self.host: np.ndarray = self._staged.numpy()
        self.view = describe(self._tensor)
        self.view.own_data = True
        self.view._memory = lambda: self._tensor

    def publish(self) -> None:
        """Make what stands on the host visible."""
        if self._tensor is not self._staged:
            with waiting_allowed(self._device):
                self._tensor.copy_(self._staged)


@dataclasses.dataclass
class Given:
    """A tensor that a setter was given, and its values."""

    method: str
    view: Tensor
    values: np.ndarray
    version: int

    def check(self) -> None:
        """That it is as it was, for Gym may read it as late as in ``simulate``."""
        held = self.view._memory()
        need(held is not None, f"{self.method}: a tensor was freed before simulate")
        need(_version(held) == self.version, f"{self.method}: a tensor was written to before simulate")


def _version(tensor: torch.Tensor) -> int:
    """How often it was written to, as far as torch counts."""
    return 0 if tensor.is_inference() else int(tensor._version)


def take(method: str, view: Tensor, dtype: TensorDataType, shape: Tuple[int, ...], device: str) -> Given:
    """The values of a caller's tensor. A shape of one number counts elements."""
    if not isinstance(view, Tensor):
        raise TypeError(f"{method} takes gymapi.Tensor, not {type(view).__name__}")
    held: Optional[torch.Tensor] = view._memory()
    if held is None:
        raise Violation(f"{method}: a tensor was freed before the call")
    need(view.dtype == dtype, f"{method}: {held.dtype}, wanted {dtype.name}")
    found = view.shape if len(shape) > 1 else (int(np.prod(view.shape)),)
    need(found == shape, f"{method}: shape {view.shape}, wanted {shape}")
    need(str(held.device) == device, f"{method}: a tensor on {held.device}, the pipeline's are on {device}")
    with waiting_allowed(device):
        return Given(method, view, held.detach().cpu().numpy().copy(), _version(held))


def actor_indices(given: Given, count: int) -> np.ndarray:
    """Checked numbers of actors."""
    indices = given.values.reshape(-1).astype(np.int64)
    for outside in indices[(indices < 0) | (indices >= count)]:
        raise Violation(f"{given.method}: actor {outside} of {count}")
    need(len(np.unique(indices)) == len(indices), f"{given.method}: an actor twice")
    return indices
