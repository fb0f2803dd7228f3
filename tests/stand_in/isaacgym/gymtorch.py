"""Between torch's tensors and Gym's."""

from __future__ import annotations

import torch

from ._structs import Tensor
from ._tensors import borrowed


def wrap_tensor(gym_tensor: Tensor) -> torch.Tensor:
    """The memory of a tensor of the sim's as a tensor of torch's."""
    if not isinstance(gym_tensor, Tensor):
        raise TypeError(f"wrap_tensor takes gymapi.Tensor, not {type(gym_tensor).__name__}")
    tensor: torch.Tensor = gym_tensor._memory()
    return tensor


def unwrap_tensor(torch_tensor: torch.Tensor) -> Tensor:
    """A tensor of torch's as setters take it. The caller keeps it alive."""
    return borrowed(torch_tensor)
