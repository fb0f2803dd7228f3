"""The drawing process: a viser server that asks for frames while a browser looks, and only then."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import signal
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from dexhand_env.viewer.curves import Curves
from dexhand_env.viewer.drawing import SPACING_M, Drawing, world_origins
from dexhand_env.viewer.messages import FRAME_S, TRAINING, Controls, Frame, Setup
from dexhand_env.viewer.panel import Panel
from dexhand_env.viewer.ports import HOST
from dexhand_env.viewer.poses import ScenePoses

if TYPE_CHECKING:
    import viser

NICENESS = 14  # where all cores are at work the training goes first, and one in twenty-five parts of a core draws
# A training makes its steps in bursts between which it learns: so many are fetched at once and drawn evenly.
TRAINING_AHEAD = 16
FIELD_OF_VIEW_RAD = np.pi / 4.0
NARROW = 0.9  # width over height of a window in which the scene would not fit
PANEL_PX = 330  # of a wide window
ABOVE_PANEL = 0.45  # where the scene's middle is seen on a phone: of the way from the window's middle to its top
SLOW_S = 0.5  # between updates of text and curves


def serve(connection: Connection, setup: Setup) -> None:
    """Draw until the other side closes the connection; its first message is the port it listens on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other side, which then closes the connection
    if setup.mode == TRAINING and hasattr(os, "nice"):
        os.nice(NICENESS)
    import viser

    with contextlib.redirect_stdout(io.StringIO()):  # it prints a banner
        server = viser.ViserServer(host=HOST, port=setup.port, verbose=False)
    with contextlib.suppress(EOFError, OSError):
        connection.send(server.get_port())
        Session(server, connection, setup).run()
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()


class Session:
    """One viewer from its first frame to its last.

    Args:
        server: viser's.
        connection: to the process that steps.
        setup: what is drawn.
    """

    def __init__(self, server: viser.ViserServer, connection: Connection, setup: Setup) -> None:
        self._server = server
        self._connection = connection
        self._scene = setup.scene
        self._poses = ScenePoses(setup.scene, setup.physics)
        self._panel = Panel(server.gui, setup)
        self._curves = Curves(server.gui, setup.mode, setup.physics.control_dt_s)
        self._drawing: Drawing | None = None
        self._drawn_worlds = 0
        self._ahead = TRAINING_AHEAD if setup.mode == TRAINING else 1
        self._asked = 0  # frames that have not come yet
        self._frames: deque[Frame] = deque()
        self._sent = Controls()
        self._slow_at = 0.0
        _aim_camera(server, setup, len(self._panel.worlds))
        server.on_client_connect(lambda client: _fit_window(client, server.initial_camera))

    def run(self) -> None:
        """Until the connection ends, which raises EOFError or OSError."""
        due = time.monotonic()
        while True:
            due = max(due + FRAME_S, time.monotonic())  # the time that a picture takes is part of its period
            self._say()
            while self._connection.poll(max(due - time.monotonic(), 0.0)):
                self._frames.append(self._connection.recv())
                self._asked -= 1
            if self._frames:
                self._draw(self._frames.popleft())

    def _say(self) -> None:
        """Ask for frames if a browser looks; pass on what has been chosen."""
        looked_at = bool(self._server.get_clients())
        if not looked_at:
            self._panel.let_go()
        missing = self._ahead - len(self._frames) - self._asked if looked_at else 0
        controls = self._panel.controls()
        if missing or controls != self._sent:
            self._connection.send(dataclasses.replace(controls, frames=missing))
            self._asked += missing
            self._sent = controls

    def _draw(self, frame: Frame) -> None:
        worlds = len(frame.joint_positions)
        self._curves.add(frame)
        with self._server.atomic():
            if self._drawing is None or worlds != self._drawn_worlds:
                self._drawing = Drawing(self._server.scene, self._scene, self._poses, worlds)
                self._drawn_worlds = worlds
            self._drawing.show(frame, self._panel.shows_forces, self._panel.shows_goals)
            if time.monotonic() >= self._slow_at:
                self._slow_at = time.monotonic() + SLOW_S
                self._panel.show(frame)
                self._curves.draw()


def _fit_window(client: viser.ClientHandle, aimed: viser.InitialCameraConfig) -> None:
    """Put the scene in the middle of what the panel leaves free: it is at the right, on a phone over the lower part."""
    camera = client.camera
    # The client may not have told yet that it took this camera.
    centre, offset = aimed.look_at, aimed.position - aimed.look_at
    if camera.aspect < NARROW:  # and step back, for the field of view is that of the height
        offset = offset * (NARROW / camera.aspect)
    aside = np.cross((0.0, 0.0, 1.0), offset)
    aside /= np.linalg.norm(aside)
    upwards = np.cross(offset, aside) / np.linalg.norm(offset)
    half_height = np.linalg.norm(offset) * np.tan(0.5 * FIELD_OF_VIEW_RAD)
    if camera.aspect < NARROW:
        shift = -ABOVE_PANEL * half_height * upwards
    else:
        shift = PANEL_PX / camera.image_height * half_height * aside
    with client.atomic():
        camera.position = centre + offset + shift
        camera.look_at = centre + shift  # after the position, which moves it


def _aim_camera(server: viser.ViserServer, setup: Setup, worlds: int) -> None:
    """Frame the worlds that are drawn first, from the front and above."""
    extent = float(np.ptp(world_origins(worlds)[:, :2], axis=0).max()) + SPACING_M
    centre = np.array([0.0, 0.0, 0.6 * setup.scene.spawn_height_m])
    direction = np.array([1.0, -0.35, 0.6])
    server.initial_camera.look_at = tuple(centre)
    server.initial_camera.position = tuple(centre + 1.3 * extent * direction / np.linalg.norm(direction))
    server.initial_camera.fov = FIELD_OF_VIEW_RAD
    server.initial_camera.up = (0.0, 0.0, 1.0)
