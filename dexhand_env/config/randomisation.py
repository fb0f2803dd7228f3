"""The `randomisation` section: what differs from episode to episode in physics, actions and observations."""

from __future__ import annotations

from typing import Dict, Optional, Tuple

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Annotated

from dexhand_env.config.object_shapes import ShapeName
from dexhand_env.config.schema import FROM_LIST, Section, problem


def _lowest_first(bounds: Tuple[float, ...]) -> Tuple[float, ...]:
    low, high = bounds
    if low > high:
        raise problem(f"found [{low:g}, {high:g}]", "the lowest first")
    return bounds


def _each_once(names: Tuple[str, ...]) -> Tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise problem(f"{name} is listed twice", "each shape once")
    return names


_TWO, _ORDERED = Field(min_length=2, max_length=2), AfterValidator(_lowest_first)
Friction = Annotated[float, Field(ge=0.05, le=3)]
Mass = Annotated[float, Field(ge=0.005, le=2)]
Size = Annotated[float, Field(ge=0.005, le=1)]
Factor = Annotated[float, Field(ge=0.1, le=10)]
Seconds = Annotated[float, Field(ge=0.02, le=3600)]
Steps = Annotated[int, Field(ge=0, le=50)]
Amplitude = Annotated[float, Field(ge=0, le=1000)]
Frictions = Annotated[Tuple[Friction, ...], _TWO, FROM_LIST, _ORDERED]
Masses = Annotated[Tuple[Mass, ...], _TWO, FROM_LIST, _ORDERED]
Sizes = Annotated[Tuple[Size, ...], _TWO, FROM_LIST, _ORDERED]
Shapes = Annotated[Tuple[ShapeName, ...], Field(min_length=1), FROM_LIST, AfterValidator(_each_once)]
Factors = Annotated[Tuple[Factor, ...], _TWO, FROM_LIST, _ORDERED]
Times = Annotated[Tuple[Seconds, ...], _TWO, FROM_LIST, _ORDERED]
Delays = Annotated[Tuple[Steps, ...], _TWO, FROM_LIST, _ORDERED]


OF_OBJECTS = ("object_friction", "object_mass_kg", "object_shapes", "object_size_m")


class Pushes(Section):
    """Sudden changes of velocity, all along."""

    every_s: Times = Field(description="time from one push to the next, s: shortest and longest")
    object_m_per_s: Optional[float] = Field(
        default=None, ge=0, le=10, description="each object is pushed by up to +- this along each axis, m/s"
    )
    base_m_per_s: Optional[float] = Field(
        default=None, ge=0, le=10, description="the hand's base is pushed by up to +- this along each axis, m/s"
    )

    @model_validator(mode="after")
    def _push_something(self) -> Pushes:
        if not self.object_m_per_s and not self.base_m_per_s:
            raise problem("nothing is pushed", "object_m_per_s or base_m_per_s above 0")
        return self


class Randomisation(Section):
    """Ranges are [lowest, highest]; what is left out is not randomised. Every draw is even over its range."""

    object_friction: Optional[Frictions] = Field(
        default=None, description="sliding friction of each object, once an episode"
    )
    object_mass_kg: Optional[Masses] = Field(default=None, description="mass of each object, once an episode, kg")
    object_shapes: Optional[Shapes] = Field(
        default=None, description="shapes of which each object has one, once an episode; each is as likely"
    )
    object_size_m: Optional[Sizes] = Field(
        default=None, description="size of each object, which is its largest extent, once an episode, m"
    )
    gain_factor: Optional[Factors] = Field(
        default=None, description="the position gain of each joint of the hand is multiplied by this, once an episode"
    )
    damping_factor: Optional[Factors] = Field(
        default=None, description="the damping of each joint of the hand is multiplied by this, once an episode"
    )
    action_delay_steps: Optional[Delays] = Field(
        default=None, description="control steps from an action to its effect, once an episode"
    )
    action_noise: Optional[float] = Field(
        default=None, ge=0, le=2, description="every action is off by up to +- this before it is cut to [-1, 1]"
    )
    observation_noise: Optional[Dict[str, Amplitude]] = Field(
        default=None, description="each value of these observations of the policy is off by up to +- this"
    )
    pushes: Optional[Pushes] = Field(default=None, description="sudden changes of velocity; left out for none")

    @property
    def of_objects(self) -> Tuple[str, ...]:
        """The keys that only make sense where there is an object."""
        keys = [key for key in OF_OBJECTS if getattr(self, key) is not None]
        if self.pushes is not None and self.pushes.object_m_per_s:
            keys.append("pushes.object_m_per_s")
        return tuple(keys)

    @property
    def is_on(self) -> bool:
        """Whether anything is randomised."""
        return self != Randomisation()
