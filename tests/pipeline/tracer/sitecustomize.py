"""Records which files each DVC stage reads: Python imports this by itself where the folder is on PYTHONPATH.

Every process of a stage appends to ``$DEXHAND_TRACE/<stage>.txt``, so the file also shows that the stage ran.
"""

from __future__ import annotations

import os
import sys
from typing import Any

FOLDER, STAGE = os.environ.get("DEXHAND_TRACE"), os.environ.get("DVC_STAGE")


def record(folder: str, stage: str) -> None:
    """Append the path of every file that this process opens for reading, once and as soon as it does."""
    out = os.open(os.path.join(folder, f"{stage}.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    seen = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str):
            return
        path, _, flags = arguments
        if path in seen or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        seen.add(path)
        os.write(out, (os.path.abspath(path) + "\n").encode())

    sys.addaudithook(hook)


if FOLDER and STAGE:
    record(FOLDER, STAGE)
