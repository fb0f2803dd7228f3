"""What the live viewer costs a training: ``python -m benchmarks.viewer``.

A training of BaseTask in 64 worlds, watched and left alone by turns, so that both meet the same machine. The one who
watches takes in everything that a browser would, and draws nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.table import Row, markdown

WORLDS, ITERATIONS, TURN_S, CHANGE_S = 64, 320, 4.0, 1.5
Turns = list[tuple[float, float, float]]


def rows() -> list[Row]:
    """With a core to spare for the viewer, and with every core at work."""
    cores = os.cpu_count() or 1
    cases = ((1, 4), (1, 16), (cores, 4), (cores, 16))
    return [row for threads, shown in cases for row in measure(threads, shown)]


def measure(threads: int, shown: int) -> list[Row]:
    """Frames/s of a training with and without somebody who watches ``shown`` worlds, and pictures/s."""
    iterations, looks = training_by_turns(threads, shown)
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for (begin, before), (end, after) in zip(iterations, iterations[1:]):
        watched = any(low + CHANGE_S < begin and end < high for low, high, _ in looks)
        alone = looks[0][0] < begin and not any(low < end and begin < high + CHANGE_S for low, high, _ in looks)
        if watched or alone:
            speeds[watched].append(1.0 / (after - before))
    ratio = statistics.median(speeds[True]) / statistics.median(speeds[False])
    pictures = statistics.median(rate for _, _, rate in looks)
    case = f"{shown} of {WORLDS} worlds watched, {threads} thread{'s' if threads > 1 else ''}"
    counted = f"medians of {len(speeds[True])} and {len(speeds[False])} iterations"
    return [
        Row(f"{case}: frames/s, watched / not", counted, f"{ratio:.3f}", "at least 0.95"),
        Row(f"{case}: pictures/s", f"{len(looks)} looks of {TURN_S:.0f} s", f"{pictures:.1f}", "30"),
    ]


def training_by_turns(threads: int, shown: int) -> tuple[list[tuple[float, float]], Turns]:
    """Train for :data:`ITERATIONS`.

    Returns:
        When each iteration ended, by the clock and by the training's own, s; and the looks: begin, end, pictures/s.
    """
    from dexhand_env.config.physics import load_physics
    from dexhand_env.config.ppo import fit_minibatch, load_ppo
    from dexhand_env.config.registry import find_task, load_task
    from dexhand_env.rl.training import TrainingSpec, run_training
    from dexhand_env.tasks.registry import task_class
    from dexhand_env.viewer.launch import live_viewer
    from dexhand_env.viewer.messages import TRAINING, Setup
    from dexhand_env.viewer.ports import viewer_port

    entry = find_task("BaseTask")
    task = load_task(entry, {}, "benchmark")
    params = load_ppo(str(entry.train_file), {"params": {"config": {"max_epochs": ITERATIONS}}}, "benchmark")
    params, _ = fit_minibatch(params, WORLDS)
    physics = load_physics(task.sim.physics)
    spec = TrainingSpec(task, physics, params.dump(), WORLDS, seed=0, threads=threads, learner_threads=threads)
    setup = Setup(
        "BaseTask", TRAINING, task_class("BaseTask").scene(task), physics, WORLDS, viewer_port(None), shown=shown
    )
    iterations: list[tuple[float, float]] = []

    def note(row: dict[str, float], agent: Any) -> None:
        iterations.append((time.monotonic(), row["seconds"]))

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with live_viewer(setup) as tap, tempfile.TemporaryDirectory() as folder:
        watcher = spawn.Process(target=watch_by_turns, args=(setup.port, theirs), daemon=True)
        watcher.start()
        run_training(spec, Path(folder) / "run", on_iteration=note, watcher=tap)
        ours.send("enough")
        looks: Turns = []
        while not looks or looks[-1][1] < iterations[-1][0]:
            if not ours.poll(3.0 * TURN_S):
                break
            looks.append(ours.recv())
    return iterations, [look for look in looks if look[1] < iterations[-1][0]]


def watch_by_turns(port: int, connection: Connection) -> None:
    """Look for :data:`TURN_S`, look away for as long; sends when each look began and ended and its pictures/s."""
    from dexhand_env.viewer.looker import look

    while not connection.poll():
        begin = time.monotonic()
        received = look(port, TURN_S)
        connection.send((begin, time.monotonic(), received.messages / received.seconds))
        time.sleep(TURN_S)


if __name__ == "__main__":
    print(markdown(rows()))
