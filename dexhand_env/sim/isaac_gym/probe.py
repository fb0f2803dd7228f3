"""Says in JSON what a Python has for Isaac Gym: ``<python> probe.py <package>...``; run by :mod:`.setup`.

A script for any Python from 3.6 on that needs nothing but the standard library.
"""

import sys

TORCH_FIRST = "torch" in sys.modules  # before anything here is imported
del sys.path[0]  # this folder, whose modules are no packages of their own

import contextlib  # noqa: E402
import glob  # noqa: E402
import importlib.util  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import sysconfig  # noqa: E402
from typing import List, Optional  # noqa: E402

MARK = "isaacgym-probe:"


def starters() -> List[str]:
    """Files that Python runs as it starts and that name torch."""
    modules = [sys.modules.get(name) for name in ("sitecustomize", "usercustomize")]
    found = [str(module.__file__) for module in modules if module is not None]
    for folder in sys.path:
        for file in sorted(glob.glob(os.path.join(glob.escape(folder), "*.pth"))):
            with contextlib.suppress(OSError), open(file, encoding="utf-8", errors="replace") as stream:
                lines = stream.read().splitlines()
                found += [file] if any(line.startswith("import") and "torch" in line for line in lines) else []
    return found


def libraries() -> Optional[str]:
    """The folder of this Python's libpython, None where there is none."""
    folders = [os.path.join(sys.base_prefix, "lib"), sysconfig.get_config_var("LIBDIR") or ""]
    name = "libpython%d.%d*.so*" % sys.version_info[:2]  # noqa: UP031
    return next((folder for folder in folders if glob.glob(os.path.join(glob.escape(folder), name))), None)


def has_program(name: str) -> bool:
    """Whether a program is on PATH or beside this Python; launch.py adds the latter to PATH."""
    return bool(shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable)))


def is_there(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def isaacgym_folder() -> Optional[str]:
    """Where the package lies, None where it is not found."""
    spec = importlib.util.find_spec("isaacgym")
    places = list(spec.submodule_search_locations or []) if spec else []
    return next((place for place in places if os.path.isfile(os.path.join(place, "__init__.py"))), None)


def import_error() -> Optional[str]:
    """What an import of isaacgym says, None where it succeeds."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("isaacgym.gymapi")
    except Exception as error:  # noqa: BLE001  whatever a vendor's package raises
        return "{}: {}".format(type(error).__name__, " ".join(str(error).split()))
    return None


def main() -> None:
    """Print what is found; before the import too, for that may crash."""
    folder = isaacgym_folder()
    bindings = glob.glob(os.path.join(glob.escape(folder), "_bindings", "*", "gym_*.so")) if folder else []
    found = {
        "version": list(sys.version_info[:3]),
        "torch_first": starters() or ["a .pth file or sitecustomize"] if TORCH_FIRST else [],
        "isaacgym": folder,
        "compiled": folder is not None and os.path.isdir(os.path.join(folder, "_bindings")),
        "bindings": sorted({os.path.basename(file)[len("gym_") : -len(".so")] for file in bindings}),
        "ninja": has_program("ninja"),
        "compiler": has_program(os.environ.get("CXX") or "c++"),
        "libraries": libraries(),
        "missing": [name for name in sys.argv[1:] if not is_there(name)],
        "error": "it ends the process" if folder else None,
    }
    print(MARK + json.dumps(found), flush=True)
    if folder:
        found["error"] = import_error()
        print("\n" + MARK + json.dumps(found), flush=True)


main()
