"""The typed form of DexGrasp's YAML: grasp an object on the table, lift it to a target and hold it there."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Mapping, Optional, Tuple, Union

from pydantic import Field, model_validator
from typing_extensions import Annotated

from dexhand_env.config.actions import BASE_CONTROLS, FINGER_CONTROLS, Targets12, check_positions
from dexhand_env.config.object_shapes import proportions
from dexhand_env.config.schema import FROM_LIST, Section, problem, shown
from dexhand_env.config.task import COMMON_OBSERVATIONS, TaskConfig

SMALLEST_M, LARGEST_M = 0.02, 0.1  # what the fingers can close on, and what fits between them

Size = Annotated[float, Field(ge=SMALLEST_M, le=LARGEST_M)]
Place = Annotated[float, Field(ge=-1, le=1)]
Length = Annotated[float, Field(ge=0, le=0.5)]
Angle = Annotated[float, Field(ge=-math.pi, le=math.pi)]
Height = Annotated[float, Field(gt=0, le=1)]
Places3 = Annotated[Tuple[Place, ...], Field(min_length=3, max_length=3), FROM_LIST]
Sizes3 = Annotated[Tuple[Size, ...], Field(min_length=3, max_length=3), FROM_LIST]
Lengths3 = Annotated[Tuple[Length, ...], Field(min_length=3, max_length=3), FROM_LIST]
Angles3 = Annotated[Tuple[Angle, ...], Field(min_length=3, max_length=3), FROM_LIST]
Heights2 = Annotated[Tuple[Height, ...], Field(min_length=2, max_length=2), FROM_LIST]


class GraspObject(Section):
    """What is to be grasped."""

    shape: Literal["cube", "sphere", "cylinder", "box"] = Field(description="its shape; a cylinder stands upright")
    size_m: Union[Size, Sizes3] = Field(
        description="its extent along x y z, m; one number where all are equal, as a cube's and a sphere's must be"
    )
    mass_kg: float = Field(ge=0.005, le=2, description="its mass, kg")
    friction: float = Field(ge=0.05, le=3, description="coefficient of sliding friction of all that it touches")

    @property
    def extents_m(self) -> Tuple[float, ...]:
        """Its extent along x y z, m."""
        size = self.size_m
        return (size, size, size) if isinstance(size, float) else size

    @model_validator(mode="after")
    def _has_the_sizes_of_its_shape(self) -> GraspObject:
        x, y, z = self.extents_m
        round_about_z, alike = x == y, x == y == z
        if (self.shape in ("cube", "sphere") and not alike) or (self.shape == "cylinder" and not round_about_z):
            needed = "equal x and y" if self.shape == "cylinder" else "one size"
            raise problem(
                f"found {shown(self.size_m)} for a {self.shape}", f"{needed}; a box may have three", ("size_m",)
            )
        return self


class Start(Section):
    """How an episode begins: every value is drawn evenly from its middle +- its range."""

    hand_position_m: Places3 = Field(description="middle of the base's positions, from spawn, x y z, m")
    hand_position_range_m: Lengths3 = Field(description="the base starts within +- this of it, x y z, m")
    hand_rotation_rad: Angles3 = Field(description="middle of the base's rotations about x y z, rad")
    hand_rotation_range_rad: float = Field(
        ge=0, le=math.pi / 2, description="the base's rotation about each axis lies within +- this of it, rad"
    )
    finger_positions_rad: Targets12 = Field(
        description="where the 12 finger controls start, within the controls' ranges, rad"
    )
    object_position_range_m: Length = Field(
        description="the object lies within +- this of the table's middle in x and in y, m"
    )
    object_yaw_range_rad: float = Field(ge=0, le=math.pi, description="the object is turned by up to +- this, rad")

    @model_validator(mode="after")
    def _can_be_taken(self) -> Start:
        slides, hinges = BASE_CONTROLS[:3], BASE_CONTROLS[3:]
        check_positions(slides, self.hand_position_m, ("hand_position_m",), self.hand_position_range_m)
        check_positions(hinges, self.hand_rotation_rad, ("hand_rotation_rad",), self.hand_rotation_range_rad)
        check_positions(FINGER_CONTROLS, self.finger_positions_rad, ("finger_positions_rad",))
        return self


class Target(Section):
    """Where the object is to be held."""

    position_range_m: Length = Field(description="within +- this of the table's middle in x and in y, m")
    height_range_m: Heights2 = Field(description="above where the object lay: lowest and highest, m")

    @model_validator(mode="after")
    def _is_not_empty(self) -> Target:
        low, high = self.height_range_m
        if low > high:
            raise problem(f"found [{low:g}, {high:g}]", "the lowest first", ("height_range_m",))
        return self


class Success(Section):
    """When the object counts as held."""

    distance_m: float = Field(gt=0, le=0.5, description="largest distance of the object from the target, m")
    speed_m_per_s: float = Field(gt=0, le=10, description="largest speed of the object, m/s")
    hold_steps: int = Field(ge=1, le=1_000_000, description="control steps in a row for which both must hold")


class Failure(Section):
    """When an episode is lost."""

    reach_m: float = Field(
        gt=0,
        le=2,
        description="the object is out of reach farther than this from the table's middle, seen from above, m",
    )
    fingertip_force_n: float = Field(
        gt=0, le=10_000, description="a fingertip has pressed on anything harder than this, N"
    )
    penetration_m: float = Field(gt=0, le=1, description="the hand has lain deeper than this in the object, m")


class GraspRewardScales(Section):
    """The lengths and forces in the reward terms."""

    near_m: float = Field(gt=0, le=10, description="a pad at this distance from the object counts as 1/e near")
    force_n: float = Field(gt=0, le=1000, description="a fingertip that presses with force f counts as tanh(f / this)")
    lifted_m: float = Field(gt=0, le=1, description="height from which the target's terms count in full")
    far_m: float = Field(gt=0, le=10, description="distance from the target at which its wide term is 1/e")
    close_m: float = Field(gt=0, le=10, description="distance from the target at which its narrow term is 1/e")
    force_limit_n: float = Field(gt=0, le=1000, description="force on a fingertip from which on it is excess")
    penetration_limit_m: float = Field(gt=0, le=0.1, description="depth in the object from which on it is excess")


class DexGraspConfig(TaskConfig):
    """DexGrasp's configuration."""

    SUMMARY: ClassVar[Optional[str]] = "Grasp an object on the table, lift it to a target in the air and hold it there."
    HAS_OBJECTS: ClassVar[Optional[bool]] = True
    DRAWN_INSTEAD: ClassVar[Mapping[str, str]] = {
        "object.friction": "object_friction",
        "object.mass_kg": "object_mass_kg",
        "object.shape": "object_shapes",
    }
    FIXED: ClassVar[Tuple[str, ...]] = (*TaskConfig.FIXED, "object")
    OBSERVATION_KEYS: ClassVar[Mapping[str, Tuple[str, Optional[int]]]] = {
        **COMMON_OBSERVATIONS,
        "pads_to_object": ("the object's centre as seen from the 5 fingertip pads, thumb first, world axes (m)", 15),
        "object_position": ("position of the object's centre in the world (m)", 3),
        "object_quaternion": ("orientation of the object, w x y z", 4),
        "object_velocity": ("velocity of the object: linear in world axes (m/s), angular in its own (rad/s)", 6),
        "object_extents": ("extents of the object along its own axes x y z (m)", 3),
        "object_shape": ("1 for what the object is, else 0: cube, sphere, cylinder, box", 4),
        "target_position": ("position of the target in the world (m)", 3),
        "object_to_target": ("target minus position of the object (m)", 3),
        "gentleness": ("1 while force and depth have been within their limits all episode, less the farther beyond", 1),
    }
    REWARD_NAMES: ClassVar[Optional[Mapping[str, str]]] = {
        "reach": "half the thumb's nearness, half the mean of the three nearest other pads'; a pad at distance d from "
        "the object's surface is exp(-d / near_m) near",
        "contact": "the thumb's hold x the best other finger's; a hold is nearness x tanh(force / force_n)",
        "lift": "height above where the object lay, over the target's, within 0 and 1",
        "target": "at distance d: (2 exp(-d / far_m) + exp(-(d / close_m)^2)) / 3, x height off the table / lifted_m, "
        "at most 1",
        "hold": "1 within success.distance_m of the target, else 0",
        "excess_force": "sum over fingertips of force above force_limit_n, over that limit, each at most 5",
        "excess_penetration": "depth in the object above penetration_limit_m, over that limit, at most 5",
        "action_rate": "mean squared change of the actions since the last step",
        "success": "1 in the step in which the object has been held long enough, else 0",
        "gentle_success": "in that step 1 - log(1 + x) / log(51), at least 0, else 0; x: by how much the episode's "
        "largest force and depth were above their limits, over those limits",
    }

    object: GraspObject = Field(description="what is to be grasped")
    start: Start = Field(description="how an episode begins")
    target: Target = Field(description="where the object is to be held")
    success: Success = Field(description="when it counts as held")
    failure: Failure = Field(description="when an episode is lost")
    reward_scales: GraspRewardScales = Field(description="scales of the reward terms")

    @model_validator(mode="after")
    def _can_be_done(self) -> DexGraspConfig:
        if self.success.hold_steps > self.episode_length_steps:
            raise problem(
                f"{self.success.hold_steps} steps do not fit an episode",
                f"at most episode_length_steps, {self.episode_length_steps}",
                ("success", "hold_steps"),
            )
        self._check_drawn_sizes()
        farthest = math.sqrt(2.0) * max(self.start.object_position_range_m, self.target.position_range_m)
        if farthest > self.failure.reach_m:
            allowed = f"at least {math.ceil(farthest * 100.0) / 100.0:g}, beyond where objects may lie and targets be"
            raise problem(f"found {self.failure.reach_m:g}", allowed, ("failure", "reach_m"))
        return self

    def _check_drawn_sizes(self) -> None:
        """Whatever shape and size are drawn, the object fits the hand."""
        drawn, own_m = self.randomisation, self.object.extents_m
        if drawn.object_size_m is None and drawn.object_shapes is None:
            return
        low, high = drawn.object_size_m or (max(own_m), max(own_m))
        names = drawn.object_shapes or (self.object.shape,)
        thinnest = min(min(proportions(name, self.object.shape, own_m)) for name in names)
        if low * thinnest < SMALLEST_M * (1.0 - 1e-9) or high > LARGEST_M:
            key = "object_size_m" if drawn.object_size_m is not None else "object_shapes"
            allowed = f"within {SMALLEST_M:g} and {LARGEST_M:g}, so sizes from {SMALLEST_M / thinnest:.3g}"
            raise problem(f"extents from {low * thinnest:.3g} to {high:g} m", allowed, ("randomisation", key))
