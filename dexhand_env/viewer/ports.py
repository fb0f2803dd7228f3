"""The port of the viewer, chosen before anything heavy is imported."""

from __future__ import annotations

import importlib.util
import socket

from dexhand_env.errors import UserError

DEFAULT_PORTS = range(8080, 8100)
HOST = "127.0.0.1"


def can_draw() -> bool:
    """Whether this Python has what the viewer is made with."""
    return all(importlib.util.find_spec(name) is not None for name in ("viser", "mujoco"))


def viewer_port(wanted: int | None) -> int:
    """The port for the viewer: the one that is wanted, or else the first of 8080 to 8099 that is free; 0 is any.

    Raises:
        UserError: another program has it, or viser is not installed.
    """
    if importlib.util.find_spec("viser") is None:
        raise UserError("viewer", "viser is not installed", "pip install viser, or --headless")
    if wanted is None:
        return next((port for port in DEFAULT_PORTS if _is_free(port)), 0)
    if wanted and not _is_free(wanted):
        raise UserError("--viewer-port", f"port {wanted} is in use", "a free one; 0 takes any")
    return wanted


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
