"""dexhand video draws a recorded episode without a display."""

from __future__ import annotations

import ctypes.util
import os
from pathlib import Path

import numpy as np
import pytest

from ..commands.programs import dexhand
from .synthetic import write_results

LONG = "x" * 300 + ".mp4"

pytestmark = pytest.mark.skipif(ctypes.util.find_library("EGL") is None, reason="no OpenGL")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("video")
    write_results(root / "results", episodes=64)
    return root


@pytest.fixture(scope="module")
def pictures(folder: Path) -> list[np.ndarray]:
    """The frames of the video of the best episode, made with no display at all."""
    import av

    assert "DISPLAY" not in os.environ
    result = dexhand(folder, "video", "BaseTask", "42")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "results/BaseTask/seed42/best.mp4\n"
    with av.open(folder / "results/BaseTask/seed42/best.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, float(stream.average_rate or 0)) == (640, 480, 30.0)
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]


def test_it_lasts_as_long_as_the_episode_and_the_hold(folder: Path, pictures: list[np.ndarray]) -> None:
    with np.load(folder / "results/BaseTask/seed42/replays.npz") as arrays:
        seconds = len(arrays["best_positions"]) * float(arrays["control_dt_s"])
    assert len(pictures) == pytest.approx(30 * (seconds + 0.8), abs=1)


def test_a_hand_is_seen_and_moves(pictures: list[np.ndarray]) -> None:
    assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 200
    moved = np.abs(pictures[0] - pictures[len(pictures) // 2]).max(axis=-1) > 40
    assert 0.002 < moved.mean() < 0.5


def test_a_target_is_a_green_ball_where_it_was(folder: Path, tmp_path: Path) -> None:
    import av

    with np.load(folder / "results/BaseTask/seed42/replays.npz") as archive:
        arrays = dict(archive)
    arrays["best_target_positions"] = arrays["best_positions"].mean(axis=1) + np.array([0.0, 0.0, 0.15])
    (tmp_path / "results/BaseTask/seed42").mkdir(parents=True)
    np.savez(tmp_path / "results/BaseTask/seed42/replays.npz", **arrays)
    result = dexhand(tmp_path, "video", "BaseTask", "42")
    assert (result.returncode, result.stderr) == (0, "")
    with av.open(tmp_path / "results/BaseTask/seed42/best.mp4") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    rows, columns = np.nonzero(picture[..., 1] > picture[..., [0, 2]].max(axis=-1) + 30)
    assert 500 < len(rows) < 10_000
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=6)  # a ball
    assert rows.mean() < 240  # above the hand, in the upper half


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--replay", "finest"], "replay: 'finest'; allowed: best, median, worst, failure_out_of_reach"),
        (["--replay", ""], "replay: ''; allowed: best, median, worst, failure_out_of_reach"),
        (["--replay", ".."], "replay: '..'; allowed: best, median, worst, failure_out_of_reach"),
        (["--output", "x.avi"], "--output: found x.avi; allowed: a name that ends in .mp4"),
        (["--output", "taken.mp4"], "--output: taken.mp4 is a folder; allowed: a file's name that ends in .mp4"),
        (["--output", LONG], f"{LONG}: cannot be written (File name too long); allowed: a file that you may write"),
        (["--output", "/proc/x.mp4"], "/proc/x.mp4: cannot be written (No such file or directory); allowed: a file "),
    ],
)
def test_a_mistake_is_one_line(folder: Path, options: list[str], line: str) -> None:
    (folder / "taken.mp4").mkdir(exist_ok=True)
    result = dexhand(folder, "video", "BaseTask", "42", *options)
    assert result.returncode == 2
    assert result.stderr.startswith(f"dexhand: {line}")
    assert result.stderr.count("\n") == 1


def test_a_recording_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = dexhand(tmp_path, "video", "BaseTask", "42")
    expected = "results/BaseTask/seed42/replays.npz: file is missing; allowed: dexhand evaluate writes it"
    assert (result.returncode, result.stderr) == (2, f"dexhand: {expected}\n")


def test_where_nothing_can_draw_it_says_so_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa-that-is-not")
    result = dexhand(folder, "video", "BaseTask", "42", "--output", "none.mp4")
    assert result.returncode == 2
    assert result.stderr.startswith("dexhand: video: no OpenGL works here (osmesa-that-is-not: ")
    assert result.stderr.count("\n") == 1
    assert not (folder / "none.mp4").exists()
