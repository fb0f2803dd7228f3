"""The viewer as a user starts it: an address, pictures, one line for each mistake."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dexhand_env.report.browser import Page, browser_page, find_browser
from dexhand_env.viewer.looker import look

from ..commands.programs import ROOT, dexhand, files, train

SMALL = (
    "params.network.mlp.units=[32, 16]",
    "params.config.mini_epochs=1",
    "episode_length_steps=40",
    "--threads",
    "1",
)
LONG = ("--num-envs", "16", "--max-iterations", "100000", "params.config.save_frequency=1")
DEXHAND = "import sys; from dexhand_env.cli import main; sys.argv[0] = 'dexhand'; main()"


class Program:
    """A program with a viewer that has said where it is."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.lines: list[str] = []
        self.port = int(self.read_until(r"viewer: http://127\.0\.0\.1:(\d+)").group(1))

    def read_until(self, pattern: str) -> re.Match[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"not printed: {pattern}; printed: {self.text}")

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        assert self._process.stdout is not None
        self.lines.append(self._process.stdout.read())
        return self._process.wait(60)

    @property
    def text(self) -> str:
        """All that it has printed so far."""
        return "".join(self.lines)


@contextmanager
def running(folder: Path, *command: str) -> Iterator[Program]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DEXHAND_THREADS": "1", "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", *command, "--viewer-port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it for what runs behind it
    ) as process:
        # Rather a failure than no end, and one that says where each thread was.
        watchdog = threading.Timer(180.0, process.send_signal, (signal.SIGABRT,))
        watchdog.start()
        try:
            yield Program(process)
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two iterations, runs/small."""
    folder = tmp_path_factory.mktemp("trained")
    options = ("--num-envs", "16", "--headless", "--max-iterations", "2", "--experiment-name", "small", *SMALL)
    assert train(folder, *options).returncode == 0
    return folder


def test_a_training_can_be_watched_and_interrupted(tmp_path: Path) -> None:
    with running(tmp_path, str(ROOT / "train.py"), *LONG, *SMALL) as program:
        assert look(program.port, 8.0).messages > 5
        assert program.interrupt() == 130, program.text


def test_dexhand_view_plays_the_newest_checkpoint_and_survives_its_end(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    nn = tmp_path / "runs" / "small" / "nn"
    with running(tmp_path, "-c", DEXHAND, "view", "--checkpoint", "latest") as program:
        program.read_until(r"playing runs/small/nn/checkpoint_2\.pth, iteration 2")
        shutil.copy(nn / "checkpoint_2.pth", nn / "half")
        (nn / "half").rename(nn / "checkpoint_3.pth")  # at once, as trainings write: half a file might be looked at
        program.read_until(r"playing runs/small/nn/checkpoint_3\.pth, iteration 2")
        (nn / "checkpoint_4.pth").write_bytes(b"half")
        program.read_until(r"checkpoint_4\.pth.*; playing on")
        shutil.rmtree(nn)  # another reason, which is said too
        program.read_until(r"--checkpoint: latest, but no run below runs/ has a checkpoint; .*; playing on")
        assert look(program.port, 4.0).messages > 5
        assert program.interrupt() == 0, program.text
    assert "Traceback" not in program.text


def test_a_test_is_shown_and_ends_by_itself(trained: Path) -> None:
    options = ("--test", "--checkpoint", "runs/small", "--episodes", "2", "--viewer-port", "0")
    result = train(trained, *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert "viewer: http://127.0.0.1:" in result.stdout
    assert "of 2 = " in result.stdout


@pytest.mark.parametrize("command", ["train", "view"])
def test_a_port_in_use_is_one_line(tmp_path: Path, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = dexhand(tmp_path, command, "--viewer-port", str(port))
    assert result.returncode == 2
    allowed = "a free one; 0 takes any"
    assert result.stderr == f"dexhand: --viewer-port: port {port} is in use; allowed: {allowed}\n"
    assert files(tmp_path) == {}


def test_without_viser_it_is_one_line(tmp_path: Path) -> None:
    hidden = (
        "import sys, importlib.util as u; f = u.find_spec; u.find_spec = lambda n: None if n == 'viser' else f(n); "
    )
    result = subprocess.run(
        [sys.executable, "-c", hidden + DEXHAND, "train"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == "dexhand: viewer: viser is not installed; allowed: pip install viser, or --headless\n"
    assert files(tmp_path) == {}


def test_a_port_with_headless_is_a_contradiction(tmp_path: Path) -> None:
    result = train(tmp_path, "--headless", "--viewer-port", "8080")
    assert result.stderr == "train.py: --viewer-port: given with --headless; allowed: one of them\n"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page() as opened:
        yield opened


@pytest.mark.skipif(find_browser() is None, reason="no browser")
@pytest.mark.parametrize("width", [360, 1400])
def test_the_browser_shows_the_hand_and_its_sliders(tmp_path: Path, page: Page, width: int) -> None:
    page.requests.clear()
    page.errors.clear()
    with running(tmp_path, "-c", DEXHAND, "view", "--task", "DexGrasp", "--num-envs", "1") as program:
        page.look(width, 740)
        page.open(f"http://127.0.0.1:{program.port}/")
        page.wait_for("document.body.innerText.includes('control steps/s')", 60)
        text = page.evaluate("document.body.innerText")
        for shown in ("DexGrasp: by hand", "pause", "one step", "speed", "fingertip forces", "thumb_rotation"):
            assert shown in text
        page.wait_for("!!document.querySelector('.uplot canvas, .u-over')", 30)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.errors == []
        outside = [request for request in page.requests if not request.startswith(("data:", "blob:"))]
        assert all(f"127.0.0.1:{program.port}" in request for request in outside)
