"""One experiment's results folder as a whole, checked for agreement between its files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dexhand_env.errors import UserError
from dexhand_env.report.episodes import FAILURE, EpisodeTable, Replays, read_episodes, read_replays
from dexhand_env.report.records import (
    Evaluation,
    History,
    ReportConfig,
    Selection,
    StageRun,
    read_history,
    read_json,
)


@dataclass(frozen=True)
class SeedResults:
    """What training, selection and evaluation recorded for one training seed."""

    seed: int
    history: History
    selection: Selection
    evaluation: Evaluation
    episodes: EpisodeTable
    replays: Replays
    stages: list[StageRun]


@dataclass(frozen=True)
class Results:
    """A results folder: the validated experiment, every seed in order, and the stages that ran once."""

    config: ReportConfig
    seeds: list[SeedResults]
    stages: list[StageRun]

    @property
    def conditions(self) -> list[str]:
        """Physics conditions that every seed was evaluated under."""
        return list(self.seeds[0].evaluation.conditions)

    @property
    def variants(self) -> list[str]:
        """Variants of the task that every seed was tested in."""
        return list(self.seeds[0].evaluation.variants)


def shown_replays(results: Results) -> Replays:
    """The replays that the page shows: the first seed's, and failures of kinds that only other seeds met."""
    first, *others = results.seeds
    shown = list(first.replays.episodes)
    for seed in others:
        for replay in reversed(seed.replays.episodes):
            if not replay.success and replay.outcome not in {other.outcome for other in shown}:
                shown.append(replace(replay, name=FAILURE + replay.outcome, train_seed=seed.seed))
    return replace(first.replays, episodes=shown)


def read_results(folder: Path) -> Results:
    """Everything the report shows, from ``results/<Experiment>``.

    Raises:
        UserError: a file is missing or damaged, or two files contradict each other; names the file.
    """
    config = read_json(folder / "config" / "report.json", ReportConfig)
    seeds = [_read_seed(folder / f"seed{seed}", seed) for seed in config.seeds]
    expected = set(seeds[0].evaluation.tests)
    for seed in seeds[1:]:
        if set(seed.evaluation.tests) != expected:
            path = folder / f"seed{seed.seed}" / "evaluation.json"
            found = ", ".join(seed.evaluation.tests)
            raise UserError(f"{path}: conditions", found, ", ".join(sorted(expected)) + " as for the other seeds")
    return Results(config, seeds, _read_stages(folder / "stages", None))


def _read_seed(folder: Path, seed: int) -> SeedResults:
    results = SeedResults(
        seed=seed,
        history=read_history(folder / "history.csv"),
        selection=read_json(folder / "selection.json", Selection),
        evaluation=read_json(folder / "evaluation.json", Evaluation),
        episodes=read_episodes(folder / "episodes.parquet"),
        replays=read_replays(folder / "replays.npz"),
        stages=_read_stages(folder / "stages", seed),
    )
    for name, condition in results.evaluation.tests.items():
        rows = results.episodes.under(name)
        successes = int(rows.columns["success"].sum())
        if (rows.rows, successes) != (condition.episodes, condition.successes):
            raise UserError(
                str(folder / "episodes.parquet"),
                f"{rows.rows} episodes with {successes} successes under {name}",
                f"{condition.episodes} with {condition.successes}, as evaluation.json says",
            )
    return results


def _read_stages(folder: Path, seed: int | None) -> list[StageRun]:
    """Stage records in the order in which they ran; the report's own is left out, it describes an earlier page."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != "report.json"]
    runs = [read_json(path, StageRun).model_copy(update={"seed": seed}) for path in paths]
    return sorted(runs, key=lambda run: run.started)
