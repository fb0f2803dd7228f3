"""A training with a curriculum: when it widens, what it plays then, and that it goes on exactly.

DexGrasp with a critic of its own, which sees the object that the policy does not.
"""

from __future__ import annotations

import csv
import math
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from dexhand_env.config.curriculum import config_at
from dexhand_env.config.registry import load_task
from dexhand_env.env.vec_env import DexHandEnv, Step, Watcher
from dexhand_env.errors import UserError
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.checkpoint import TRAINING_KEYS, checkpoint_name, load_checkpoint, save_checkpoint
from dexhand_env.rl.console import log_line
from dexhand_env.rl.curriculum import CurriculumProgress
from dexhand_env.rl.statistics import EpisodeMeans
from dexhand_env.rl.training import run_training

from .runs import ITERATIONS, curriculum_spec, differences, spec

SPEC = curriculum_spec()
Counts = List[Tuple[int, int]]


class Diary(Watcher):
    """The configurations that an iteration was played with, and its row."""

    def __init__(self) -> None:
        self.played: List[List[Any]] = [[]]
        self.rows: List[Dict[str, float]] = []

    def after_step(self, env: DexHandEnv, step: Step) -> None:
        self.played[-1].append(env.task.config)

    def after_iteration(self, row: Dict[str, float]) -> None:
        self.rows.append(row)
        self.played.append([])


class Run:
    """Six iterations with what was seen of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = Diary()
        self.ended: List[EpisodeMeans] = []
        self.recent: List[Any] = []
        run_training(SPEC, folder, on_iteration=self._note, watcher=self.diary)
        self.levels = [int(row["curriculum_level"]) for row in self.diary.rows]

    def _note(self, row: Dict[str, float], agent: DexHandAgent) -> None:
        assert agent.statistics.latest is not None
        self.ended.append(agent.statistics.latest)
        self.recent.append(agent.statistics.recent())

    def checkpoint(self, iteration: int) -> Path:
        return self.folder / "nn" / checkpoint_name(iteration)


@pytest.fixture(scope="module")
def eased(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Without a break. Not to be changed."""
    return Run(tmp_path_factory.mktemp("curriculum") / "run")


def expected_levels(counts: Counts, episodes: int, rate: Fraction, widenings: int, settling: int) -> List[int]:
    """The level of each iteration, from the (episodes, successes) that ended in each.

    For ``settling`` iterations from a widening on episodes of earlier levels may end, and none count.
    """
    level, since, unsettled, levels = 0, (0, 0), 0, []
    for ended, succeeded in counts:
        levels.append(level)
        if unsettled:
            unsettled -= 1
            continue
        since = (since[0] + ended, since[1] + succeeded)
        if since[0] >= episodes and level < widenings:
            if Fraction(since[1], since[0]) >= rate:
                level, unsettled = level + 1, settling
            since = (0, 0)
    return levels


@settings(deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (sum(pair), pair[1]))),
    episodes=st.integers(1, 100),
    hundredths=st.integers(1, 100),
    widenings=st.integers(1, 5),
    settle_steps=st.none() | st.integers(0, 200),
    broken_at=st.integers(0, 10),
)
def test_it_widens_exactly_when_it_is_time(
    counts: Counts, episodes: int, hundredths: int, widenings: int, settle_steps: Optional[int], broken_at: int
) -> None:
    """Enough settled episodes, and enough of them successful; through a checkpoint too."""
    rule: Dict[str, Any] = {"success_rate": hundredths / 100, "episodes": episodes, "widenings": widenings}
    if settle_steps is not None:
        rule["settle_steps"] = settle_steps
    config = load_task("BaseTask", {"curriculum": {**rule, "from": {"success.hold_steps": 1}}})
    progress, levels = CurriculumProgress(config, 40), []
    for index, (ended, succeeded) in enumerate(counts):
        before = progress.level
        assert progress.advance() == (progress.level != before)
        levels.append(progress.level)
        assert progress.config == config_at(config, progress.level)
        progress.count(EpisodeMeans(ended, 0.0, 1.0, succeeded) if ended else None)
        if index == broken_at:
            state, progress = progress.get_state(), CurriculumProgress(config, 40)
            progress.set_state(state)
    settling = 3 if settle_steps is None else math.ceil(settle_steps / 40)  # an episode has 100 steps, an iteration 40
    assert levels == expected_levels(counts, episodes, Fraction(hundredths, 100), widenings, settling)


def test_a_training_plays_the_configuration_of_its_level(eased: Run) -> None:
    """It widens between iterations, by the episodes that ended, and every step of an iteration is of one level."""
    counts = [(means.episodes, means.successes) for means in eased.ended]
    assert eased.levels == expected_levels(counts, 10, Fraction(1, 2), 3, settling=2)
    assert eased.levels == [0, 1, 1, 1, 2, 2]
    for level, played in zip(eased.levels, eased.diary.played):
        assert len(played) == 8
        assert all(config == config_at(SPEC.task, level) for config in played)


@pytest.mark.parametrize("broken_at", range(1, ITERATIONS))
def test_it_goes_on_bit_for_bit_wherever_it_broke(eased: Run, tmp_path: Path, broken_at: int) -> None:
    """Right before a widening (1, 4), and while episodes of an earlier level end (2, 3, 5)."""
    run_training(SPEC, tmp_path / "run", eased.checkpoint(broken_at))
    for iteration in range(broken_at + 1, ITERATIONS + 1):
        path = tmp_path / "run" / "nn" / checkpoint_name(iteration)
        found, expected = (load_checkpoint(each, TRAINING_KEYS) for each in (path, eased.checkpoint(iteration)))
        assert differences(found, expected) == []


def test_the_level_is_in_the_history_in_tensorboard_and_on_the_console(eased: Run) -> None:
    with (eased.folder / "history.csv").open(newline="", encoding="utf-8") as stream:
        assert [int(row["curriculum_level"]) for row in csv.DictReader(stream)] == eased.levels
    events = EventAccumulator(str(eased.folder / "summaries"))
    events.Reload()
    assert [event.value for event in events.Scalars("info/curriculum_level")] == eased.levels
    row = eased.diary.rows[-1]
    assert ", curriculum level 2, " in log_line(row, eased.recent[-1])
    without = {name: value for name, value in row.items() if name != "curriculum_level"}
    assert "curriculum" not in log_line(without, eased.recent[-1])


def test_a_checkpoint_that_does_not_fit_the_curriculum_is_refused(eased: Run, straight: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_2.pth"
    state = load_checkpoint(eased.checkpoint(2), TRAINING_KEYS)
    without = {name: value for name, value in state.items() if name != "curriculum"}
    beyond = {**state, "curriculum": {**state["curriculum"], "level": 4}}
    for damaged, message in (
        (without, "was trained without a curriculum; allowed: a checkpoint with one"),
        (beyond, "does not fit: ValueError level 4 of a curriculum of 3 widenings"),
    ):
        save_checkpoint(path, damaged)
        with pytest.raises(UserError, match=message):
            run_training(SPEC, tmp_path / "run", path)
    plain = load_checkpoint(straight / "nn" / checkpoint_name(2), TRAINING_KEYS)
    save_checkpoint(path, {**plain, "curriculum": state["curriculum"]})
    with pytest.raises(UserError, match="was trained with a curriculum; allowed: a checkpoint without one"):
        run_training(spec(), tmp_path / "plain", path)
