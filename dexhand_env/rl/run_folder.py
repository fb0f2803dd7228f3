"""The folder of a training run: one program trains in it, and abandoned checkpoints leave it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from pathlib import Path
from typing import ContextManager, Iterator

from dexhand_env.files import exclusive, write_text

ARGS_FILE = "args.yaml"
TRAIN_CONFIG_FILE = "train_config.yaml"
HISTORY = "history.csv"
# What a training leaves that ended before its first checkpoint; a folder with nothing else is free.
LEFT_BY_A_FAILURE = {".lock", "train.log", "nn", "summaries", ARGS_FILE, TRAIN_CONFIG_FILE, HISTORY}


def run_lock(folder: Path) -> ContextManager[None]:
    """Keep two processes out of one run folder (see :func:`dexhand_env.files.exclusive`)."""
    return exclusive(folder / ".lock", str(folder), "trains in this folder")


def holds_a_run(folder: Path) -> bool:
    """Whether there is more in a folder than a failed start leaves."""
    if not folder.is_dir():
        return folder.exists()
    return any(path.name not in LEFT_BY_A_FAILURE for path in folder.iterdir()) or any(folder.glob("nn/*"))


@contextlib.contextmanager
def new_folder(wanted: Path) -> Iterator[Path]:
    """Make ``wanted``, or the first of ``wanted_2``, ``wanted_3``, ... that no other program has made.

    The folder is removed if nothing is in it when the context ends.
    """
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # the run is in it
            folder.rmdir()


def set_aside(folder: Path, iteration: int, same_returns: bool, changed: bool) -> None:
    """Move checkpoints that this training no longer leads to into a run folder of their own, ``abandoned_<n>``.

    These are the numbered ones after ``iteration``, and the best one where it is not of the resumed training.
    The records of the run as it was are copied with them, so that the abandoned part can be tested and resumed.

    Args:
        folder: the run folder.
        iteration: where training resumes; 0 for one that starts from scratch.
        same_returns: whether returns before and after mean the same; otherwise no earlier checkpoint can be the best.
        changed: whether settings are not those of the run, so that a later best one is not reached again.
    """
    from dexhand_env.rl.checkpoint import BEST, good_iteration, numbered_checkpoints

    given_up = [path for number, path in numbered_checkpoints(folder / "nn") if number > iteration]
    best = folder / "nn" / BEST
    if best.is_file() and (
        not same_returns or ((given_up or changed) and (good_iteration(best) or iteration + 1) > iteration)
    ):
        given_up.append(best)
    if not given_up:
        return
    numbers = (number for number in itertools.count(1) if not (folder / f"abandoned_{number}").exists())
    aside = folder / f"abandoned_{next(numbers)}"
    (aside / "nn").mkdir(parents=True)
    for name in (ARGS_FILE, TRAIN_CONFIG_FILE, HISTORY):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, aside / name)
    if (aside / ARGS_FILE).is_file():  # the command in it names the PPO file
        text = (aside / ARGS_FILE).read_text(encoding="utf-8")
        write_text(aside / ARGS_FILE, text.replace(str(folder / TRAIN_CONFIG_FILE), str(aside / TRAIN_CONFIG_FILE)))
    for path in given_up:
        os.replace(path, aside / "nn" / path.name)
