"""What the live viewer costs a training: ``python -m benchmarks.viewer``.

One training of BaseTask in 64 worlds, watched and left alone by turns, so that both meet the same busy machine. The
one who watches takes everything in that a browser would, and draws nothing.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.table import Row, markdown

WORLDS, ITERATIONS, TURN_S, CHANGE_S = 64, 150, 5.0, 1.5


def watch_by_turns(port: int, connection: Connection) -> None:
    """Look for :data:`TURN_S`, look away for as long; sends when each look began and ended and what came."""
    from dexhand_env.viewer.looker import look

    while not connection.poll():
        begin = time.monotonic()
        received = look(port, TURN_S)
        connection.send((begin, time.monotonic(), received.messages / received.seconds))
        time.sleep(TURN_S)


def rows() -> list[Row]:
    """Frames/s of the training with and without a viewer that is looked at, and pictures/s."""
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
    spec = TrainingSpec(task, physics, params.dump(), WORLDS, seed=0)
    scene = task_class("BaseTask").scene(task)
    setup = Setup("BaseTask", TRAINING, scene, physics, WORLDS, viewer_port(None))
    ends: list[tuple[float, float, float]] = []

    def note(row: dict[str, float], agent: Any) -> None:
        ends.append((time.monotonic(), row["seconds"], row["cpu_seconds"]))

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with live_viewer(setup) as tap, tempfile.TemporaryDirectory() as folder:
        watcher = spawn.Process(target=watch_by_turns, args=(setup.port, theirs), daemon=True)
        watcher.start()
        run_training(spec, Path(folder) / "run", on_iteration=note, watcher=tap)
        ours.send("enough")
        looks = []
        while ours.poll(2.0 * TURN_S):
            looks.append(ours.recv())
            if looks[-1][1] > ends[-1][0]:
                break
    looks = [look for look in looks if look[1] < ends[-1][0]]
    speeds: dict[bool, list[float]] = {True: [], False: []}
    cpu: dict[bool, list[float]] = {True: [], False: []}
    for (begin, before, cpu_before), (end, after, cpu_after) in zip(ends, ends[1:]):
        watched = any(low + CHANGE_S < begin and end < high - 0.1 for low, high, _ in looks)
        alone = looks[0][1] < begin and not any(low - 0.1 < end and begin < high + CHANGE_S for low, high, _ in looks)
        if watched or alone:
            speeds[watched].append(WORLDS * params.config.horizon_length / (after - before))
            cpu[watched].append(cpu_after - cpu_before)
    with_viewer, without = statistics.median(speeds[True]), statistics.median(speeds[False])
    busy, idle = (1000.0 * statistics.median(cpu[key]) for key in (True, False))
    pictures = statistics.median(rate for _, _, rate in looks)
    figures = f"{with_viewer:,.0f} / {without:,.0f} frames/s, medians of {len(speeds[True])} and {len(speeds[False])}"
    return [
        Row("training watched / not, 64 worlds, 1 thread", figures, f"{with_viewer / without:.3f}", "at least 0.95"),
        Row(
            "the training's own CPU time, watched / not",
            f"{busy:.1f} / {idle:.1f} ms an iteration",
            f"{busy / idle:.3f}",
            "-",
        ),
        Row(
            "pictures that come, training", f"{len(looks)} looks of {TURN_S:.0f} s", f"{pictures:.0f} /s", "up to 30 /s"
        ),
    ]


if __name__ == "__main__":
    print(markdown(rows()))
