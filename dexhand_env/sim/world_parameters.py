"""What a world's physical parameters are in MuJoCo's compiled model, for both of its backends.

Fields that MuJoCo derives when it compiles a model are given too: a world with other parameters is a freshly compiled
model. An object is a body of its own with one geom (``sim/scene.py``), so what its mass decides is proportional to it.
"""

from __future__ import annotations

import dataclasses
from typing import Callable, Dict, Sequence

import mujoco
import numpy as np
import torch

from dexhand_env.sim.contract import WorldParameters
from dexhand_env.sim.mujoco_model import HAND_JOINTS

PARAMETERS = tuple(field.name for field in dataclasses.fields(WorldParameters))
# Fields of the model that each parameter decides.
FIELDS = {
    "object_frictions": ("geom_friction",),
    "object_masses_kg": ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0"),
    "gain_factors": ("actuator_gainprm", "actuator_biasprm"),
    "damping_factors": ("dof_damping",),
}
# A state's names of them, beside those of MuJoCo's.
STATE_PREFIX = "parameter/"
HAND = slice(HAND_JOINTS)


class ModelFields:
    """The fields of a compiled model that parameters decide.

    Args:
        model: of the scene.
        objects: names of its objects, in order.
        dtype, device: of the fields.
    """

    def __init__(self, model: mujoco.MjModel, objects: Sequence[str], dtype: torch.dtype, device: torch.device) -> None:
        bodies = np.array([model.body(name).id for name in objects], dtype=np.int64)
        dofs = model.body_dofadr[bodies][:, None] + np.arange(6)
        # On the device: a list as an index would have a GPU wait for it.
        self._geoms = torch.tensor([model.geom(name).id for name in objects], dtype=torch.int64, device=device)
        self._bodies, self._dofs = torch.tensor(bodies, device=device), torch.tensor(dofs, device=device)
        self._model = {
            name: torch.tensor(getattr(model, name), dtype=dtype, device=device)
            for names in FIELDS.values()
            for name in names
        }

    def own(self, num_envs: int) -> WorldParameters:
        """The scene's parameters, in every world."""
        frictions = self._model["geom_friction"][self._geoms, 0]
        masses = self._model["body_mass"][self._bodies]
        ones = torch.ones(HAND_JOINTS, device=masses.device)
        return WorldParameters(
            *(values.to(torch.float32).expand(num_envs, -1) for values in (frictions, masses, ones, ones))
        )

    def values(self, given: WorldParameters) -> Dict[str, torch.Tensor]:
        """The fields that the parameters that are given decide, each (worlds, ...)."""
        fields: Dict[str, torch.Tensor] = {}
        for parameter, decide in (
            ("object_frictions", self._decide_frictions),
            ("object_masses_kg", self._decide_masses),
            ("gain_factors", self._decide_gains),
            ("damping_factors", self._decide_damping),
        ):
            values = getattr(given, parameter)
            if values is not None:
                own = {name: self._model[name] for name in FIELDS[parameter]}
                copies = {name: field.repeat(len(values), *(1,) * field.dim()) for name, field in own.items()}
                decide(copies, values.to(next(iter(own.values())).dtype))
                fields.update(copies)
        return fields

    def _decide_frictions(self, fields: Dict[str, torch.Tensor], frictions: torch.Tensor) -> None:
        fields["geom_friction"][:, self._geoms, 0] = _exact(frictions, self._model["geom_friction"][self._geoms, 0])

    def _decide_masses(self, fields: Dict[str, torch.Tensor], masses: torch.Tensor) -> None:
        own = self._model["body_mass"][self._bodies]
        masses = _exact(masses, own)
        factors = (masses / own)[:, :, None]
        fields["body_mass"][:, self._bodies] = masses
        fields["body_inertia"][:, self._bodies] *= factors
        fields["body_subtreemass"][:, self._bodies] = masses
        fields["body_subtreemass"][:, 0] += (masses - own).sum(dim=1)  # of the world as a whole
        fields["body_invweight0"][:, self._bodies] /= factors
        fields["dof_invweight0"][:, self._dofs] /= factors

    @staticmethod
    def _decide_gains(fields: Dict[str, torch.Tensor], factors: torch.Tensor) -> None:
        fields["actuator_gainprm"][:, HAND, 0] *= factors
        fields["actuator_biasprm"][:, HAND, 1] *= factors

    @staticmethod
    def _decide_damping(fields: Dict[str, torch.Tensor], factors: torch.Tensor) -> None:
        fields["dof_damping"][:, HAND] *= factors


def _exact(values: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """What is the scene's own in single precision is the scene's own to the last bit."""
    return torch.where(values.float() == own.float(), own, values)


def each(given: WorldParameters, change: Callable[[str, torch.Tensor], torch.Tensor]) -> WorldParameters:
    """The parameters that are given, changed by a function of their name and values."""
    values = {name: getattr(given, name) for name in PARAMETERS}
    return WorldParameters(**{name: change(name, value) for name, value in values.items() if value is not None})


def chosen(worlds: torch.Tensor, given: WorldParameters, before: WorldParameters) -> WorldParameters:
    """Those given in the worlds marked in ``worlds``, those from before in the others; what is not given is None."""
    return each(given, lambda name, values: torch.where(worlds[:, None], values.float(), getattr(before, name)))


def updated(before: WorldParameters, now: WorldParameters) -> WorldParameters:
    """Those from before, but for those that are given now."""
    return dataclasses.replace(before, **{name: v for name in PARAMETERS if (v := getattr(now, name)) is not None})


def to_state(parameters: WorldParameters) -> Dict[str, torch.Tensor]:
    """As a simulation's state holds them: copies on the CPU."""
    values = ((name, getattr(parameters, name)) for name in PARAMETERS)
    # Rows that are one row repeated, or empty, would be written otherwise than equal ones that are not.
    return {STATE_PREFIX + name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in values}


def has_parameters(state: Dict[str, torch.Tensor]) -> bool:
    """Whether a simulation's state holds parameters: whether any were changed."""
    return any(name.startswith(STATE_PREFIX) for name in state)


def from_state(state: Dict[str, torch.Tensor], own: WorldParameters) -> WorldParameters:
    """Those of a state; the scene's own where it holds none."""
    return each(own, lambda name, values: state.get(STATE_PREFIX + name, values).to(values.device))
