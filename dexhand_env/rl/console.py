"""What a training run says: plain lines on the console and in train.log, a progress bar on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Type

from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dexhand_env.rl.agent import DexHandAgent


def log_line(row: Dict[str, float], recent: Any) -> str:
    """One iteration in one line; ``recent`` are the means over the latest episodes."""
    parts = [f"iteration {int(row['iteration'])}", f"frames {int(row['frames'])}"]
    if recent is not None:
        parts += [
            f"average reward {recent.episode_return:.3f}",
            f"episode length {recent.length_steps:.1f}",
            f"success rate {recent.success_rate:.3f}",
        ]
    if "curriculum_level" in row:
        parts.append(f"curriculum level {int(row['curriculum_level'])}")
    parts += [
        f"learning rate {row['learning_rate']:.2e}",
        f"policy loss {row['policy_loss']:.4f}",
        f"value loss {row['value_loss']:.4f}",
        f"entropy {row['entropy']:.3f}",
        f"{row['frames_per_second']:.0f} frames/s",
    ]
    return ", ".join(parts)


class ConsoleLog:
    """Logs to the console while the context lasts, and to ``path`` from ``open_file`` on; ``quiet`` logs nowhere.

    Args:
        path: train.log; lines are appended.
        max_iterations: what the progress bar counts to.
        log_interval: finished episodes between lines; there is at most one line an iteration.
        quiet: for a process that is not the first.
    """

    def __init__(self, path: Path, max_iterations: int, log_interval: int = 10, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        self._log_interval = log_interval
        self._logged_episodes = 0
        self._sinks: List[int] = []
        console = Console(file=sys.stdout)
        self._progress: Optional[Progress] = None
        if console.is_terminal and not quiet:
            columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=console)
            self._bar = self._progress.add_task("training", total=max_iterations)

    def __enter__(self) -> ConsoleLog:
        logger.remove()
        if self._quiet:
            return self
        self._sinks.append(logger.add(self._print, format="{message}", level="INFO"))
        if self._progress is not None:
            self._progress.start()
        return self

    def open_file(self) -> None:
        """Log to the file too, which is this run's from here on: a program that is refused writes no line into it."""
        if self._quiet:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = "{time:YYYY-MM-DD HH:mm:ss} {message}"
        # Without catch a full disk ends the run with a line of ours, with it each log line with loguru's page.
        self._sinks.append(logger.add(self._path, format=line, level="INFO", catch=False))

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
        for sink in self._sinks:
            logger.remove(sink)
        self._sinks.clear()

    def _print(self, message: str) -> None:
        if self._progress is not None:
            self._progress.console.print(message, end="", markup=False, highlight=False)
        else:
            sys.stdout.write(message)
            sys.stdout.flush()

    def after_iteration(self, row: Dict[str, float], agent: DexHandAgent) -> None:
        """Log the iteration if enough episodes have finished since the last line."""
        finished = agent.statistics.finished_episodes
        if self._progress is not None:
            self._progress.update(self._bar, completed=int(row["iteration"]))
        if finished - self._logged_episodes >= self._log_interval:
            self._logged_episodes = finished
            logger.info(log_line(row, agent.statistics.recent()))
