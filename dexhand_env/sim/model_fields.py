"""What a world's physical parameters are in MuJoCo's compiled model, for both of its backends.

Fields that MuJoCo derives when it compiles a model are given too: a world with other parameters is a freshly compiled
model. An object is a body of its own, all its shapes about the body's origin (``sim/scene.py``).
"""

from __future__ import annotations

from typing import AbstractSet, Dict, Sequence

import mujoco
import numpy as np
import torch

from dexhand_env.sim.contract import WorldParameters
from dexhand_env.sim.mujoco_model import HAND_JOINTS
from dexhand_env.sim.primitives import bounding_radius, sizes, unit_inertia
from dexhand_env.sim.scene import ABSENT_HALF_SIZE_M, ABSENT_MARGIN_M, SceneObject
from dexhand_env.sim.world_parameters import PARAMETERS

# Fields of the model that each parameter decides. A body's come from its mass, shape and extents together.
BODY_PARAMETERS = frozenset({"object_masses_kg", "object_shapes", "object_extents_m"})
BODIES = ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0")
ACTUATION = ("actuator_gainprm", "actuator_biasprm", "dof_damping")
GEOMS = ("geom_size", "geom_rbound", "geom_aabb", "geom_margin")
FIELDS = {
    "object_frictions": ("geom_friction",),
    "object_masses_kg": BODIES,
    "object_shapes": (*GEOMS, *BODIES),
    "object_extents_m": (*GEOMS, *BODIES),
    "gain_factors": ACTUATION,
    "damping_factors": ACTUATION,
}
HAND = slice(HAND_JOINTS)
Fields = Dict[str, torch.Tensor]


class ModelFields:
    """The fields of a compiled model that parameters decide.

    Args:
        model: of the scene.
        objects: of the scene.
        dtype, device: of the fields.
    """

    def __init__(
        self, model: mujoco.MjModel, objects: Sequence[SceneObject], dtype: torch.dtype, device: torch.device
    ) -> None:
        bodies = np.array([model.body(item.name).id for item in objects], dtype=np.int64)
        dofs = model.body_dofadr[bodies][:, None] + np.arange(6)
        self._objects = objects
        # For each object, its shapes with the numbers of their geoms.
        self._shapes = [[(shape, model.geom(item.geom_name(shape)).id) for shape in item.shapes] for item in objects]
        geoms = [(geom, place) for place, shapes in enumerate(self._shapes) for _, geom in shapes]
        # On the device: a list as an index would have a GPU wait for it.
        self._geoms, self._places = torch.tensor(geoms, dtype=torch.int64, device=device).view(-1, 2).unbind(dim=1)
        self._bodies, self._dofs = torch.tensor(bodies, device=device), torch.tensor(dofs, device=device)
        extents = [item.extents_m for item in objects]
        self._extents = torch.tensor(extents, dtype=dtype, device=device).view(-1, 3)
        self._model = {
            name: torch.tensor(getattr(model, name), dtype=dtype, device=device)
            for names in FIELDS.values()
            for name in names
        }

    def own(self, num_envs: int) -> WorldParameters:
        """The scene's parameters, in every world."""
        masses = self._model["body_mass"][self._bodies].to(torch.float32)
        frictions = torch.tensor([float(item.friction) for item in self._objects], device=masses.device)
        ones = torch.ones(HAND_JOINTS, device=masses.device)
        rows = (
            frictions,
            masses,
            torch.zeros_like(masses).to(torch.int64),
            self._extents.to(torch.float32),
            ones,
            ones,
        )
        return WorldParameters(*(row.expand(num_envs, *row.shape) for row in rows))

    def values(self, names: AbstractSet[str], parameters: WorldParameters) -> Dict[str, torch.Tensor]:
        """The fields that parameters of these names decide, each (worlds, ...); none of the parameters is left out."""
        given = {name: getattr(parameters, name) for name in PARAMETERS}
        worlds = len(given["gain_factors"])
        decided = dict.fromkeys(field for name in PARAMETERS if name in names for field in FIELDS[name])
        own = {name: self._model[name] for name in decided}
        fields = {name: field.repeat(worlds, *(1,) * field.dim()) for name, field in own.items()}
        for parameters_of, decide in (
            ({"object_frictions"}, self._decide_frictions),
            ({"object_shapes", "object_extents_m"}, self._decide_geoms),
            (BODY_PARAMETERS, self._decide_bodies),
            ({"gain_factors", "damping_factors"}, self._decide_actuation),
        ):
            if names & parameters_of:
                decide(fields, given)
        return fields

    def _decide_frictions(self, fields: Fields, given: Fields) -> None:
        own = self._model["geom_friction"][self._geoms, 0]
        frictions = given["object_frictions"].to(own.dtype)[:, self._places]
        fields["geom_friction"][:, self._geoms, 0] = _exact(frictions, own)

    def _decide_geoms(self, fields: Fields, given: Fields) -> None:
        half_extents = self._half_extents(given)
        for place, shapes in enumerate(self._shapes):
            for index, (shape, geom) in enumerate(shapes):
                absent = given["object_shapes"][:, place] != index
                half = half_extents[:, place]
                size = sizes(shape, half).masked_fill(absent[:, None], ABSENT_HALF_SIZE_M)
                half = half.masked_fill(absent[:, None], ABSENT_HALF_SIZE_M)
                fields["geom_size"][:, geom] = size
                fields["geom_rbound"][:, geom] = bounding_radius(shape, half)
                fields["geom_aabb"][:, geom, 3:] = half
                fields["geom_margin"][:, geom] = torch.zeros_like(half[:, 0]).masked_fill(absent, ABSENT_MARGIN_M)

    def _half_extents(self, given: Fields) -> torch.Tensor:
        return _exact(given["object_extents_m"].to(self._extents.dtype), self._extents) / 2.0

    def _decide_bodies(self, fields: Fields, given: Fields) -> None:
        own = self._model["body_mass"][self._bodies]
        masses = _exact(given["object_masses_kg"].to(own.dtype), own)
        factors = (masses / own)[:, :, None]
        fields["body_mass"][:, self._bodies] = masses
        fields["body_subtreemass"][:, self._bodies] = masses
        fields["body_subtreemass"][:, 0] += (masses - own).sum(dim=1)  # of the world as a whole
        inertia, own_inertia = self._inertia(given), self._model["body_inertia"][self._bodies]
        fields["body_inertia"][:, self._bodies] = inertia * factors
        # What MuJoCo derives of turning is the mean over the axes.
        turning = (1.0 / inertia).mean(dim=2, keepdim=True) / (1.0 / own_inertia).mean(dim=1, keepdim=True)
        moving = torch.ones_like(turning)
        fields["body_invweight0"][:, self._bodies] /= factors / torch.cat((moving, turning), dim=2)
        fields["dof_invweight0"][:, self._dofs] /= factors / torch.cat([moving] * 3 + [turning] * 3, dim=2)

    def _inertia(self, given: Fields) -> torch.Tensor:
        """Of the objects' bodies, if they had the scene's own masses, (worlds, objects, 3)."""
        own, half_extents = self._model["body_inertia"][self._bodies], self._half_extents(given)
        found = own.repeat(len(half_extents), 1, 1)
        for place, shapes in enumerate(self._shapes):
            half, mass = half_extents[:, place], self._model["body_mass"][self._bodies][place]
            changed = (half != self._extents[place] / 2.0).any(dim=1)
            for index, (shape, _) in enumerate(shapes):
                has_it = given["object_shapes"][:, place] == index
                here = has_it & changed if index == 0 else has_it
                found[:, place] = torch.where(here[:, None], mass * unit_inertia(shape, half), found[:, place])
        return found

    @staticmethod
    def _decide_actuation(fields: Fields, given: Fields) -> None:
        """The base's damping is its actuators', the fingers' that of their joints."""
        fields["actuator_gainprm"][:, HAND, 0] *= given["gain_factors"]
        fields["actuator_biasprm"][:, HAND, 1] *= given["gain_factors"]
        fields["actuator_biasprm"][:, HAND, 2] *= given["damping_factors"]
        fields["dof_damping"][:, HAND] *= given["damping_factors"]


def _exact(values: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """What is the scene's own in single precision is the scene's own to the last bit."""
    return torch.where(values.float() == own.float(), own, values)
