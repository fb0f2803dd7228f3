"""dexhand doctor looks whether the folders that are written to can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from dexhand_env.commands.doctor import checks


def test_what_stands_in_the_way_of_a_folder_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def writable() -> dict[str, bool]:
        return {what: passed for what, passed, _ in checks() if what in ("results/", "runs/")}

    assert writable() == {"results/": True, "runs/": True}
    (tmp_path / "runs").touch()
    (tmp_path / "results").symlink_to("nothing")
    assert writable() == {"results/": False, "runs/": False}
    (tmp_path / "nothing").mkdir()
    assert writable() == {"results/": True, "runs/": False}
