"""The guard in tests/conftest.py, run in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).with_name("conftest.py")


def outcome(folder: Path, test: str) -> str:
    """The last line of a pytest run over one test file beside a copy of the guard."""
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "stand_in").symlink_to(CONFTEST.with_name("stand_in"))
    (folder / "test_it.py").write_text(f"import pytest\n\n{test}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    result = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    return result.stdout.splitlines()[-1]


def test_a_skip_for_an_expected_reason_passes(tmp_path: Path) -> None:
    assert outcome(tmp_path, "def test_it():\n    pytest.skip('no browser')").startswith("1 skipped")


def test_any_other_skip_fails(tmp_path: Path) -> None:
    assert outcome(tmp_path, "def test_it():\n    pytest.skip('too slow')").startswith("1 failed")


def test_a_mark_with_another_reason_fails(tmp_path: Path) -> None:
    assert outcome(tmp_path, "@pytest.mark.skip(reason='later')\ndef test_it():\n    pass").startswith("1 error")


def test_a_module_that_skips_itself_fails(tmp_path: Path) -> None:
    assert "1 error" in outcome(tmp_path, "pytest.importorskip('no_such_module')\n\ndef test_it():\n    pass")
