"""The `actions` section: what the policy commands and how fast the commanded targets may move."""

from __future__ import annotations

from typing import Any, Literal, Optional, Sequence, Tuple, Union

from pydantic import Field, model_validator
from typing_extensions import Annotated

from dexhand_env.config.layers import KeyPath
from dexhand_env.config.schema import FROM_LIST, Section, problem

# Name, lowest and highest position, and unit of each control. The hand's own table is dexhand_env/hand/joints.py, which
# this package does not import; tests/config/test_task_config.py compares the two.
_SLIDE, _HINGE, _FLEXION = (-1.0, 1.0, "m"), (-3.14, 3.14, "rad"), (0.0, 1.3, "rad")
BASE_CONTROLS = (
    *((name, *_SLIDE) for name in ("ARTx", "ARTy", "ARTz")),
    *((name, *_HINGE) for name in ("ARRx", "ARRy", "ARRz")),
)
FINGER_CONTROLS = (
    ("thumb_rotation", 0.0, 2.2, "rad"),
    *((name, *_FLEXION) for name in ("thumb_mcp", "thumb_dip")),
    ("spread", 0.0, 0.3, "rad"),
    *((f"{finger}_{joint}", *_FLEXION) for finger in ("index", "middle", "ring", "little") for joint in ("mcp", "dip")),
)
NUM_BASE_CONTROLS = len(BASE_CONTROLS)
NUM_FINGER_CONTROLS = len(FINGER_CONTROLS)
ROUNDING = 1e-9  # what a sum of two decimal numbers may be off by

Speed = Annotated[float, Field(gt=0, le=100)]
Speeds3 = Annotated[Tuple[Speed, Speed, Speed], FROM_LIST]
Speeds12 = Annotated[Tuple[Speed, ...], Field(min_length=12, max_length=12), FROM_LIST]
Targets6 = Annotated[Tuple[float, ...], Field(min_length=6, max_length=6), FROM_LIST]
Targets12 = Annotated[Tuple[float, ...], Field(min_length=12, max_length=12), FROM_LIST]


def _each(limit: Union[float, Tuple[float, ...]], count: int) -> Tuple[float, ...]:
    return tuple(limit) if isinstance(limit, (tuple, list)) else (float(limit),) * count


def check_positions(
    controls: Sequence[Tuple[Any, ...]],
    positions: Sequence[float],
    at: KeyPath,
    reach: Union[float, Sequence[float]] = 0.0,
) -> None:
    """Refuse positions that a control cannot take.

    Args:
        controls: those that are meant, of ``BASE_CONTROLS`` or ``FINGER_CONTROLS``.
        positions: one for each, m or rad.
        at: path of the list of them, below the section that is validated.
        reach: positions are drawn within +- this, one number or one for each, m or rad.

    Raises:
        PydanticCustomError: naming the first control whose position is out of its range.
    """
    reaches = reach if isinstance(reach, Sequence) else (reach,) * len(positions)
    for index, ((name, low, high, unit), position, off) in enumerate(zip(controls, positions, reaches)):
        if position - off < low - ROUNDING or position + off > high + ROUNDING:
            found = f"{position:g} +- {off:g}" if off else f"{position:g}"
            raise problem(f"found {found} {unit} for {name}", f"from {low:g} to {high:g} {unit}", (*at, index))


class BaseActions(Section):
    """The hand's base: translation x y z (m) and rotation about x y z (rad)."""

    policy: bool = Field(description="whether the policy commands the base; else it is held at fixed_targets")
    linear_velocity_limit_m_per_s: Union[Speed, Speeds3] = Field(
        description="how fast the base's position targets may move, m/s; one limit or one for each of x y z"
    )
    angular_velocity_limit_rad_per_s: Union[Speed, Speeds3] = Field(
        description="how fast the base's rotation targets may move, rad/s; one limit or one for each of x y z"
    )
    fixed_targets: Targets6 = Field(
        description="targets of the base where the policy does not command it, within the controls' ranges: x y z (m, "
        "from the spawn position), rotation about x y z (rad)"
    )

    @property
    def velocity_limits(self) -> Tuple[float, ...]:
        """The 6 limits: 3 in m/s, 3 in rad/s."""
        return _each(self.linear_velocity_limit_m_per_s, 3) + _each(self.angular_velocity_limit_rad_per_s, 3)

    @model_validator(mode="after")
    def _can_be_held(self) -> BaseActions:
        check_positions(BASE_CONTROLS, self.fixed_targets, ("fixed_targets",))
        return self


class FingerActions(Section):
    """The 12 finger controls, in the order of the hand's controls."""

    policy: bool = Field(description="whether the policy commands the fingers; else they are held at fixed_targets")
    velocity_limit_rad_per_s: Union[Speed, Speeds12] = Field(
        description="how fast the finger targets may move, rad/s; one limit or one for each of the 12 controls"
    )
    fixed_targets: Targets12 = Field(
        description="targets of the 12 finger controls where the policy does not command them, within the controls' "
        "ranges, rad"
    )

    @property
    def velocity_limits(self) -> Tuple[float, ...]:
        """The 12 limits, rad/s."""
        return _each(self.velocity_limit_rad_per_s, NUM_FINGER_CONTROLS)

    @model_validator(mode="after")
    def _can_be_held(self) -> FingerActions:
        check_positions(FINGER_CONTROLS, self.fixed_targets, ("fixed_targets",))
        return self


class Actions(Section):
    """How a policy's actions, each in [-1, 1], become the targets of the 18 controls."""

    mode: Literal["position", "position_delta"] = Field(
        description="position: an action names a target in the control's range; position_delta: it moves the target "
        "by a fraction of the velocity limit. Either way a target never moves faster than its limit, unless "
        "lead_limit_s pulls it after its control"
    )
    lead_limit_s: Optional[float] = Field(
        default=None,
        gt=0,
        le=10,
        description="no target is farther from where its control is than its velocity limit x this, s; else the target "
        "of a control that is blocked runs ahead, and the control leaps after it once free. Left out: no limit",
    )
    base: BaseActions = Field(description="the hand's base")
    fingers: FingerActions = Field(description="the fingers")

    @property
    def velocity_limits(self) -> Tuple[float, ...]:
        """The limits of the 18 controls: 3 in m/s, 15 in rad/s."""
        return self.base.velocity_limits + self.fingers.velocity_limits

    @property
    def fixed_targets(self) -> Tuple[float, ...]:
        """The fixed targets of the 18 controls: 3 in m, 15 in rad."""
        return tuple(self.base.fixed_targets) + tuple(self.fingers.fixed_targets)

    @property
    def from_policy(self) -> Tuple[bool, ...]:
        """Which of the 18 controls the policy commands."""
        return (self.base.policy,) * NUM_BASE_CONTROLS + (self.fingers.policy,) * NUM_FINGER_CONTROLS

    @property
    def num_actions(self) -> int:
        """How many actions a policy has: 18, 12 or 6."""
        return sum(self.from_policy)

    @model_validator(mode="after")
    def _leaves_something_to_the_policy(self) -> Actions:
        if not (self.base.policy or self.fingers.policy):
            raise problem("both parts leave nothing to the policy", "base.policy or fingers.policy true")
        return self
