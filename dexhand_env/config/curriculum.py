"""The `curriculum` section: ranges, thresholds and reward weights that begin easier than the configuration has them.

Level 0 is the beginning, level ``widenings`` the configuration itself or as near to it as training shall come.
Selection and evaluation always use the configuration itself.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, Optional, Tuple, TypeVar

from pydantic import BaseModel, Field, ValidationError

from dexhand_env.config.check import first_problem
from dexhand_env.config.layers import Stack, contains, dotted, value_at
from dexhand_env.config.schema import Section, choices, shown
from dexhand_env.errors import UserError

Config = TypeVar("Config", bound=BaseModel)


class Curriculum(Section):
    """When an episode's ranges widen in training, and where they begin."""

    success_rate: float = Field(
        gt=0, le=1, description="ranges widen once more where so large a share of the counted episodes succeeded"
    )
    episodes: int = Field(
        ge=1,
        le=10**9,
        description="so many episodes, of all processes together, are counted at least before that is judged and the "
        "count begins anew",
    )
    widenings: int = Field(
        ge=1, le=1000, description="equal steps from the values of `from` to those of the last level"
    )
    settle_steps: Optional[int] = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="for so many control steps from a widening on no episode counts, since it may have begun at an "
        "earlier level; as many as an episode may last if left out",
    )
    beginning: Dict[str, Any] = Field(
        alias="from",
        min_length=1,
        description="values at the beginning, each by the dotted key of a number or a list of numbers of this "
        "configuration, as `success.hold_steps: 10`",
    )
    end: Optional[Dict[str, Any]] = Field(
        default=None,
        alias="to",
        min_length=1,
        description="values at the last level, for keys of `from` whose values in training stay easier than those of "
        "the configuration itself",
    )

    @property
    def ends(self) -> Dict[str, Any]:
        """``end``, none where it is left out."""
        return self.end or {}


def config_at(config: Config, level: int) -> Config:
    """The configuration with the numbers of a level, linear between the beginning and its own; integers are rounded.

    Args:
        config: a task's configuration with a curriculum.
        level: from 0 to ``widenings``, where the configuration is its own but for the curriculum's ``end``.

    Raises:
        pydantic.ValidationError: not valid with these numbers; :func:`check_curriculum` has made sure that it is.
    """
    curriculum: Curriculum = getattr(config, "curriculum")  # noqa: B009  (its class is not known here)
    if level == curriculum.widenings and not curriculum.ends:
        return config
    return type(config).model_validate(_values_at(config, level)).model_copy(update={"curriculum": curriculum})


def without_curriculum(config: Config) -> Config:
    """The same configuration without what it begins with."""
    return config.model_copy(update={"curriculum": None})


def _values_at(config: Any, level: int) -> Dict[str, Any]:
    values: Dict[str, Any] = without_curriculum(config).dump()
    curriculum: Curriculum = config.curriculum
    for key, first in curriculum.beginning.items():
        *path, name = key.split(".")
        section = value_at(values, tuple(path))
        own = section[name]
        section[name] = _between(first, curriculum.ends.get(key, own), own, level / curriculum.widenings)
    return values


def _between(first: Any, last: Any, own: Any, share: float) -> Any:
    """Of the kind of the configuration's own value, and just ``last`` at the end, which a sum may miss by a bit."""
    if isinstance(own, list):
        return [_between(*each, share) for each in zip(first, last, own)]
    value = first + (last - first) * share if share < 1 else last
    return round(value) if isinstance(own, int) else value


def check_curriculum(config: Any, stack: Stack) -> None:
    """Check the curriculum of a task's configuration, if it has one, and the configuration at each of its levels.

    Args:
        config: the task's configuration, valid itself.
        stack: where its values came from.

    Raises:
        UserError: a key that may not change in training, a value unlike the configuration's own, or a level at which
            the configuration would not be valid.
    """
    if config.curriculum is None:
        return
    values = config.dump()
    may_change = {
        key: number
        for section in values
        if section not in config.FIXED
        for key, number in _numbers(values[section], section)
    }
    curriculum: Curriculum = config.curriculum
    for key, first in curriculum.beginning.items():
        where = stack.where(("curriculum", "from", key))
        inside = [name for name in may_change if name.startswith(f"{key}.")]
        if inside:
            raise UserError(where, "is a section", f"its dotted keys, {choices(inside)}")
        if key not in may_change:
            is_there = contains(values, tuple(key.split(".")))
            reason = "cannot change in training" if is_there else "no number of the configuration"
            raise UserError(where, reason, choices(may_change, key))
        _check_alike(first, may_change[key], where)
    for key, last in curriculum.ends.items():
        where = stack.where(("curriculum", "to", key))
        if key not in curriculum.beginning:
            raise UserError(where, "does not begin elsewhere", choices(curriculum.beginning, key))
        _check_alike(last, may_change[key], where)
    # Both ends first: an end that is wrong itself is to be named, and not a level on the way to it.
    for level in (0, curriculum.widenings, *range(1, curriculum.widenings)):
        try:
            config_at(config, level)
        except ValidationError as error:
            raise _invalid_level(error, config, level, stack) from error


def _check_alike(value: Any, own: Any, where: str) -> None:
    if not _alike(value, own):
        raise UserError(where, f"found {shown(value)}", f"{_kind(own)}, as the configuration has")


def _numbers(value: Any, key: str) -> Iterator[Tuple[str, Any]]:
    """Numbers and lists of numbers in nested sections, by their dotted keys."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, f"{key}.{name}")
    elif _alike(value, value):
        yield key, value


def _alike(value: Any, own: Any) -> bool:
    """Whether a value is as much a number, or a list of as many numbers, as the configuration's own is."""
    if isinstance(own, list):
        alike = isinstance(value, list) and len(value) == len(own) > 0
        return alike and all(_alike(*pair) for pair in zip(value, own))
    if isinstance(value, bool) or isinstance(own, bool):
        return False
    return isinstance(own, (int, float)) and isinstance(value, int if isinstance(own, int) else (int, float))


def _kind(own: Any) -> str:
    if isinstance(own, list):
        return f"a list of {len(own)} items, each {_kind(own[0])}"
    return "a whole number" if isinstance(own, int) else "a number"


def _invalid_level(error: ValidationError, config: Any, level: int, stack: Stack) -> UserError:
    """The line that names the key whose beginning or end makes a level invalid, as far as one key does."""
    path, found, allowed = first_problem(error, type(config), _values_at(config, level))
    at_the_end = level == config.curriculum.widenings
    section, named = ("to", config.curriculum.ends) if at_the_end else ("from", config.curriculum.beginning)
    keys = (key for key in named if tuple(key.split(".")) == path[: key.count(".") + 1])
    where = stack.where(("curriculum", section, *keys))
    return UserError(where, f"at level {level} {dotted(path)}: {found}", allowed)
