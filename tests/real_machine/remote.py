"""A simulation in the Python that has Isaac Gym, for tests that run in this one."""

from __future__ import annotations

import os
import subprocess
import tempfile
import weakref
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

import torch

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene

from .wire import packed, unpacked

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("server.py")


class Link:
    """A process with one simulation, which ends with this object."""

    def __init__(self, python: str) -> None:
        folder = tempfile.TemporaryDirectory()
        address = f"{folder.name}/link"
        path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        with Listener(address) as listener:
            process = subprocess.Popen([python, str(SERVER), address], env={**os.environ, "PYTHONPATH": path})
            listener._listener._socket.settimeout(300.0)  # type: ignore[attr-defined]
            self._connection: Connection = listener.accept()
        weakref.finalize(self, _end, self._connection, process, folder)

    def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of the served object answers.

        Raises:
            UserError: as it does.
            RuntimeError: what else it raised, with its traceback.
        """
        self._connection.send((method, packed(arguments)))
        kind, answer = self._connection.recv()
        if kind == "mistake":
            raise UserError(*answer)
        if kind == "error":
            raise RuntimeError("\n".join(answer))
        return unpacked(answer, "cpu")


def _end(connection: Connection, process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    connection.close()
    process.wait(60)
    folder.cleanup()


def _property(name: str) -> property:
    return property(lambda self: self.link.ask("get", name))


def _method(name: str) -> Any:
    return lambda self, *arguments: self.link.ask("call", name, arguments)


# Everything that the contract names, passed on.
_PASSED_ON = {
    name: _property(name) if isinstance(vars(Simulation)[name], property) else _method(name)
    for name in Simulation.__abstractmethods__
}
_Passing = type("_Passing", (Simulation,), _PASSED_ON)


class RemoteSimulation(_Passing):  # type: ignore[misc, valid-type]
    """See :class:`Simulation`; its tensors come to the CPU."""

    def __init__(self, python: str, scene: Scene, physics: Physics, num_envs: int, device: str) -> None:
        self.link = Link(python)
        made = self.link.ask("make", scene, physics.dump(), num_envs, device)
        self.num_envs, _, self.control_dt_s, self.object_shapes = made
        self.device = torch.device("cpu")
