"""``dexhand`` says so where a folder has other code than it runs."""

from __future__ import annotations

from pathlib import Path

from .programs import ROOT, run

CODE = "import sys; sys.argv[0] = 'dexhand'; from dexhand_env.cli import main; sys.exit(main())"


def test_code_of_another_checkout_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "dexhand_env").mkdir()
    result = run(tmp_path, "-P", "-c", CODE, "tasks")
    assert (result.returncode, result.stderr) == (0, "")
    (tmp_path / "dexhand_env/__init__.py").touch()
    result = run(tmp_path, "-P", "-c", CODE, "tasks")
    assert result.returncode == 0
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"dexhand: runs the code of {ROOT}, not that of this folder")
    result = run(tmp_path, "-P", str(ROOT / "train.py"), "--help")  # named by its path
    assert (result.returncode, result.stderr) == (0, "")


def test_a_checkouts_own_code_is_not_worth_a_word(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOT)
    for folder in (ROOT, tmp_path / "link"):
        assert run(folder, "-P", "-c", CODE, "tasks").stderr == ""
