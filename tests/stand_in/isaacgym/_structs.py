"""The vendor's structures: its fields alone, each of its own type, copied when they are assigned."""

from __future__ import annotations

import enum
import operator
from typing import Any, ClassVar, Dict, Tuple, TypeVar

import numpy as np

from ._enums import ContactCollection, TensorDataType, UpAxis

AnyStruct = TypeVar("AnyStruct", bound="Struct")

DOF_PROPERTIES = np.dtype(
    [
        ("hasLimits", "?"),
        ("lower", "<f4"),
        ("upper", "<f4"),
        ("driveMode", "<i4"),
        ("velocity", "<f4"),
        ("effort", "<f4"),
        ("stiffness", "<f4"),
        ("damping", "<f4"),
        ("friction", "<f4"),
        ("armature", "<f4"),
    ],
    align=True,
)


class Struct:
    """A structure whose class attributes are its fields and their defaults.

    As with pybind11, an unknown field is an AttributeError and a value of another type a TypeError; floats have 32
    bits.
    """

    _fields: ClassVar[Dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = {name: vars(cls)[name] for name in cls.__annotations__}

    def __init__(self) -> None:
        for name, default in self._fields.items():
            object.__setattr__(self, name, _converted(default, default))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._fields:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            object.__setattr__(self, name, _converted(self._fields[name], value))
        except (TypeError, ValueError):
            wanted, found = type(self._fields[name]).__name__, type(value).__name__
            raise TypeError(f"{type(self).__name__}.{name} takes {wanted}, not {found}") from None


def _converted(default: Any, value: Any) -> Any:
    """A value for a field with this default."""
    if isinstance(default, Struct):
        if type(value) is not type(default):
            raise TypeError
        return copied(value)
    if isinstance(default, (bool, enum.Enum)):
        if not isinstance(value, (type(default), np.bool_)):
            raise TypeError
        return value
    if isinstance(default, int):
        return operator.index(value)
    if isinstance(value, str):
        raise TypeError
    return float(np.float32(value))


def copied(struct: AnyStruct) -> AnyStruct:
    """A structure of its own with the same values."""
    own = type(struct).__new__(type(struct))
    for name in struct._fields:
        value = getattr(struct, name)
        object.__setattr__(own, name, copied(value) if isinstance(value, Struct) else value)
    return own


class Vec3(Struct):
    """A vector."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> None:
        self.x, self.y, self.z = x, y, z


class Quat(Struct):
    """A rotation."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0

    def __init__(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, w: float = 1.0) -> None:
        self.x, self.y, self.z, self.w = x, y, z, w


_ORIGIN, _UPRIGHT = Vec3(), Quat()


class Transform(Struct):
    """A place."""

    p: Vec3 = _ORIGIN
    r: Quat = _UPRIGHT

    def __init__(self, p: Vec3 = _ORIGIN, r: Quat = _UPRIGHT) -> None:
        self.p, self.r = p, r


class Mat33(Struct):
    """A matrix by its columns."""

    x: Vec3 = _ORIGIN
    y: Vec3 = _ORIGIN
    z: Vec3 = _ORIGIN


class PhysXParams(Struct):
    """Settings of the solver. Only ``contact_collection``, the offsets and ``use_gpu`` count."""

    always_use_articulations: bool = False
    bounce_threshold_velocity: float = 0.2
    contact_collection: ContactCollection = ContactCollection.CC_ALL_SUBSTEPS
    contact_offset: float = 0.02
    default_buffer_size_multiplier: float = 2.0
    friction_correlation_distance: float = 0.025
    friction_offset_threshold: float = 0.04
    max_depenetration_velocity: float = 100.0
    max_gpu_contact_pairs: int = 1024 * 1024
    num_position_iterations: int = 4
    num_subscenes: int = 0
    num_threads: int = 0
    num_velocity_iterations: int = 1
    rest_offset: float = 0.001
    solver_type: int = 1
    use_gpu: bool = False


class SimParams(Struct):
    """Settings of a sim."""

    dt: float = 1 / 60
    enable_actor_creation_warning: bool = True
    gravity: Vec3 = Vec3(0.0, -9.8, 0.0)
    num_client_threads: int = 0
    physx: PhysXParams = PhysXParams()
    substeps: int = 2
    up_axis: UpAxis = UpAxis.UP_AXIS_Y
    use_gpu_pipeline: bool = False


class AssetOptions(Struct):
    """How to read an asset. Only ``density``, ``disable_gravity``, ``fix_base_link`` and the drive mode count."""

    angular_damping: float = 0.5
    armature: float = 0.0
    collapse_fixed_joints: bool = False
    default_dof_drive_mode: int = 0
    density: float = 1000.0
    disable_gravity: bool = False
    enable_gyroscopic_forces: bool = True
    fix_base_link: bool = False
    flip_visual_attachments: bool = False
    linear_damping: float = 0.0
    max_angular_velocity: float = 64.0
    max_linear_velocity: float = 1000.0
    override_com: bool = False
    override_inertia: bool = False
    replace_cylinder_with_capsule: bool = False
    slices_per_cylinder: int = 20
    thickness: float = 0.02
    use_physx_armature: bool = True
    vhacd_enabled: bool = False


class PlaneParams(Struct):
    """The ground."""

    distance: float = 0.0
    dynamic_friction: float = 1.0
    normal: Vec3 = Vec3(0.0, 1.0, 0.0)
    restitution: float = 0.0
    segmentation_id: int = 0
    static_friction: float = 1.0


class RigidShapeProperties(Struct):
    """A shape. Only ``filter``, ``friction`` and ``rest_offset`` count."""

    compliance: float = 0.0
    contact_offset: float = 0.02
    filter: int = 0
    friction: float = 1.0
    rest_offset: float = 0.0
    restitution: float = 0.0
    rolling_friction: float = 0.0
    thickness: float = 0.0
    torsion_friction: float = 0.0


class RigidBodyProperties(Struct):
    """A body. The inverses are told, not read."""

    com: Vec3 = _ORIGIN
    flags: int = 0
    inertia: Mat33 = Mat33()
    invInertia: Mat33 = Mat33()  # noqa: N815
    invMass: float = 0.0  # noqa: N815
    mass: float = 0.0


class IndexRange(Struct):
    """Numbers that follow each other."""

    count: int = 0
    start: int = 0


class Version(Struct):
    """The vendor's version."""

    major: int = 1
    minor: int = 0


class Tensor:
    """A tensor of the sim's or of the caller's. ``_memory`` gives torch's, or None where it is gone."""

    __slots__ = ("_memory", "data_address", "device", "dtype", "own_data", "shape")

    def __init__(self) -> None:
        self.data_address = 0
        self.device = -1
        self.dtype = TensorDataType.DTYPE_FLOAT32
        self.own_data = False
        self.shape: Tuple[int, ...] = ()
        self._memory: Any = lambda: None

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)
