"""The statistics of training against counting episode by episode."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.env.rewards import RewardTerms
from dexhand_env.env.vec_env import SUCCESS, Step
from dexhand_env.rl.statistics import TrainingStatistics

NAMES = ("running", "success", "timeout", "nan", "dropped")
CPU = torch.device("cpu")


def drawn_step(num_envs: int, generator: torch.Generator, end_rate: float) -> Step:
    def uniform() -> torch.Tensor:
        return torch.rand(num_envs, generator=generator)

    dones = uniform() < end_rate
    outcomes = torch.where(dones, 1 + (uniform() * 4).to(torch.int64), torch.zeros(num_envs, dtype=torch.int64))
    raw = {"near": uniform(), "far": uniform()}
    weighted = {name: -2.0 * term for name, term in raw.items()}
    return Step(
        observations={},
        rewards=uniform(),
        dones=dones,
        outcomes=outcomes,
        terms=RewardTerms(raw, weighted, torch.stack(tuple(weighted.values())).sum(dim=0)),
        episode_returns=uniform() * 10.0 - 5.0,
        episode_lengths=1 + (uniform() * 99).to(torch.int64),
        whole_episodes=uniform() < 0.7,
        metrics={},
    )


Episode = Tuple[float, int, int]


def episodes_of(steps: List[Step]) -> List[Episode]:
    """(return, length, outcome) of every whole episode that ended."""
    return [
        (float(step.episode_returns[world]), int(step.episode_lengths[world]), int(step.outcomes[world]))
        for step in steps
        for world in range(len(step.dones))
        if step.dones[world] and step.whole_episodes[world]
    ]


def expected_row(steps: List[Step]) -> Dict[str, float]:
    row: Dict[str, float] = {}
    episodes = episodes_of(steps)
    count = len(episodes)
    if count:
        row["return"] = sum(episode[0] for episode in episodes) / count
        row["episode_length"] = sum(episode[1] for episode in episodes) / count
        row["success_rate"] = sum(episode[2] == SUCCESS for episode in episodes) / count
        for index, name in enumerate(NAMES[1:], start=1):
            row[f"termination/{name}"] = sum(episode[2] == index for episode in episodes) / count
    for prefix, field in (("reward", "weighted"), ("raw_reward", "raw")):
        for name in ("near", "far"):
            values = [float(value) for step in steps for value in getattr(step.terms, field)[name]]
            row[f"{prefix}/{name}"] = sum(values) / len(values)
    return row


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    num_envs=st.integers(1, 9),
    iterations=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    end_rate=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    cut=st.integers(0, 6),
)
def test_every_column_is_counted_right(
    seed: int, num_envs: int, iterations: List[int], end_rate: float, cut: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    statistics = TrainingStatistics(num_envs, NAMES, CPU)
    per_iteration: List[List[Episode]] = []
    for index, count in enumerate(iterations):
        if index == cut:  # as if training had been resumed from a checkpoint here
            state = statistics.get_state()
            statistics = TrainingStatistics(num_envs, NAMES, CPU)
            statistics.set_state(state)
        steps = [drawn_step(num_envs, generator, end_rate) for _ in range(count)]
        for step in steps:
            statistics.add(step)
        assert statistics.finish_iteration() == pytest.approx(expected_row(steps), rel=1e-5, abs=1e-6)
        per_iteration.append(episodes_of(steps))
        assert statistics.finished_episodes == sum(map(len, per_iteration))
        check_recent(statistics, per_iteration, num_envs)


def check_recent(statistics: TrainingStatistics, per_iteration: List[List[Episode]], num_envs: int) -> None:
    """The fewest latest iterations that together have at least num_envs episodes."""
    latest: List[Episode] = []
    for episodes in reversed(per_iteration):
        if len(latest) < num_envs:
            latest = episodes + latest
    found: Any = statistics.recent()
    if len(latest) < num_envs:
        assert found is None
        return
    count = len(latest)
    assert found.episodes == count
    assert found.episode_return == pytest.approx(sum(each[0] for each in latest) / count, rel=1e-5, abs=1e-5)
    assert found.length_steps == pytest.approx(sum(each[1] for each in latest) / count)
    assert found.success_rate == pytest.approx(sum(each[2] == SUCCESS for each in latest) / count)
