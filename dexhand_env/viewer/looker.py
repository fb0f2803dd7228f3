"""A browser's connection to the viewer without its picture: for tests, and for what watching costs a training."""

from __future__ import annotations

import dataclasses
import time

# What viser's page says of its camera; until it has, it does not count as connected.
CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": (1.0, 0.0, 0.0, 0.0),
    "position": (1.0, 0.0, 1.0),
    "fov": 0.8,
    "near": 0.01,
    "far": 100.0,
    "image_height": 600,
    "image_width": 800,
    "look_at": (0.0, 0.0, 0.0),
    "up_direction": (0.0, 0.0, 1.0),
}


@dataclasses.dataclass
class Received:
    """What came: websocket messages (about one a frame), bytes, and for how long."""

    messages: int = 0
    bytes: int = 0
    seconds: float = 0.0


def look(port: int, seconds: float) -> Received:
    """Be connected to the viewer on this machine for ``seconds``, or until it ends."""
    import msgspec
    import viser
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    received, start = Received(), time.monotonic()
    protocols = [Subprotocol(f"viser-v{viser.__version__}")]
    with connect(f"ws://127.0.0.1:{port}", subprotocols=protocols, max_size=None, compression=None) as socket:
        socket.send(msgspec.msgpack.encode(CAMERA))
        while (rest := start + seconds - time.monotonic()) > 0.0:
            try:
                received.bytes += len(socket.recv(timeout=rest))
            except TimeoutError:
                break
            except ConnectionClosed:
                break
            received.messages += 1
    received.seconds = time.monotonic() - start
    return received
