"""Checkpoint files: written in one step, read without ever unpickling code."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch

from dexhand_env.env.interface import PolicyInterface, interface_from_plain
from dexhand_env.errors import UserError
from dexhand_env.files import write_bytes

# What a file must hold to be a policy, and what more it must hold to go on training.
POLICY_KEYS: Dict[str, type] = {
    "model": dict,
    "task": str,
    "network": dict,
    "observation_size": int,
    "num_actions": int,
    "normalize_input": bool,
    "normalize_value": bool,
    "iteration": int,
    "frames": int,
}
TRAINING_KEYS: Dict[str, type] = {
    **POLICY_KEYS,
    "seed": int,
    "optimizer": dict,
    "learning_rate": float,
    "best_return": float,
    "statistics": dict,
    "env_state": dict,
    "rng_state": dict,
}
BEST = "checkpoint_best.pth"
_NUMBERED = re.compile(r"checkpoint_(\d+)\.pth")


def checkpoint_name(iteration: int) -> str:
    """File name of the checkpoint after ``iteration`` iterations."""
    return f"checkpoint_{iteration}.pth"


def numbered_checkpoints(folder: Path) -> List[Tuple[int, Path]]:
    """(iteration, path) of every numbered checkpoint in a folder, oldest first."""
    found = [(_NUMBERED.fullmatch(path.name), path) for path in folder.glob("checkpoint_*.pth")]
    return sorted((int(match.group(1)), path) for match, path in found if match)


def latest_checkpoint(folder: Path, best_first: bool = False) -> Optional[Path]:
    """The numbered checkpoint of the last iteration, else the best one, else None.

    Args:
        folder: of checkpoints.
        best_first: the best one, if there is one, comes before the numbered ones.
    """
    numbered, best = numbered_checkpoints(folder), folder / BEST
    if numbered and not (best_first and best.is_file()):
        return numbered[-1][1]
    return best if best.is_file() else None


def good_iteration(path: Path) -> Optional[int]:
    """The iteration of a checkpoint that loads and whose weights are finite, None for any other."""
    try:
        state = load_checkpoint(path)
    except UserError:
        return None
    return state["iteration"] if all(bool(torch.isfinite(w).all()) for w in state["model"].values()) else None


def last_good_checkpoint(folder: Path, before: int) -> Optional[Path]:
    """The checkpoint of the last iteration under ``before`` that loads and has finite weights; None without one."""
    paths = [folder / BEST, *(path for _, path in numbered_checkpoints(folder))]
    found = {good_iteration(path): path for path in paths}
    good = [iteration for iteration in found if iteration is not None and iteration < before]
    return found[max(good)] if good else None


def scheduled_checkpoints(every: int, total: int) -> List[int]:
    """The iterations after which a training that nobody interrupts leaves numbered checkpoints."""
    return sorted({*range(every, total + 1, every), total})


def resume_point(folder: Path, scheduled: List[int]) -> Optional[Path]:
    """The latest checkpoint from which training leaves all files that it would have left without a break.

    None of the scheduled ones may be missing up to there, nor the best one if it had been written by then.

    Raises:
        UserError: the latest one is damaged.
    """
    numbered, best = numbered_checkpoints(folder), folder / BEST
    missing = set(scheduled) - {iteration for iteration, _ in numbered}
    reached = good_iteration(best) if best.is_file() else None
    found = numbered if reached is None else sorted([(reached, best), *numbered], key=lambda each: each[0])
    for iteration, path in reversed(found):
        if missing and iteration >= min(missing):
            continue
        try:
            state = load_checkpoint(path)
        except UserError as error:
            remedy = "an undamaged one, or none: delete it, and training goes on from the one before"
            raise UserError(f"checkpoint {path}", "is damaged", remedy) from error
        if best.exists() or state.get("best_return") == float("-inf"):
            return path
    return None


def save_checkpoint(path: Path, state: Dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values). Equal states give equal bytes, whatever the file is called.

    ``torch.save`` given a path writes its name into the archive, hence the buffer.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, keys: Mapping[str, type] = POLICY_KEYS) -> Dict[str, Any]:
    """Read a checkpoint on the CPU, tensors and plain values only.

    Raises:
        UserError: no such file, not a checkpoint, truncated, or without one of ``keys``.
    """
    where = f"checkpoint {path}"
    if not path.is_file():
        raise UserError(where, "no such file", "a checkpoint_<iteration>.pth or checkpoint_best.pth")
    try:
        state = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(where, f"cannot be read as weights ({type(error).__name__})", "a checkpoint") from error
    if not isinstance(state, dict):
        raise UserError(where, f"holds a {type(state).__name__}", "a checkpoint written by train.py")
    missing = [key for key, kind in keys.items() if not isinstance(state.get(key), kind)]
    if missing:
        raise UserError(where, f"lacks {', '.join(missing)}", "a checkpoint written by train.py")
    return state


def stored_interface(state: Mapping[str, Any], where: str) -> Optional[PolicyInterface]:
    """What the observations and actions of a checkpoint's policy mean; None in an older file, which does not say.

    Raises:
        UserError: its description is damaged; ``where`` names the checkpoint.
    """
    return interface_from_plain(state["interface"], where) if "interface" in state else None
