"""A replay of an evaluation as an mp4: what ``dexhand video`` does."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from dexhand_env.errors import MISTAKE, UserError
from dexhand_env.files import require_writable
from dexhand_env.stages.inputs import SeedFolder

WITHOUT_DISPLAY = ("egl", "osmesa")


def video(experiment: str, seed: int, replay: str, output: Path | None) -> Path:
    """Write the video; returns its path, results/<Experiment>/seed<k>/<replay>.mp4 where none is given.

    Raises:
        UserError: no such recording, or nothing on this machine can draw.
    """
    if importlib.util.find_spec("av") is None:
        raise UserError("video", "PyAV is not installed", "pip install av")
    folder = SeedFolder(experiment, seed).path
    source = folder / "replays.npz"
    if not source.is_file():
        raise UserError(str(source), "file is missing", "dexhand evaluate writes it")
    if output is not None and output.suffix != ".mp4":
        raise UserError("--output", f"found {output}", "a name that ends in .mp4")
    target = output or folder / f"{replay}.mp4"
    if os.path.isdir(target):  # a Path would not take a name that is too long
        raise UserError("--output", f"{target} is a folder", "a file's name that ends in .mp4")
    require_writable(target.parent)
    chosen = os.environ.get("MUJOCO_GL")
    kinds = (chosen,) if chosen else WITHOUT_DISPLAY
    reasons = []
    for kind in kinds:
        reason = _drawn(kind, source, replay, target)
        if reason is None:
            return target
        reasons.append(f"{kind}: {reason}")
    raise UserError("video", f"no OpenGL works here ({'; '.join(reasons)})", "Mesa's EGL (Debian: libegl1) or OSMesa")


def _drawn(kind: str, source: Path, replay: str, target: Path) -> str | None:
    """Draw with one kind of OpenGL; what went wrong, None where nothing did.

    Raises:
        UserError: a mistake that another kind of OpenGL does not mend.
    """
    command = [sys.executable, "-m", "dexhand_env.report.video", str(source), replay, str(target)]
    environment = {**os.environ, "MUJOCO_GL": kind}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    last = (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
    if result.returncode == MISTAKE:
        where, _, found = last.partition(": ")
        raise UserError(where, found)
    return last
