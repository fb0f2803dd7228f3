"""Joins the evaluations of several training seeds into one success rate with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dexhand_env.intervals import wilson_interval
from dexhand_env.report.results import Results

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class JoinedCondition:
    """One physics condition over all training seeds; ``interval`` is (low, high) at 95 %."""

    success_rate: float
    interval: tuple[float, float]
    episodes: int
    per_seed: dict[int, dict[str, Any]]

    def meets(self, goal: float) -> bool:
        """Whether the lower bound of EVERY seed reaches ``goal``; a good mean does not hide a bad seed."""
        return all(seed["interval"][0] >= goal for seed in self.per_seed.values())

    def metric(self, name: str) -> tuple[float | None, float | None]:
        """Mean over the seeds' means, and the largest of all, of one of the task's metrics; None without a value."""
        values = [seed["metrics"][name] for seed in self.per_seed.values()]
        known = [value for value in values if value["mean"] is not None]
        if not known:
            return None, None
        return sum(value["mean"] for value in known) / len(known), max(value["largest"] for value in known)

    def mean(self, key: str) -> float:
        """The mean over the seeds of one figure, e.g. ``mean_return``."""
        return sum(seed[key] for seed in self.per_seed.values()) / len(self.per_seed)

    @property
    def lowest(self) -> float:
        """The lowest of the seeds' lower bounds."""
        return min(seed["interval"][0] for seed in self.per_seed.values())


def joined_interval(counts: Sequence[tuple[int, int]], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean success rate over training seeds, from (successes, episodes) of each.

    With one seed this is Wilson's interval. With several, seeds are resampled with replacement and then the episodes
    within each (drawing n episodes of a 0/1 outcome with replacement is a binomial draw), so that the spread between
    seeds counts. A bootstrap collapses to a point where every episode agrees; the pooled Wilson interval is
    therefore always included. ``seed`` fixes the resampling: the same counts give the same interval.
    """
    if len(counts) == 1:
        return wilson_interval(*counts[0])
    successes, episodes = np.array(counts).T
    random = np.random.default_rng(seed)
    drawn = random.integers(len(counts), size=(RESAMPLES, len(counts)))
    rates = random.binomial(episodes[drawn], (successes / episodes)[drawn]) / episodes[drawn]
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(rates.mean(axis=1), [tail, 1.0 - tail])
    pooled_low, pooled_high = wilson_interval(int(successes.sum()), int(episodes.sum()))
    return min(float(low), pooled_low), max(float(high), pooled_high)


def join_conditions(results: Results) -> dict[str, JoinedCondition]:
    """Every condition joined over the seeds; the rate is the mean of the seeds' rates."""
    return _joined(results, list(results.first.conditions) if results.first else [])


def join_variants(results: Results) -> dict[str, JoinedCondition]:
    """Every variant, joined likewise."""
    return _joined(results, list(results.first.variants) if results.first else [])


def _joined(results: Results, names: Sequence[str]) -> dict[str, JoinedCondition]:
    joined = {}
    for name in names:
        runs = {seed: evaluation.tests[name] for seed, evaluation in results.evaluations.items()}
        counts = [(run.successes, run.episodes) for run in runs.values()]
        joined[name] = JoinedCondition(
            success_rate=sum(successes / episodes for successes, episodes in counts) / len(counts),
            interval=joined_interval(counts),
            episodes=sum(episodes for _, episodes in counts),
            per_seed={
                seed: {
                    "success_rate": run.success_rate,
                    "interval": list(run.interval),
                    "episodes": run.episodes,
                    "successes": run.successes,
                    "mean_return": run.mean_return,
                    "mean_length_steps": run.mean_length_steps,
                    "outcomes": run.outcomes,
                    "metrics": {metric: values.model_dump() for metric, values in run.metrics.items()},
                }
                for seed, run in runs.items()
            },
        )
    return joined


def joined_evaluation(
    results: Results, joined: Mapping[str, JoinedCondition], variants: Mapping[str, JoinedCondition]
) -> dict[str, Any]:
    """The content of results/<Experiment>/evaluation.json."""
    return {
        "experiment": results.config.experiment,
        "task": results.config.task,
        "seeds": results.config.seeds,
        "conditions": {name: _content(condition) for name, condition in joined.items()},
        "variants": {name: _content(condition) for name, condition in variants.items()},
    }


def _content(condition: JoinedCondition) -> dict[str, Any]:
    return {
        "success_rate": condition.success_rate,
        "interval": list(condition.interval),
        "episodes": condition.episodes,
        "per_seed": {str(seed): run for seed, run in condition.per_seed.items()},
    }
