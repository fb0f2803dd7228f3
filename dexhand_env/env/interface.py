"""What the numbers that go into a policy and come out of it mean; a checkpoint keeps it, and no other is played."""

from __future__ import annotations

import sys
from itertools import zip_longest
from typing import Any, Dict, Literal, Mapping, Optional, Sequence, Tuple

from pydantic import Field, ValidationError
from typing_extensions import Annotated

from dexhand_env.config.actions import NUM_BASE_CONTROLS, NUM_FINGER_CONTROLS
from dexhand_env.config.layers import dotted
from dexhand_env.config.schema import FROM_LIST, Section
from dexhand_env.errors import UserError

Observation = Annotated[Tuple[str, Annotated[int, Field(ge=0)]], FROM_LIST]
Observations = Annotated[Tuple[Observation, ...], FROM_LIST]
Parts = Annotated[Tuple[Literal["base", "fingers"], ...], Field(min_length=1, max_length=2), FROM_LIST]


class PolicyInterface(Section):
    """The meaning of a policy's observations and actions.

    What may change between training, going on and playing is not in it: the physics' time step, limits of speed, what
    is randomised.
    """

    hand_side: Literal["right", "left"] = Field(description="which hand")
    action_mode: Literal["position", "position_delta"] = Field(description="what an action asks for")
    driven_parts: Parts = Field(description="the parts of the hand that the actions move")
    control_dt_s: float = Field(gt=0, description="time from one action to the next, s")
    policy: Observations = Field(min_length=1, description="the policy's observation keys in order, with their lengths")
    critic: Observations = Field(description="the same of a critic with a network of its own; empty without one")

    @property
    def observation_size(self) -> int:
        """The number of values in the policy's observation."""
        return sum(length for _, length in self.policy)

    @property
    def num_actions(self) -> int:
        """The number of values in an action."""
        controls = {"base": NUM_BASE_CONTROLS, "fingers": NUM_FINGER_CONTROLS}
        return sum(controls[part] for part in self.driven_parts)

    @property
    def critic_size(self) -> int:
        """The number of values in the critic's observation; 0 without a critic of its own."""
        return sum(length for _, length in self.critic)

    def without_critic(self) -> PolicyInterface:
        """The same for a policy that is played, or learns without a critic of its own."""
        return self.model_copy(update={"critic": ()})

    def to_plain(self) -> Dict[str, Any]:
        """Lists, strings and numbers. Equal strings are one object, since pickle's bytes tell whether they are."""
        return {sys.intern(key): _interned(value) for key, value in self.dump().items()}


def interface_of(config: Any, control_dt_s: float, lengths: Mapping[str, Sequence[int]]) -> PolicyInterface:
    """That of a task's configuration.

    Args:
        config: the task's configuration.
        control_dt_s: the control period, s.
        lengths: of the observations that are listed under ``policy`` and ``critic``.
    """
    keys = config.observations
    return PolicyInterface(
        hand_side=config.hand.side,
        action_mode=config.actions.mode,
        driven_parts=tuple(part for part in ("base", "fingers") if getattr(config.actions, part).policy),
        control_dt_s=control_dt_s,
        policy=tuple(zip(keys.policy, lengths["policy"])),
        critic=tuple(zip(keys.critic, lengths.get("critic", ()))),
    )


def interface_from_plain(values: Any, where: str) -> PolicyInterface:
    """What ``to_plain`` gave.

    Raises:
        UserError: damaged; ``where`` names the file.
    """
    try:
        return PolicyInterface.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = dotted(("interface", *first["loc"]))
        raise UserError(where, f"{key} is damaged ({first['msg']})", "a checkpoint written by train.py") from error


def first_difference(found: PolicyInterface, wanted: PolicyInterface) -> Optional[Tuple[str, str]]:
    """The first thing in which a policy's interface is not the one that is wanted: what was found, and what is allowed.

    None where they are equal.
    """
    for name, setting in (
        ("hand_side", "hand.side {}"),
        ("action_mode", "actions.mode {}"),
        ("driven_parts", "actions of the {}"),
        ("control_dt_s", "a control period of {} s"),
    ):
        had, needed = getattr(found, name), getattr(wanted, name)
        if had != needed:
            return f"was trained with {setting.format(_words(had))}", setting.format(_words(needed))
    for group in ("policy", "critic"):
        pairs = zip_longest(getattr(found, group), getattr(wanted, group))
        for place, (had, needed) in enumerate(pairs, start=1):
            if had != needed:
                return f"observation {place} of the {group}: {_listed(had)}", _listed(needed)
    return None


def _interned(value: Any) -> Any:
    if isinstance(value, list):
        return [_interned(item) for item in value]
    return sys.intern(value) if isinstance(value, str) else value


def _words(value: Any) -> str:
    return " and the ".join(value) if isinstance(value, tuple) else str(value)


def _listed(observation: Optional[Tuple[str, int]]) -> str:
    return "none" if observation is None else "{} ({})".format(*observation)
