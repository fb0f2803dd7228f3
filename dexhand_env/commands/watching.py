"""The viewer of a run, where it has one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dexhand_env.commands.options import ResolvedRun

if TYPE_CHECKING:
    from dexhand_env.env.vec_env import Watcher


@contextlib.contextmanager
def watcher(run: ResolvedRun, mode: str, may_wait: bool = True) -> Iterator[Watcher | None]:
    """The live viewer while the block runs; None for a run without one.

    Args:
        run: what is watched.
        mode: one of :mod:`dexhand_env.viewer.messages`.
        may_wait: whether the browser may hold the run up.
    """
    if run.viewer_port is None:
        yield None
        return
    from dexhand_env.tasks.registry import simulated_scene
    from dexhand_env.viewer.launch import live_viewer
    from dexhand_env.viewer.messages import Setup

    scene = simulated_scene(run.task)
    setup = Setup(f"{run.task.task}: {mode}", mode, scene, run.physics, run.options.num_envs, run.viewer_port)
    with live_viewer(setup, may_wait, " (--headless trains and tests without)") as tap:
        yield tap
