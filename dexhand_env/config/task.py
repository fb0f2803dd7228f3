"""The typed form of a task's YAML: the sections that every task has.

A task with keys of its own subclasses :class:`TaskConfig` and adds fields; it may name its observations and rewards.
Every key must be given: the defaults stand in ``cfg/task_defaults.yaml`` and ``cfg/task/<Task>.yaml`` alone.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Literal, Mapping, Optional, Tuple

from pydantic import Field, field_validator, model_validator
from typing_extensions import Annotated

from dexhand_env.config.actions import Actions
from dexhand_env.config.backends import LIMITS, BackendName, able_to_change, able_to_slide
from dexhand_env.config.curriculum import Curriculum
from dexhand_env.config.physics import physics_names
from dexhand_env.config.randomisation import Randomisation
from dexhand_env.config.schema import FROM_LIST, Section, choices, problem, shown

# Observation keys of every task: what each is, its unit, and its length (None: the number of policy actions).
COMMON_OBSERVATIONS: Mapping[str, Tuple[str, Optional[int]]] = {
    "joint_positions": ("positions of the 6 base joints (m, rad) and the 20 finger joints (rad)", 26),
    "joint_velocities": ("velocities of the same joints (m/s, rad/s)", 26),
    "target_errors": ("commanded target minus present position of the 18 controls (m, rad)", 18),
    "previous_actions": ("the policy's last actions, each in [-1, 1]", None),
    "hand_position": ("position of the hand's base in the world (m)", 3),
    "hand_quaternion": ("orientation of the hand's base in the world, w x y z", 4),
    "fingertip_positions": ("positions of the 5 fingertips in the world, thumb first (m)", 15),
    "fingertip_forces": ("contact forces on the 5 fingertips in the world frame, thumb first (N)", 15),
}

# The tasks whose code this project's tests look after.
SHIPPED_TASKS = ("BaseTask", "DexGrasp")

Keys = Annotated[Tuple[str, ...], FROM_LIST]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


class Sim(Section):
    """The simulator."""

    backend: BackendName = Field(
        description="what steps the physics; auto takes the best that the simulation device has"
    )
    physics: str = Field(description="a preset of cfg/physics.yaml")

    @field_validator("physics")
    @classmethod
    def _is_a_preset(cls, name: str) -> str:
        if name not in physics_names():
            raise problem(f"found {shown(name)}", choices(physics_names(), name))
        return name


class Hand(Section):
    """The hand and where it starts."""

    side: Literal["right", "left"] = Field(description="which hand")
    spawn_height_m: float = Field(ge=0, le=3, description="height of the hand's base at the start, m")
    base_stiffness_factor: float = Field(
        ge=0.01, le=1, description="the base's position gains are multiplied by this, its damping by the square root"
    )
    base_force_limit_n: float = Field(gt=0, le=500, description="largest force of the base along each axis, N")
    base_torque_limit_n_m: float = Field(gt=0, le=50, description="largest torque of the base about each axis, N m")
    finger_torque_limit_n_m: float = Field(gt=0, le=2, description="largest torque of each finger joint, N m")


class Observations(Section):
    """Which observations the policy and the critic see, in this order."""

    policy: Keys = Field(min_length=1, description="observation keys of the policy, in order")
    critic: Keys = Field(
        default=(),
        description="all that a critic with a network of its own sees (params.config.central_value_config), in order",
    )


class TaskConfig(Section):
    """What every task's configuration holds."""

    #: What the hand is to do, a sentence for the reader of a report.
    SUMMARY: ClassVar[Optional[str]] = None

    # None leaves names to the task's code: they are compared with it when the environment is made.
    #: The observation keys that may be chosen: key -> (meaning and unit, length; None is the number of actions).
    OBSERVATION_KEYS: ClassVar[Optional[Mapping[str, Tuple[str, Optional[int]]]]] = None
    #: The reward terms, each of which must be given a weight: name -> meaning.
    REWARD_NAMES: ClassVar[Optional[Mapping[str, str]]] = None

    #: Keys that do nothing while a key of ``randomisation`` is given, which is drawn in their place: key -> that one.
    DRAWN_INSTEAD: ClassVar[Mapping[str, str]] = {}

    #: Whether there are objects; None leaves it to the scene.
    HAS_OBJECTS: ClassVar[Optional[bool]] = None

    #: Data that the task reads, files and folders seen from the one that holds its class: the pipeline watches them.
    FILES: ClassVar[Tuple[str, ...]] = ()

    #: Keys that stay as they are in training, whatever the curriculum: what the scene and the policy are made of.
    FIXED: ClassVar[Tuple[str, ...]] = (
        *("task", "sim", "hand", "episode_length_steps", "stagger_first_episodes", "observations"),
        "curriculum",
    )

    task: str = Field(description="the task's name")
    sim: Sim = Field(description="the simulator")
    hand: Hand = Field(description="the hand")
    episode_length_steps: int = Field(
        ge=1, le=1_000_000, description="an episode ends after so many control steps of 0.02 s"
    )
    stagger_first_episodes: bool = Field(
        description="whether the first episode of each environment is cut at a random length, so that they do not all "
        "end together"
    )
    actions: Actions = Field(description="what the policy commands")
    observations: Observations = Field(description="what the policy and the critic see")
    rewards: Dict[str, Weight] = Field(
        description="weight of each reward term; 0 switches a term off. The reward of a step is the weighted sum"
    )

    randomisation: Randomisation = Field(description="what is randomised; empty for nothing")
    curriculum: Optional[Curriculum] = Field(
        default=None, description="what is easier at the beginning of training; null for nothing"
    )

    @model_validator(mode="after")
    def _can_be_randomised(self) -> Any:
        for key in self.randomisation.of_objects if self.HAS_OBJECTS is False else ():
            at = ("randomisation", *key.split("."))
            raise problem(f"{self.task} has no object", "null; gains, damping, actions, observations, base", at)
        for key in self.randomisation.observation_noise or ():
            if key not in self.observations.policy:
                at = ("randomisation", "observation_noise", key)
                raise problem("the policy does not see it", choices(self.observations.policy, key), at)
        return self

    @model_validator(mode="after")
    def _backend_can_randomise(self) -> Any:
        backend, limits = self.sim.backend, LIMITS[self.sim.backend]
        for key in limits.not_randomised:
            if getattr(self.randomisation, key) is not None:
                found = f"{backend} cannot change it from episode to episode"
                raise problem(found, f"null; or sim.backend {able_to_change(key)}", ("randomisation", key))
        friction = (self.randomisation.object_friction or (limits.lowest_friction,))[0]
        if friction < limits.lowest_friction:
            found, lowest = f"found {friction:g} with sim.backend {backend}", f"at least {limits.lowest_friction:g}"
            raise problem(
                found, f"{lowest}; or sim.backend {able_to_slide(friction)}", ("randomisation", "object_friction")
            )
        return self

    @model_validator(mode="after")
    def _actions_can_count(self) -> Any:
        longest = (self.randomisation.action_delay_steps or (0,))[-1]
        if longest >= self.episode_length_steps:
            raise problem(
                f"no action counts within an episode of {self.episode_length_steps} steps, {longest} steps late",
                f"at most {self.episode_length_steps - 1}, below episode_length_steps",
                ("randomisation", "action_delay_steps"),
            )
        base, below = self.actions.base, self.hand.spawn_height_m
        if not base.policy and base.fixed_targets[2] < -below:
            found = f"found {base.fixed_targets[2]:g} m for ARTz, which holds the hand's base under the table"
            allowed = f"at least {-below:g} m, with hand.spawn_height_m {below:g}"
            raise problem(found, allowed, ("actions", "base", "fixed_targets", 2))
        return self

    @model_validator(mode="after")
    def _names_known_observations(self) -> Any:
        for part in ("policy", "critic"):
            keys = getattr(self.observations, part)
            for index, key in enumerate(keys):
                at = ("observations", part, index)
                if self.OBSERVATION_KEYS is not None and key not in self.OBSERVATION_KEYS:
                    raise problem(f"unknown observation {shown(key)}", choices(self.OBSERVATION_KEYS, key), at)
                if key in keys[:index]:
                    raise problem(f"{key} is listed twice", "each key once", at)
        return self

    @field_validator("rewards")
    @classmethod
    def _names_known_rewards(cls, rewards: Dict[str, float]) -> Dict[str, float]:
        if cls.REWARD_NAMES is None:
            return rewards
        for name in rewards:
            if name not in cls.REWARD_NAMES:
                raise problem("unknown reward", choices(cls.REWARD_NAMES, name), (name,))
        for name in cls.REWARD_NAMES:
            if name not in rewards:
                raise problem("missing weight", "a number; 0 switches the term off", (name,))
        return rewards

    @property
    def needs_trial(self) -> bool:
        """Whether the task's code is to be tried out before a run: the project's tests do so for the shipped ones."""
        return self.task not in SHIPPED_TASKS

    def observation_lengths(self, part: Literal["policy", "critic"]) -> Optional[Tuple[int, ...]]:
        """The number of values under each key of the policy, or of what only the critic sees; None where only the
        task's code knows."""
        if self.OBSERVATION_KEYS is None:
            return None
        lengths = (self.OBSERVATION_KEYS[key][1] for key in getattr(self.observations, part))
        return tuple(self.actions.num_actions if length is None else length for length in lengths)

    def observation_length(self, part: Literal["policy", "critic"]) -> Optional[int]:
        """The sum of ``observation_lengths``, None where only the task's code knows."""
        lengths = self.observation_lengths(part)
        return None if lengths is None else sum(lengths)
