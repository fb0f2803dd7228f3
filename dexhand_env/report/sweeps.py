"""Tests of one policy grouped by what they vary: the rows of the heat map, and the curves over a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dexhand_env.report import formats
from dexhand_env.report.join import JoinedCondition
from dexhand_env.report.records import Difference

AS_TRAINED = "as trained"
SEVERAL = "several settings"
FEWEST_POINTS = 2  # other than what was trained with; fewer make no curve


@dataclass(frozen=True)
class Tested:
    """One test: how it is named beside the others of its row, its success, the number that it varies if it is one."""

    label: str
    joined: JoinedCondition
    value: float | None = None
    trained: bool = False


@dataclass(frozen=True)
class Sweep:
    """Tests that vary one thing.

    Args:
        key: the setting, as in the task's YAML; other words where there is none.
        tests: in rising order where they vary a number.
        trained: the range of that number that the policy was trained with, both ends the same for a single value.
    """

    key: str
    tests: list[Tested]
    trained: tuple[float, float] | None = None

    @property
    def is_curve(self) -> bool:
        """Whether there are enough numbers for a curve."""
        return sum(test.value is not None and not test.trained for test in self.tests) >= FEWEST_POINTS


def sweeps(
    conditions: Mapping[str, JoinedCondition],
    variants: Mapping[str, JoinedCondition],
    changes: Mapping[str, Sequence[Difference]],
    trained: str,
) -> list[Sweep]:
    """Everything that was tested: the physics first, then each setting that variants change.

    Args:
        conditions: physics conditions.
        variants: variants of the task.
        changes: what each of these changes.
        trained: the condition that the variants were tested under, which is that of training.
    """
    rows = [Sweep("physics", [Tested(name, joined, None, name == trained) for name, joined in conditions.items()])]
    by_key: dict[str, dict[str, Difference]] = {}
    several = []
    for name in variants:
        change = _only_change(changes[name])
        if change is None:
            several.append(name)
        else:
            by_key.setdefault(change.key.removeprefix("env."), {})[name] = change
    for key, same in by_key.items():
        rows.append(_sweep(key, same, variants, conditions[trained]))
    if several:
        rows.append(Sweep(SEVERAL, [Tested(name, variants[name]) for name in several]))
    return rows


def _only_change(changes: Sequence[Difference]) -> Difference | None:
    """The one change, which may be a section of a section that is left out with all its keys; None for several."""
    if len(changes) == 1:
        return changes[0]
    section, *others = {change.key.rpartition(".")[0] for change in changes}
    is_left_out = not others and section.count(".") > 1 and all(change.value is None for change in changes)
    return Difference(key=section) if is_left_out else None


def _sweep(
    key: str, changes: Mapping[str, Difference], variants: Mapping[str, JoinedCondition], as_trained: JoinedCondition
) -> Sweep:
    default = next(iter(changes.values())).default
    span = _span(default)
    label = default if isinstance(default, str) else _written(span) if span else AS_TRAINED
    tests = [Tested(label, as_trained, span[0] if span and span[0] == span[1] else None, trained=True)]
    for name, change in changes.items():
        value = _point(change.value)
        tests.append(Tested(name if value is None else formats.number(value), variants[name], value))
    # A trained range stands where its middle would be; what is no number stands at the end.
    middle = sum(span) / 2.0 if span else float("-inf")
    tests.sort(key=lambda test: middle if test.trained else float("inf") if test.value is None else test.value)
    return Sweep(key, tests, span)


def _point(value: Any) -> float | None:
    """A number, or the only one of a range; None for anything else."""
    span = _span(value)
    return span[0] if span and span[0] == span[1] else None


def _span(value: Any) -> tuple[float, float] | None:
    """A number or a range of two as lowest and highest; None for anything else."""
    ends: Sequence[Any] = value if isinstance(value, (list, tuple)) and len(value) == 2 else [value, value]
    if all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends) and ends[0] <= ends[1]:
        return float(ends[0]), float(ends[1])
    return None


def _written(span: tuple[float, float]) -> str:
    low, high = map(formats.number, span)
    return low if low == high else f"{low}{formats.EN_DASH}{high}"
