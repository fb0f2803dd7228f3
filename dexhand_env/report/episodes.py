"""The episode table and the replays that the evaluation recorded."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dexhand_env.errors import UserError
from dexhand_env.report.records import allowed_files_hint

FAILURE = "failure_"  # replays of further kinds of failure: this and the outcome
FIXED_COLUMNS = ("condition", "episode", "seed", "success", "outcome", "return", "length_steps")


@dataclass(frozen=True)
class EpisodeTable:
    """episodes.parquet by column, each of shape (rows,); one row an episode and condition."""

    columns: dict[str, NDArray[Any]]

    @property
    def rows(self) -> int:
        return len(self.columns["episode"])

    @property
    def metrics(self) -> list[str]:
        """The task's own columns, in the file's order."""
        return [name for name in self.columns if name not in FIXED_COLUMNS]

    def under(self, condition: str) -> EpisodeTable:
        """The rows of one physics condition."""
        chosen = self.columns["condition"] == condition
        return EpisodeTable({name: values[chosen] for name, values in self.columns.items()})


@dataclass(frozen=True)
class Replay:
    """One recorded episode; poses are in world axes, metres, quaternions w x y z.

    ``train_seed`` is named where it is not the first.
    ``positions_m`` (T, B, 3), ``quaternions`` (T, B, 4); the goal's are (B, 3) and (B, 4), or None without a goal.
    ``target_m`` (T, 3): where an object is to be brought, None where nowhere.
    ``objects``: shape and MuJoCo's sizes (half lengths or radius first, m) of the bodies that are not the hand's.
    """

    name: str
    positions_m: NDArray[np.float32]
    quaternions: NDArray[np.float32]
    goal_positions_m: NDArray[np.float32] | None
    goal_quaternions: NDArray[np.float32] | None
    target_m: NDArray[np.float32] | None
    episode: int
    success: bool
    outcome: str
    total_return: float
    objects: dict[str, tuple[str, tuple[float, ...]]]
    train_seed: int | None = None

    @property
    def bounds_m(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The corners, low and high, of the box round every body's origin, the goal's and the target."""
        clouds = (self.positions_m, self.goal_positions_m, self.target_m)
        points = np.concatenate([cloud.reshape(-1, 3) for cloud in clouds if cloud is not None])
        return points.min(axis=0), points.max(axis=0)

    @property
    def title(self) -> str:
        """The name for a reader."""
        kind = self.name.removeprefix(FAILURE)
        return f"Failure: {kind.replace('_', ' ')}" if kind != self.name else self.name.capitalize()


@dataclass(frozen=True)
class Replays:
    """replays.npz: the recorded episodes with what they share."""

    side: str
    body_names: list[str]
    control_dt_s: float
    episodes: list[Replay]


def read_episodes(path: Path) -> EpisodeTable:
    """The episode table.

    Raises:
        UserError: the file is missing, is not parquet, or lacks one of :data:`FIXED_COLUMNS`.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except FileNotFoundError:
        raise UserError(str(path), "file is missing", allowed_files_hint(path)) from None
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(str(path), f"is not a readable parquet file ({error})") from None
    missing = [name for name in FIXED_COLUMNS if name not in table.column_names]
    if missing:
        raise UserError(str(path), f"lacks the column {missing[0]}", ", ".join(FIXED_COLUMNS))
    return EpisodeTable({name: table.column(name).to_numpy() for name in table.column_names})


def read_replays(path: Path) -> Replays:
    """The recorded replays.

    Raises:
        UserError: the file is missing, is not an npz archive, or an array is missing or of the wrong shape.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(str(path), "file is missing", allowed_files_hint(path)) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(str(path), f"is not a readable npz archive ({error})") from None
    try:
        body_names = [str(name) for name in arrays["body_names"]]
        replays = [_replay(arrays, str(name), len(body_names), path) for name in arrays["names"]]
        side, control_dt_s = str(arrays["meshes_side"]), float(arrays["control_dt_s"])
        return Replays(side, body_names, control_dt_s, replays)
    except KeyError as error:
        raise UserError(str(path), f"lacks the array {error.args[0]}") from None


def _objects(arrays: dict[str, NDArray[Any]], name: str, path: Path) -> dict[str, tuple[str, tuple[float, ...]]]:
    objects, prefix = {}, f"{name}_object_"
    for key, values in arrays.items():
        if key.startswith(prefix):
            shape, *sizes = (str(value) for value in values)
            try:
                objects[key.removeprefix(prefix)] = shape, tuple(float(size) for size in sizes)
            except ValueError:
                raise UserError(f"{path}: {key}", " ".join([shape, *sizes]), "a shape and its sizes in m") from None
    return objects


def _target(arrays: dict[str, NDArray[Any]], name: str, steps: int, path: Path) -> NDArray[np.float32] | None:
    key = f"{name}_target_positions"
    if key not in arrays:
        return None
    values = np.asarray(arrays[key], dtype=np.float32)
    if values.shape != (steps, 3):
        raise UserError(f"{path}: {key}", f"shape {values.shape}", f"({steps}, 3)")
    return values


def _replay(arrays: dict[str, NDArray[Any]], name: str, bodies: int, path: Path) -> Replay:
    def poses(key: str, width: int, leading: int) -> NDArray[np.float32]:
        values = np.asarray(arrays[f"{name}_{key}"], dtype=np.float32)
        if values.ndim != leading + 2 or values.shape[-2:] != (bodies, width) or values.shape[0] == 0:
            raise UserError(f"{path}: {name}_{key}", f"shape {values.shape}", f"(..., {bodies}, {width}), not empty")
        return values

    positions, quaternions = poses("positions", 3, 1), poses("quaternions", 4, 1)
    if len(positions) != len(quaternions):
        raise UserError(f"{path}: {name}_quaternions", f"{len(quaternions)} frames", f"{len(positions)}")
    has_goal = f"{name}_goal_positions" in arrays
    return Replay(
        name=name,
        positions_m=positions,
        quaternions=quaternions,
        goal_positions_m=poses("goal_positions", 3, 0) if has_goal else None,
        goal_quaternions=poses("goal_quaternions", 4, 0) if has_goal else None,
        target_m=_target(arrays, name, len(positions), path),
        episode=int(arrays[f"{name}_episode"]),
        success=bool(arrays[f"{name}_success"]),
        outcome=str(arrays[f"{name}_outcome"]),
        total_return=float(arrays[f"{name}_return"]),
        objects=_objects(arrays, name, path),
    )
