"""scripts/repair_isaacgym_stubs.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/repair_isaacgym_stubs.py"
PUBLISHED = """from typing import Any, ClassVar
import numpy

class AssetOptions:
    default_dof_drive_mode: int  # property

class DofDriveMode: ...

class RigidContact:
    @property
    def env0(self) -> int: ...

    @property
    def lambda(self) -> float: 
        \'\'\' property lambda

        Contact force magnitude
        \'\'\'


    @property
    def lambda_friction(self) -> float: ...

class Vec3:
    dtype: ClassVar[dtype] = ...  # read-only

class Tensor:
    @property
    def data_ptr(self) -> capsule: 
        \'\'\' property data_ptr \'\'\'
"""  # noqa: W291 - as they are
REPAIRED = """from typing import Any, ClassVar
import numpy

class AssetOptions:
    default_dof_drive_mode: int | DofDriveMode  # property

class DofDriveMode: ...

class RigidContact:
    @property
    def env0(self) -> int: ...

    @property
    def lambda_friction(self) -> float: ...

class Vec3:
    dtype: ClassVar[numpy.dtype] = ...  # read-only

class Tensor:
    @property
    def data_ptr(self) -> Any: 
        \'\'\' property data_ptr \'\'\'
"""  # noqa: W291


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where a package with the defects of the published one is installed."""
    (tmp_path / "isaacgym-stubs").mkdir()
    (tmp_path / "isaacgym-stubs/gymapi.pyi").write_text(PUBLISHED)
    (tmp_path / "isaacgym-stubs/__init__.py").write_text("from .gymapi import *\n")
    install(tmp_path, "1.1rc4")
    return tmp_path


def install(site: Path, version: str) -> None:
    """What pip knows of it."""
    folder = site / f"isaacgym_stubs-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: isaacgym-stubs\nVersion: {version}\n")
    (folder / "RECORD").write_text("isaacgym-stubs/__init__.py,,\nisaacgym-stubs/gymapi.pyi,,\n")


def repair(site: Path) -> subprocess.CompletedProcess[str]:
    """Run the script there."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, str(SCRIPT)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def files(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file's number and text."""
    return {path.name: (path.stat().st_ino, path.read_text()) for path in folder.iterdir()}


def test_what_was_published_is_repaired_once(site: Path) -> None:
    result = repair(site)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    once = files(site / "isaacgym-stubs")
    assert sorted(once) == ["__init__.pyi", "gymapi.pyi", "gymtorch.pyi"]
    assert once["gymapi.pyi"][1] == REPAIRED
    record = (site / "isaacgym_stubs-1.1rc4.dist-info/RECORD").read_text()
    assert record.splitlines()[2:] == ["isaacgym-stubs/__init__.pyi,,", "isaacgym-stubs/gymtorch.pyi,,"]
    assert repair(site).returncode == 0
    assert files(site / "isaacgym-stubs") == once  # not even written
    assert (site / "isaacgym_stubs-1.1rc4.dist-info/RECORD").read_text() == record


def test_another_version_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "1.2")
    result = repair(tmp_path)
    message = "error: isaacgym-stubs: 1.2; allowed: 1.1rc4, which this script repairs\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", message)


def test_the_installed_ones_are_repaired() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
