"""Starts the drawing process beside the one that steps, and ends it with that one."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator

from dexhand_env.errors import UserError
from dexhand_env.viewer.messages import Setup
from dexhand_env.viewer.panel import first_speed
from dexhand_env.viewer.ports import HOST
from dexhand_env.viewer.server import serve
from dexhand_env.viewer.tap import Tap

START_S = 60.0
END_S = 5.0


@contextlib.contextmanager
def live_viewer(setup: Setup, may_wait: bool = True, hint: str = "") -> Iterator[Tap]:
    """Draw what the tap sees while the block runs; prints the address.

    Args:
        setup: what is drawn.
        may_wait: see :class:`dexhand_env.viewer.tap.Tap`.
        hint: printed behind the address.

    Raises:
        UserError: the drawing process does not start.
    """
    spawn = multiprocessing.get_context("spawn")  # a fork would carry threads' locks along
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, setup), name="viewer", daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the connection
    try:
        if not ours.poll(START_S):
            raise UserError("viewer", f"has not started within {START_S:.0f} s", "--headless")
        try:
            port = ours.recv()
        except EOFError:
            raise UserError("viewer", "ended as it started; its message stands above", "--headless") from None
        print(f"viewer: http://{HOST}:{port}{hint}", flush=True)
        yield Tap(ours, may_wait, first_speed(setup.mode))
    finally:
        ours.close()
        process.join(END_S)
        if process.is_alive():
            process.terminate()
