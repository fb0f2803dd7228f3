"""Changes to the physical parameters of worlds, and how a state holds them."""

from __future__ import annotations

import dataclasses
from typing import AbstractSet, Callable, Dict, Sequence

import torch

from dexhand_env.sim.contract import WorldParameters

PARAMETERS = tuple(field.name for field in dataclasses.fields(WorldParameters))
# A state's names of them, beside those of MuJoCo's.
STATE_PREFIX = "parameter/"
# The shapes that its objects could have, as text: those of an object after another's with a comma.
SHAPE_NAMES = "object_shape_names"
LACKING = -1  # the place of a shape that a scene does not have
Shapes = Sequence[Sequence[str]]


def names_of(given: WorldParameters) -> AbstractSet[str]:
    """The names of the parameters that are given."""
    return {name for name in PARAMETERS if getattr(given, name) is not None}


def each(given: WorldParameters, change: Callable[[str, torch.Tensor], torch.Tensor]) -> WorldParameters:
    """The parameters that are given, changed by a function of their name and values."""
    values = {name: getattr(given, name) for name in PARAMETERS}
    return WorldParameters(**{name: change(name, value) for name, value in values.items() if value is not None})


def chosen(worlds: torch.Tensor, given: WorldParameters, before: WorldParameters) -> WorldParameters:
    """Those given in the worlds marked in ``worlds``, those from before in the others; what is not given is None."""

    def choose(name: str, values: torch.Tensor) -> torch.Tensor:
        old = getattr(before, name)
        return torch.where(worlds.view(-1, *(1,) * (old.dim() - 1)), values.to(old.dtype), old)

    return each(given, choose)


def updated(before: WorldParameters, now: WorldParameters) -> WorldParameters:
    """Those from before, but for those that are given now."""
    return dataclasses.replace(before, **{name: v for name in PARAMETERS if (v := getattr(now, name)) is not None})


def to_state(parameters: WorldParameters, shapes: Shapes) -> Dict[str, torch.Tensor]:
    """As a simulation's state holds them, whose ``object_shapes`` are those: copies on the CPU."""
    values = ((name, getattr(parameters, name)) for name in PARAMETERS)
    # Rows that are one row repeated, or empty, would be written otherwise than equal ones that are not.
    state = {STATE_PREFIX + name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in values}
    if shapes:
        state[SHAPE_NAMES] = torch.tensor(list(_written(shapes)), dtype=torch.uint8)
    return state


def has_parameters(state: Dict[str, torch.Tensor]) -> bool:
    """Whether a simulation's state holds parameters: whether any were changed."""
    return any(name.startswith(STATE_PREFIX) for name in state)


def from_state(state: Dict[str, torch.Tensor], own: WorldParameters, shapes: Shapes) -> WorldParameters:
    """Those of a state, for a simulation with these ``object_shapes``; the scene's own where it holds none.

    A scene whose objects can have other shapes may lack that of a world: the object is then what it is in the scene.
    """
    found = each(own, lambda name, values: state.get(STATE_PREFIX + name, values).to(values.device))
    assert found.object_shapes is not None
    assert found.object_extents_m is not None
    assert own.object_extents_m is not None
    before = _read(state[SHAPE_NAMES]) if SHAPE_NAMES in state else shapes
    places = found.object_shapes.clone()
    for item, (theirs, ours) in enumerate(zip(before, shapes)):
        known = [ours.index(name) if name in ours else LACKING for name in theirs]
        of_theirs = torch.tensor([*known, LACKING], device=places.device)
        places[:, item] = of_theirs[places[:, item].clamp(max=len(theirs))]
    lacking = places == LACKING
    extents_m = torch.where(lacking[:, :, None], own.object_extents_m, found.object_extents_m)
    return dataclasses.replace(found, object_shapes=places.masked_fill(lacking, 0), object_extents_m=extents_m)


def _written(shapes: Shapes) -> bytes:
    return ",".join(" ".join(names) for names in shapes).encode()


def _read(written: torch.Tensor) -> Shapes:
    return [names.split() for names in bytes(written.tolist()).decode().split(",")]
