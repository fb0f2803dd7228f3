"""Tensors between two Pythons, whose versions of torch and numpy cannot read each other's pickles."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

TENSOR, RECORD = "tensor", "record"


def packed(value: Any) -> Any:
    """A value of plain Python types for one with tensors and this project's dataclasses."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        return TENSOR, str(plain.dtype)[len("torch.") :], tuple(plain.shape), plain.numpy().tobytes()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: packed(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return RECORD, type(value), fields
    if isinstance(value, dict):
        return {name: packed(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [packed(item) for item in value]
    return value


def unpacked(value: Any, device: str) -> Any:
    """What was packed, its tensors on a device; lists are tuples."""
    if isinstance(value, tuple) and value[0] == TENSOR:
        _, dtype, shape, data = value
        flat = torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)) if data else torch.empty(0)
        return flat.to(getattr(torch, dtype)).reshape(shape).to(device)
    if isinstance(value, tuple) and value[0] == RECORD:
        _, record, fields = value
        return record(**{name: unpacked(item, device) for name, item in fields.items()})
    if isinstance(value, dict):
        return {name: unpacked(item, device) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(unpacked(item, device) for item in value)
    return value
