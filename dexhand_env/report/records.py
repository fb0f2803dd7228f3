"""Reads what the stages recorded under results/<Experiment> into typed objects; a bad file ends in one UserError."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dexhand_env.errors import UserError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Record = TypeVar("Record", bound="Recorded")


class Recorded(BaseModel):
    """A recorded JSON object; keys that the report does not use are kept, not refused."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ReportSettings(Recorded):
    success_goal: Fraction
    allowed_drop: Fraction


class Difference(Recorded):
    """One setting that departs from the defaults of the task and its training."""

    key: str
    default: Any = None
    value: Any = None


class ReportConfig(Recorded):
    """config/report.json: the experiment as it was validated."""

    experiment: str
    task: str
    summary: str | None = None
    seeds: Annotated[list[int], Field(min_length=1)]
    report: ReportSettings
    config: dict[str, Any]
    differences: list[Difference] = []


class OfSeed(Recorded):
    """What a stage found for one training seed."""

    experiment: str
    seed: int


class Candidate(Recorded):
    checkpoint: str
    iteration: int
    frames: int
    success_rate: Fraction
    interval: tuple[Fraction, Fraction]
    mean_return: float


class Selection(OfSeed):
    """seed<k>/selection.json: every checkpoint that was played and the one chosen."""

    episodes: int
    first_seed: int
    candidates: Annotated[list[Candidate], Field(min_length=1)]
    chosen: str

    @model_validator(mode="after")
    def _chosen_is_a_candidate(self) -> Selection:
        if self.chosen not in {candidate.checkpoint for candidate in self.candidates}:
            raise ValueError(f"chosen checkpoint {self.chosen} is not among the candidates")
        return self


class Metric(Recorded):
    """One of the task's metrics over the episodes of a test in which it has a value; None where there are none."""

    mean: float | None
    largest: float | None


class Condition(Recorded):
    """One physics condition of seed<k>/evaluation.json."""

    physics: dict[str, Any]
    success_rate: Fraction
    interval: tuple[Fraction, Fraction]
    episodes: Annotated[int, Field(ge=1)]
    successes: Annotated[int, Field(ge=0)]
    mean_return: float
    mean_length_steps: float
    outcomes: dict[str, int]
    metrics: dict[str, Metric] = {}

    @model_validator(mode="after")
    def _counts_agree(self) -> Condition:
        if self.successes > self.episodes:
            raise ValueError(f"{self.successes} successes in {self.episodes} episodes")
        return self


class Variant(Condition):
    """A test of the same policy in a task that differs from the one it was trained in."""

    changes: Annotated[list[Difference], Field(min_length=1)]


class Evaluation(OfSeed):
    """seed<k>/evaluation.json."""

    checkpoint: str
    conditions: Annotated[dict[str, Condition], Field(min_length=1)]
    variants: dict[str, Variant] = {}

    @property
    def tests(self) -> dict[str, Condition]:
        """Conditions, then variants."""
        return {**self.conditions, **self.variants}


class Machine(Recorded):
    processor: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    gpu: str | None = None
    system: str | None = None


class StageRun(Recorded):
    """stages/<stage>.json: when and on what a stage ran."""

    stage: str
    started: str
    seconds: float
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    commit: str | None = None
    dirty: bool | None = None
    files: list[str] | None = None
    command: str | list[str] | None = None
    python: str | None = None
    versions: dict[str, str] = {}
    machine: Machine = Machine()
    threads: int | None = None
    processes: int = 1
    seed: int | None = None
    resumed: bool = False
    training_seconds: float | None = None
    training_cpu_seconds: float | None = None

    @property
    def whole_seconds(self) -> float:
        """How long the stage took; of a resumed training, all its parts rather than the last."""
        return self.training_seconds if self.resumed and self.training_seconds is not None else self.seconds

    @property
    def whole_cpu_seconds(self) -> float | None:
        """The same in processor seconds."""
        return self.training_cpu_seconds if self.resumed else self.cpu_seconds


@dataclass(frozen=True)
class History:
    """history.csv by column; each column has one value an iteration, None where the cell was empty."""

    columns: dict[str, list[float | None]]

    def terms(self, prefix: str) -> list[str]:
        """Columns under ``prefix/``, e.g. the reward terms, in the file's order."""
        return [name for name in self.columns if name.startswith(prefix + "/")]

    def last(self, name: str) -> float | None:
        """The last value that the column holds."""
        return next((value for value in reversed(self.columns.get(name, [])) if value is not None), None)


def allowed_files_hint(path: Path) -> str:
    """What to do about a file that is not there."""
    return f"run the stage that writes {path.name} first"


def read_json(path: Path, model: type[Record]) -> Record:
    """``path`` as ``model``.

    Raises:
        UserError: the file is missing, is not JSON, or a key is missing or wrong; the message names file and key.
    """
    try:
        value = json.loads(_read_text(path), parse_constant=_refuse)
    except ValueError as error:
        raise UserError(str(path), f"is not valid JSON ({error})", "the file its stage wrote; run that again") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = f"{path}: {key}" if key else str(path)
        raise UserError(where, first["msg"]) from None


def _refuse(constant: str) -> float:
    """What Python reads beyond JSON: NaN and Infinity."""
    raise ValueError(f"{constant} is no number of JSON")


def read_history(path: Path) -> History:
    """The training history.

    Raises:
        UserError: the file is missing, has no rows, lacks ``frames``, is ragged or holds something not a number.
    """
    lines = [line for line in _read_text(path).splitlines() if line.strip()]
    names = lines[0].split(",") if lines else []
    if len(lines) < 2 or "frames" not in names:
        raise UserError(str(path), "no training history", "a header with a frames column and one row an iteration")
    columns: dict[str, list[float | None]] = {name: [] for name in names}
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(",")
        if len(cells) != len(names):
            raise UserError(f"{path}: line {number}", f"{len(cells)} cells", f"{len(names)} as in the header")
        for name, cell in zip(names, cells, strict=True):
            columns[name].append(_number(cell, f"{path}: line {number}: {name}"))
    return History(columns)


def _number(cell: str, where: str) -> float | None:
    if not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        raise UserError(where, f"{cell!r}", "a number or nothing") from None
    # A diverged run is a result too: leave a gap in the curve instead of refusing the whole report.
    return value if math.isfinite(value) else None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(str(path), "file is missing", allowed_files_hint(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"cannot be read ({error})") from None
