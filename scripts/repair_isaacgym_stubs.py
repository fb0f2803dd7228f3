"""Make isaacgym-stubs readable for type checkers, in place (`make install-dev` calls it).

As published no checker takes them: they define a method named ``lambda``, use names that are not there, call the
package's stub ``__init__.py`` and leave ``gymtorch`` out. A second call changes nothing.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from importlib import metadata
from pathlib import Path

NAME, VERSION = "isaacgym-stubs", "1.1rc4"
REPAIRS = (
    # Two properties whose name is a keyword, so that code can only reach them by getattr.
    (r"    @property\n    def lambda\(.*?\n(?=    @property\n)", ""),
    (r"ClassVar\[dtype\]", "ClassVar[numpy.dtype]"),
    (r"-> capsule:", "-> Any:"),
    # Its constants are of an enumeration.
    (r"default_dof_drive_mode: int\b(?! \|)", "default_dof_drive_mode: int | DofDriveMode"),
)
GYMTORCH = """import torch

from . import gymapi

def wrap_tensor(gym_tensor: gymapi.Tensor) -> torch.Tensor: ...
def unwrap_tensor(torch_tensor: torch.Tensor) -> gymapi.Tensor: ...
"""


def main() -> int:
    """Repair what is installed beside this Python; the exit status."""
    try:
        package = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return _refuse("not installed")
    if package.version != VERSION:
        return _refuse(package.version)
    folder = Path(str(package.locate_file(NAME)))
    stub = folder / "gymapi.pyi"
    text = stub.read_text(encoding="utf-8")
    for wrong, right in REPAIRS:
        text = re.sub(wrong, right, text, flags=re.DOTALL)
    ast.parse(text)
    _replace(stub, text)
    _replace(folder / "__init__.pyi", "from . import gymapi as gymapi, gymtorch as gymtorch\n")
    _replace(folder / "gymtorch.pyi", GYMTORCH)
    (folder / "__init__.py").unlink(missing_ok=True)
    _record(Path(str(package.locate_file(f"isaacgym_stubs-{VERSION}.dist-info/RECORD"))))
    return 0


def _refuse(found: str) -> int:
    print(f"error: {NAME}: {found}; allowed: {VERSION}, which this script repairs", file=sys.stderr)
    return 2


def _record(record: Path) -> None:
    """Let pip know of the new files, so that it removes them too."""
    text = record.read_text(encoding="utf-8")
    lines = [f"{NAME}/{name},,\n" for name in ("__init__.pyi", "gymtorch.pyi")]
    _replace(record, text + "".join(line for line in lines if line not in text))


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, unless it has that text."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    whole = path.with_name(f"{path.name}.{os.getpid()}")
    whole.write_text(text, encoding="utf-8")
    os.replace(whole, path)


if __name__ == "__main__":
    sys.exit(main())
