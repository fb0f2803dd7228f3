from __future__ import annotations

import json
from pathlib import Path

import pytest

from dexhand_env.errors import UserError
from dexhand_env.stages.inputs import SeedFolder, read_json, read_section, seed_stage


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_section_is_read_from_where_validate_writes_it() -> None:
    path = Path("results/Tiny/config/train.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"task": "BaseTask"}', encoding="utf-8")
    assert read_section("Tiny", "train") == {"task": "BaseTask"}


def test_a_missing_section_names_the_command_that_makes_it() -> None:
    with pytest.raises(UserError) as caught:
        read_section("Tiny", "selection")
    message = str(caught.value)
    assert message.startswith("results/Tiny/config/selection.json: cannot be read (No such file or directory)")
    assert message.endswith("run first: python -m dexhand_env.stages.validate Tiny selection")


@pytest.mark.parametrize(
    ("text", "found"),
    [('{"task": ', "is not JSON"), ("", "is not JSON"), ("[1, 2]", "holds a list"), ("3", "holds a int")],
)
def test_a_damaged_file_is_refused(text: str, found: str) -> None:
    path = Path("selection.json")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=found) as caught:
        read_json(path, "the select stage's output")
    assert "\n" not in str(caught.value)
    assert "the select stage's output" in str(caught.value)


def test_a_file_that_is_not_text_is_refused() -> None:
    path = Path("selection.json")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not JSON"):
        read_json(path, "remedy")


def test_a_folder_in_the_files_place_is_refused() -> None:
    Path("selection.json").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read_json(Path("selection.json"), "remedy")


def test_the_files_of_a_seed() -> None:
    folder = SeedFolder("Tiny", 7)
    assert folder.path == Path("results/Tiny/seed7")
    assert folder.checkpoints == Path("results/Tiny/seed7/checkpoints")
    assert folder.record("train") == Path("results/Tiny/seed7/stages/train.json")


def test_a_stages_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run(experiment: str, seed: int) -> None:
        if seed == 1:
            raise UserError("results/x.json", "is\nmissing", "a file")
        print(json.dumps([experiment, seed]))

    assert seed_stage("train", "Summary.", run, ["Tiny", "2"]) == 0
    assert capsys.readouterr().out == '["Tiny", 2]\n'
    assert seed_stage("train", "Summary.", run, ["Tiny", "1"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "results/x.json: is missing; allowed: a file\n")
    for arguments in ([], ["Tiny"], ["Tiny", "first"], ["Tiny", "1", "2"]):
        with pytest.raises(SystemExit) as caught:
            seed_stage("train", "Summary.", run, arguments)
        assert caught.value.code == 2
