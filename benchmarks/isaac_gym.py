"""What the Isaac Gym adapter costs beside physics: its own share of a control step, over MuJoCo's whole one.

    python -m benchmarks.isaac_gym

On the stand-in of tests/stand_in, whose calls are left out: only the adapter's own code is measured, on one core.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "stand_in"))
from isaacgym import gymapi  # isort: skip  (before torch)

import torch

from benchmarks.table import Row, markdown
from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.sim.contract import Simulation
from dexhand_env.tasks.registry import make_env

WORLDS, WARM_UP, STEPS = 512, 10, 40


class Stopwatch:
    """Time spent in the outermost of the functions that it watches."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watch(self, owner: type, name: str) -> None:
        """Replace a method or property of a class by one that is timed."""
        found = owner.__dict__[name]
        if isinstance(found, property):
            assert found.fget is not None
            setattr(owner, name, property(self._timed(found.fget)))
        else:
            setattr(owner, name, self._timed(found))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return function(*arguments, **named)
            self._inside = True
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - start
                self._inside = False

        return call


def step_seconds(task: str, preset: str, backend: str, *watches: Stopwatch) -> list[tuple[float, ...]]:
    """Seconds of each control step, and what each stopwatch showed of it."""
    config = load_task(task, {"sim": {"backend": backend, "physics": preset}})
    env = make_env(config, load_physics(preset), WORLDS, TrainingRandomness(0, torch.device("cpu")), "cpu", 1)
    actions = torch.rand(WARM_UP + STEPS, WORLDS, env.num_actions) * 2.0 - 1.0
    found = []
    for each in actions:
        for watch in watches:
            watch.seconds = 0.0
        start = time.perf_counter()
        env.step(each)
        found.append((time.perf_counter() - start, *(watch.seconds for watch in watches)))
    return found[WARM_UP:]


def main() -> int:
    """Measure and print a table."""
    torch.set_num_threads(1)
    from dexhand_env.sim.isaac_gym.simulation import IsaacGymSimulation

    adapter, gym = Stopwatch(), Stopwatch()
    for name, value in vars(IsaacGymSimulation).items():
        if name in vars(Simulation) and (callable(value) or isinstance(value, property)) and not name.startswith("_"):
            adapter.watch(IsaacGymSimulation, name)
    for name in [name for name in vars(gymapi.Gym) if not name.startswith("_")]:
        gym.watch(gymapi.Gym, name)
    rows = []
    for task, preset in (("BaseTask", "fast"), ("BaseTask", "default"), ("DexGrasp", "fast"), ("DexGrasp", "default")):
        mujoco = statistics.median(whole for whole, *_ in step_seconds(task, preset, "mujoco"))
        own = statistics.median(
            inside - calls for _, inside, calls in step_seconds(task, preset, "isaac_gym", adapter, gym)
        )
        figures = f"adapter {1e3 * own:.2f} ms, MuJoCo's env.step {1e3 * mujoco:.2f} ms"
        rows.append(Row(f"{task}, {WORLDS} worlds, physics {preset}", figures, f"{own / mujoco:.2f}", "at most 0.25"))
    print(json.dumps([dataclasses.asdict(row) for row in rows]) if "--json" in sys.argv else markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
