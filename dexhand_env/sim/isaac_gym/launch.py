"""Calls a function of this package in a Python that has Isaac Gym; started by :func:`.setup.become`.

    <python> launch.py <module>:<function> <what the command line shall be>...

The package is taken from where this file lies, and nothing else of that folder: it may be the ``site-packages`` of
another Python.
"""

import contextlib
import importlib
import importlib.util
import io
import os
import shutil
import sys
from pathlib import Path
from typing import List

MISTAKE = 2
PACKAGE = Path(__file__).resolve().parent.parent.parent


def provide_package() -> None:
    """Make this package, and no other that lies beside it, importable."""
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [place for place in sys.path if os.path.realpath(place or ".") != here]
    spec = importlib.util.spec_from_file_location(
        PACKAGE.name, str(PACKAGE / "__init__.py"), submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE.name] = module
    spec.loader.exec_module(module)


def take_command_line(words: List[str]) -> None:
    """Let the program see the command line that it was started with, and the modules that it would have found."""
    is_module = words[0] == "-m"
    sys.orig_argv = [sys.executable, *words]
    sys.argv[:] = words[1:] if is_module else words
    if is_module:
        sys.path.insert(0, os.getcwd())
    elif (PACKAGE.parent / words[0]).is_file():  # train.py
        sys.path.insert(0, str(PACKAGE.parent))
    beside = os.path.dirname(sys.executable)
    if shutil.which("ninja") is None and shutil.which("ninja", path=beside):
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), beside])


def import_isaacgym(program: str) -> None:
    """Before torch, as it demands; its banner goes nowhere."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("isaacgym.gymapi")
    except Exception as error:  # noqa: BLE001  whatever a vendor's package raises
        message = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "`dexhand doctor` says what to do"
        print(f"{program}sim.backend: isaac_gym: import isaacgym: {message}; {remedy}", file=sys.stderr)
        sys.exit(MISTAKE)


def main() -> None:
    """The command line described at the top."""
    function, *words = sys.argv[1:]
    provide_package()
    take_command_line(words)
    import_isaacgym("" if words[0] == "-m" else f"{words[0]}: ")
    module, _, name = function.partition(":")
    sys.exit(getattr(importlib.import_module(module), name)())


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # a process that multiprocessing has spawned
    provide_package()
