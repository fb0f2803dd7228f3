"""Several experiments side by side as one page."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from dexhand_env.errors import UserError
from dexhand_env.report.charts import Chart, compared_curve
from dexhand_env.report.comparable import asked_differently, flat
from dexhand_env.report.difference import Counted, Difference, difference_of, holm
from dexhand_env.report.page import (
    CONTENT_POLICY,
    Scale,
    drawing_code,
    environment,
    json_for_script,
    own_code,
    resource,
)
from dexhand_env.report.records import Fraction, History, Recorded, ReportConfig, read_history, read_json

CURVES = (("success_rate", "Success rate"), ("return", "Return"), ("episode_length", "Episode length (steps)"))


class SeedCounts(Recorded):
    episodes: int = Field(ge=1)
    successes: int = Field(ge=0)
    success_rate: Fraction
    interval: tuple[Fraction, Fraction]


class JoinedRecord(Recorded):
    success_rate: Fraction
    interval: tuple[Fraction, Fraction]
    per_seed: dict[str, SeedCounts] = Field(min_length=1)

    @property
    def tested(self) -> Counted:
        """What a test of difference needs."""
        counts = tuple((seed.successes, seed.episodes) for seed in self.per_seed.values())
        return Counted(self.success_rate, self.interval, counts)


class JoinedFile(Recorded):
    """results/<Experiment>/evaluation.json."""

    conditions: dict[str, JoinedRecord] = Field(min_length=1)


@dataclass(frozen=True)
class Compared:
    """What the page shows of one experiment."""

    config: ReportConfig
    conditions: dict[str, JoinedRecord]
    histories: dict[int, History]

    @property
    def name(self) -> str:
        """The experiment's."""
        return self.config.experiment


@dataclass(frozen=True)
class Pair:
    """Two experiments of one task under one condition; ``p_value`` is adjusted for all pairs of the page."""

    first: str
    second: str
    condition: str
    difference: Difference
    p_value: float


@dataclass(frozen=True)
class Untested:
    """Two experiments of one task whose tests under a condition ask for different things, and which."""

    first: str
    second: str
    condition: str
    differences: list[str]


@dataclass(frozen=True)
class Missing:
    """An experiment without complete results, and what is missing or wrong."""

    name: str
    reason: str


def read_compared(folder: Path) -> Compared:
    """An experiment's part of the page, from results/<Experiment>.

    Raises:
        UserError: a file is missing or damaged; names it.
    """
    config = read_json(folder / "config" / "report.json", ReportConfig)
    joined = read_json(folder / "evaluation.json", JoinedFile)
    histories = {seed: read_history(folder / f"seed{seed}" / "history.csv") for seed in config.seeds}
    return Compared(config, joined.conditions, histories)


def read_all(folders: Sequence[Path]) -> tuple[list[Compared], list[Missing]]:
    """Every experiment that has results, and the others with what they lack."""
    found, missing = [], []
    for folder in folders:
        try:
            found.append(read_compared(folder))
        except UserError as error:
            where, problem, _ = error.args
            missing.append(Missing(folder.name, f"{where}: {problem}"))
    return found, missing


def _of_one_task(experiments: Sequence[Compared]) -> Iterator[tuple[Compared, Compared, str, list[str]]]:
    """Every two experiments of the same task, each condition that both have, and in what the two tests differ there."""
    for a, b in itertools.combinations(experiments, 2):
        for name in a.conditions if a.config.task == b.config.task else ():
            if name in b.conditions:
                yield a, b, name, asked_differently(a.config.config, b.config.config, name)


def pairs_of(experiments: Sequence[Compared]) -> list[Pair]:
    """Every two experiments of the same task, under each condition that both have, where the tests ask for the same."""
    drafts = [
        (a.name, b.name, name, difference_of(a.conditions[name].tested, b.conditions[name].tested))
        for a, b, name, differences in _of_one_task(experiments)
        if not differences
    ]
    adjusted = holm([draft[-1].p_value for draft in drafts])
    return [Pair(*draft, p_value) for draft, p_value in zip(drafts, adjusted, strict=True)]


def untested_of(experiments: Sequence[Compared]) -> list[Untested]:
    """The other pairs of the same task, whose rates are of different things."""
    return [
        Untested(a.name, b.name, name, differences)
        for a, b, name, differences in _of_one_task(experiments)
        if differences
    ]


def config_differences(experiments: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    """The keys in which configurations differ, each with the experiments' values; empty text where one has no such."""
    settings = [flat(experiment.config.config) for experiment in experiments]
    keys = dict.fromkeys(key for values in settings for key in values)
    rows = [(key, [values.get(key, "") for values in settings]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def render_comparison(experiments: Sequence[Compared], missing: Sequence[Missing]) -> str:
    """The page, which fetches nothing.

    Args:
        experiments: with results, at least one.
        missing: without.
    """
    histories = {experiment.name: experiment.histories for experiment in experiments}
    charts = [compared_curve(histories, column, title) for column, title in CURVES]
    drawn: list[Chart] = [chart for chart in charts if chart is not None]
    intervals = [record.interval[0] for experiment in experiments for record in experiment.conditions.values()]
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            experiments=experiments,
            missing=missing,
            pairs=pairs_of(experiments),
            untested=untested_of(experiments),
            differences=config_differences(experiments),
            scale=Scale.holding(intervals),
            charts=drawn,
            content_policy=CONTENT_POLICY,
            style=own_code(resource("style.css")),
            script=own_code(resource("charts.js") + resource("comparison.js")),
            vega=drawing_code(),
            payload=json_for_script({"charts": {f"curves-{index}": chart.spec for index, chart in enumerate(drawn)}}),
        )
    )
