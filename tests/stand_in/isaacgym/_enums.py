"""The vendor's enumerations, as far as they are needed. Fields take no plain numbers for them, as there."""

from __future__ import annotations

import enum


class SimType(enum.IntEnum):
    """The engine."""

    SIM_PHYSX = 0
    SIM_FLEX = 1


class UpAxis(enum.IntEnum):
    """The axis that points up."""

    UP_AXIS_Y = 0
    UP_AXIS_Z = 1


class DofDriveMode(enum.IntEnum):
    """What drives a DOF."""

    DOF_MODE_NONE = 0
    DOF_MODE_POS = 1
    DOF_MODE_VEL = 2
    DOF_MODE_EFFORT = 3


class IndexDomain(enum.IntEnum):
    """What an index counts in."""

    DOMAIN_ACTOR = 0
    DOMAIN_ENV = 1
    DOMAIN_SIM = 2


class ContactCollection(enum.IntEnum):
    """Of which substeps contacts are kept."""

    CC_NEVER = 0
    CC_LAST_SUBSTEP = 1
    CC_ALL_SUBSTEPS = 2


class TensorDataType(enum.IntEnum):
    """The types of a tensor's elements."""

    DTYPE_FLOAT32 = 0
    DTYPE_UINT32 = 1
    DTYPE_UINT64 = 2
    DTYPE_UINT8 = 3
    DTYPE_INT16 = 4
