"""One experiment's results folder as a whole, checked for agreement between its files; what is missing is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dexhand_env.errors import UserError
from dexhand_env.report.episodes import FAILURE, EpisodeTable, Replays, read_episodes, read_replays
from dexhand_env.report.records import (
    Evaluation,
    History,
    OfSeed,
    ReportConfig,
    Selection,
    StageRun,
    read_history,
    read_json,
)

Content = TypeVar("Content")
SeedRecord = TypeVar("SeedRecord", bound=OfSeed)


@dataclass(frozen=True)
class Missing:
    """A file that is not there or cannot be used, why, and the command that makes it."""

    path: str
    reason: str
    command: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; allowed: make it by `{self.command}`"


@dataclass(frozen=True)
class SeedResults:
    """What training, selection and evaluation recorded for one training seed; None for what is missing."""

    seed: int
    history: History | None
    selection: Selection | None
    evaluation: Evaluation | None
    episodes: EpisodeTable | None
    replays: Replays | None
    stages: list[StageRun]


@dataclass(frozen=True)
class Results:
    """A results folder: the validated experiment, every seed in order, the stages that ran once, what is missing.

    ``hashes`` are the MD5 sums of the files that the page was made of, by path; dvc.lock has the same.
    """

    config: ReportConfig
    seeds: list[SeedResults]
    stages: list[StageRun]
    missing: list[Missing]
    hashes: dict[str, str]

    @property
    def evaluations(self) -> dict[int, Evaluation]:
        """By training seed, of those that were tested."""
        return {seed.seed: seed.evaluation for seed in self.seeds if seed.evaluation is not None}

    @property
    def first(self) -> Evaluation | None:
        """That of the first seed that was tested; the others have the same conditions and variants."""
        return next(iter(self.evaluations.values()), None)

    @property
    def is_tested(self) -> bool:
        """Whether every seed was."""
        return len(self.evaluations) == len(self.seeds)


def shown_replays(results: Results) -> Replays | None:
    """The replays that the page shows: the first seed's, and failures of kinds that only other seeds met."""
    recorded = [(seed.seed, seed.replays) for seed in results.seeds if seed.replays is not None]
    if not recorded:
        return None
    shown = list(recorded[0][1].episodes)
    for train_seed, replays in recorded[1:]:
        for replay in reversed(replays.episodes):
            if not replay.success and replay.outcome not in {other.outcome for other in shown}:
                shown.append(replace(replay, name=FAILURE + replay.outcome, train_seed=train_seed))
    return replace(recorded[0][1], episodes=shown)


def read_results(folder: Path) -> Results:
    """What the report shows, from ``results/<Experiment>``.

    Raises:
        UserError: the configuration is missing or damaged.
    """
    config = read_json(folder / "config" / "report.json", ReportConfig)
    reader = _Reader(config.experiment)
    seeds = [reader.seed(folder / f"seed{seed}", seed) for seed in config.seeds]
    expected = next((_tested(seed.evaluation) for seed in seeds if seed.evaluation is not None), set())
    for index, seed in enumerate(seeds):
        if seed.evaluation is not None and _tested(seed.evaluation) != expected:
            found = ", ".join(sorted(_tested(seed.evaluation)))
            reason = f"tests {found}; the first of the other seeds {', '.join(sorted(expected))}"
            reader.note(folder / f"seed{seed.seed}" / "evaluation.json", reason, f"evaluate-{{}}-{seed.seed}")
            seeds[index] = replace(seed, evaluation=None, episodes=None)
    stages = reader.stages(folder / "stages", None)
    return Results(config, seeds, stages, reader.missing, reader.hashes)


def _tested(evaluation: Evaluation) -> set[str]:
    """What was tested and measured: all seeds must have that alike, lest they cannot be joined."""
    tests = evaluation.tests.items()
    return {f"{name} ({', '.join(sorted(test.metrics))})" if test.metrics else name for name, test in tests}


class _Reader:
    """Reads files of one experiment and notes those that cannot be used."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self.missing: list[Missing] = []
        self.hashes: dict[str, str] = {}

    def note(self, path: Path, reason: str, stage: str) -> None:
        """A file that its ``stage``, a name with {} for the experiment, has to make."""
        self.missing.append(Missing(str(path), reason, f"dvc repro {stage.format(self._experiment)}"))

    def _read(self, read: Callable[[Path], Content], path: Path, stage: str) -> Content | None:
        try:
            content = read(path)
            self.hashes[str(path)] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            return content
        except UserError as error:
            where, found, _ = error.args
            key = where.removeprefix(str(path)).removeprefix(": ")
            self.note(path, f"{key}: {found}" if key else found, stage)
            return None

    def seed(self, folder: Path, seed: int) -> SeedResults:
        """Everything of one training seed."""
        train, select, evaluate = (f"{stage}-{{}}-{seed}" for stage in ("train", "select", "evaluate"))
        history = self._read(read_history, folder / "history.csv", train)
        selection = self._read(lambda path: self._own(path, Selection, seed), folder / "selection.json", select)
        evaluation = self._read(lambda path: self._own(path, Evaluation, seed), folder / "evaluation.json", evaluate)
        episodes = self._read(lambda path: _episodes(path, evaluation), folder / "episodes.parquet", evaluate)
        replays = self._read(read_replays, folder / "replays.npz", evaluate)
        stages = self.stages(folder / "stages", seed)
        return SeedResults(seed, history, selection, evaluation, episodes, replays, stages)

    def _own(self, path: Path, model: type[SeedRecord], seed: int) -> SeedRecord:
        """A record of this experiment and this seed; another's, counted as this one's, would be counted twice.

        Raises:
            UserError: it is missing, damaged, or of another experiment or seed.
        """
        record = read_json(path, model)
        if (record.experiment, record.seed) != (self._experiment, seed):
            raise UserError(str(path), f"is of {record.experiment} seed {record.seed}")
        return record

    def stages(self, folder: Path, seed: int | None) -> list[StageRun]:
        """Stage records in the order in which they ran; the report's own is left out, it describes an earlier page."""
        expected = [] if seed is None else [folder / f"{stage}.json" for stage in ("train", "select", "evaluate")]
        paths = sorted({*expected, *(path for path in folder.glob("*.json") if path.name != "report.json")})
        runs = [self._read(lambda path: read_json(path, StageRun), path, _stage_of(path, seed)) for path in paths]
        known = [run.model_copy(update={"seed": seed}) for run in runs if run is not None]
        return sorted(known, key=lambda run: run.started)


def _stage_of(path: Path, seed: int | None) -> str:
    return path.stem + "-{}" if seed is None else f"{path.stem}-{{}}-{seed}"


def _episodes(path: Path, evaluation: Evaluation | None) -> EpisodeTable:
    """The episode table, which must agree with the evaluation where that is known.

    Raises:
        UserError: it is missing or damaged, or does not agree.
    """
    table = read_episodes(path)
    for name, condition in evaluation.tests.items() if evaluation is not None else ():
        rows = table.under(name)
        successes = int(rows.columns["success"].sum())
        if (rows.rows, successes) != (condition.episodes, condition.successes):
            raise UserError(
                str(path),
                f"{rows.rows} episodes with {successes} successes under {name}, where evaluation.json says "
                f"{condition.episodes} with {condition.successes}",
            )
    return table
