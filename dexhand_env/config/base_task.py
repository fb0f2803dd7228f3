"""The typed form of BaseTask's YAML: reach a commanded posture and hold it."""

from __future__ import annotations

import math
from typing import ClassVar, Mapping, Optional, Tuple

from pydantic import Field, model_validator

from dexhand_env.config.schema import Section, problem
from dexhand_env.config.task import COMMON_OBSERVATIONS, TaskConfig


class Goal(Section):
    """How far from the spawn pose a goal may lie. Finger goals cover the controls' whole range."""

    position_range_m: float = Field(ge=0, le=1, description="the goal's base position lies within +- this of spawn, m")
    rotation_range_rad: float = Field(
        ge=0, le=math.pi / 2, description="the goal's base rotation lies within +- this about each axis, rad"
    )


class Success(Section):
    """When the posture counts as reached."""

    position_m: float = Field(gt=0, le=1, description="largest distance of the base from its goal, m")
    rotation_rad: float = Field(gt=0, le=math.pi, description="largest angle of the base from its goal, rad")
    finger_rad: float = Field(
        gt=0, le=math.pi, description="largest mean error of the 19 finger joints that controls drive, rad"
    )
    hold_steps: int = Field(ge=1, le=1_000_000, description="control steps in a row for which all this must hold")


class RewardScales(Section):
    """An error e counts as tanh(|e| / scale), averaged over dimensions. A finger's scale is its control's range."""

    position_scale_m: float = Field(gt=0, le=10, description="scale of the position error, m")
    rotation_scale_rad: float = Field(gt=0, le=10, description="scale of the rotation error, rad")


class BaseTaskConfig(TaskConfig):
    """BaseTask's configuration."""

    SUMMARY: ClassVar[Optional[str]] = "Bring the whole hand, base and fingers, into a commanded posture and hold it."
    HAS_OBJECTS: ClassVar[Optional[bool]] = False
    OBSERVATION_KEYS: ClassVar[Mapping[str, Tuple[str, Optional[int]]]] = {
        **COMMON_OBSERVATIONS,
        "goal": ("the goal's values of the 18 controls (m, rad)", 18),
        "goal_errors": ("goal minus present position of the 18 controls (m, rad)", 18),
    }
    REWARD_NAMES: ClassVar[Optional[Mapping[str, str]]] = {
        "position_progress": "fall, in the step, of the mean over x y z of tanh(|error| / position_scale_m)",
        "rotation_progress": "fall of the mean over the three rotations of tanh(|error| / rotation_scale_rad)",
        "finger_progress": "fall of the mean over the 12 finger controls of tanh(|error| / the control's whole range)",
        "action_rate": "mean squared change of the actions since the last step",
        "success": "1 in the step in which the posture has been held long enough, else 0",
    }

    goal: Goal = Field(description="how goals are drawn")
    success: Success = Field(description="when the goal counts as reached")
    reward_scales: RewardScales = Field(description="scales of the tracking errors")

    @model_validator(mode="after")
    def _can_hold_within_an_episode(self) -> BaseTaskConfig:
        if self.success.hold_steps > self.episode_length_steps:
            raise problem(
                f"{self.success.hold_steps} steps do not fit an episode",
                f"at most episode_length_steps, {self.episode_length_steps}",
                ("success", "hold_steps"),
            )
        return self
