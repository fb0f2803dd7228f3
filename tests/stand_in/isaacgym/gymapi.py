"""The names of ``isaacgym.gymapi``, as far as a hand with objects needs them."""

from __future__ import annotations

from ._enums import ContactCollection, DofDriveMode, IndexDomain, SimType, TensorDataType, UpAxis
from ._gym import INVALID_HANDLE, Gym
from ._importer import Asset
from ._scene import Env, Sim
from ._structs import (
    AssetOptions,
    IndexRange,
    Mat33,
    PhysXParams,
    PlaneParams,
    Quat,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    Tensor,
    Transform,
    Vec3,
    Version,
)

RIGID_BODY_NONE = 0
RIGID_BODY_DISABLE_GRAVITY = 1
SIM_PHYSX, SIM_FLEX = SimType
UP_AXIS_Y, UP_AXIS_Z = UpAxis
DOF_MODE_NONE, DOF_MODE_POS, DOF_MODE_VEL, DOF_MODE_EFFORT = DofDriveMode
DOMAIN_ACTOR, DOMAIN_ENV, DOMAIN_SIM = IndexDomain
CC_NEVER, CC_LAST_SUBSTEP, CC_ALL_SUBSTEPS = ContactCollection
DTYPE_FLOAT32, DTYPE_UINT32, DTYPE_UINT64, DTYPE_UINT8, DTYPE_INT16 = TensorDataType

__all__ = [
    "CC_ALL_SUBSTEPS",
    "CC_LAST_SUBSTEP",
    "CC_NEVER",
    "DOF_MODE_EFFORT",
    "DOF_MODE_NONE",
    "DOF_MODE_POS",
    "DOF_MODE_VEL",
    "DOMAIN_ACTOR",
    "DOMAIN_ENV",
    "DOMAIN_SIM",
    "DTYPE_FLOAT32",
    "DTYPE_INT16",
    "DTYPE_UINT8",
    "DTYPE_UINT32",
    "DTYPE_UINT64",
    "INVALID_HANDLE",
    "RIGID_BODY_DISABLE_GRAVITY",
    "RIGID_BODY_NONE",
    "SIM_FLEX",
    "SIM_PHYSX",
    "UP_AXIS_Y",
    "UP_AXIS_Z",
    "Asset",
    "AssetOptions",
    "ContactCollection",
    "DofDriveMode",
    "Env",
    "Gym",
    "IndexDomain",
    "IndexRange",
    "Mat33",
    "PhysXParams",
    "PlaneParams",
    "Quat",
    "RigidBodyProperties",
    "RigidShapeProperties",
    "Sim",
    "SimParams",
    "SimType",
    "Tensor",
    "TensorDataType",
    "Transform",
    "UpAxis",
    "Vec3",
    "Version",
    "acquire_gym",
]

_GYM = Gym()


def acquire_gym() -> Gym:
    """The one Gym."""
    return _GYM
