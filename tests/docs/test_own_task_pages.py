"""The tasks that the pages print are written to files as they are printed, and the printed commands are run."""

from __future__ import annotations

import csv
import math
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.commands.programs import shell

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# The guide's example, word for word.
HAND_HEIGHT = """\
    def compute_task_rewards(self):
        # Example: reward for keeping hand at a certain height
        hand_height = self.hand_positions[:, 2]  # Z coordinate
        height_reward = torch.exp(-torch.abs(hand_height - 0.5))

        return {"height": height_reward}
"""


def printed(page: str, heading: str) -> tuple[dict[str, str], list[str]]:
    """A section's files, named by the line before each block, and its commands."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"^##+ ", text.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    files: dict[str, str] = {}
    commands: list[str] = []
    for block in BLOCK.finditer(section):
        language, content = block.groups()
        if language == "bash":
            commands += content.splitlines()
        else:
            before = section[: block.start()].rstrip().splitlines()[-1]
            files[re.findall(r"`([^`]+)`", before)[-1]] = content
    return files, commands


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")


def test_the_task_of_the_page_is_short_and_learned_as_the_page_says(tmp_path: Path) -> None:
    files, commands = printed("tasks.md", "A task of your own")
    assert list(files) == ["hand_height.py", "HandHeight.yaml"]
    assert sum(len(content.splitlines()) for content in files.values()) < 40
    write(tmp_path, files)
    (tmp_path / "train.py").symlink_to(ROOT / "train.py")
    training, test = commands

    result = shell(tmp_path, training)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no HandHeightPPO.yaml: PPO is configured as in " in result.stdout
    result = shell(tmp_path, test)
    assert (result.returncode, result.stderr) == (0, "")
    lengths = {int(length) for length in re.findall(r"^episode \d+: .*, length (\d+),", result.stdout, re.MULTILINE)}
    assert lengths == {11}
    assert "\nsuccess 100 of 100 " in result.stdout


def test_the_guides_reward_in_a_task_of_the_package(tmp_path: Path) -> None:
    """A copy of the package, the guide's copied PPO file, and the guide's command."""
    files, commands = printed("training.md", "Your own rewards")
    assert HAND_HEIGHT in files["dexhand_env/tasks/my_task.py"]
    shutil.copytree(ROOT / "dexhand_env", tmp_path / "dexhand_env", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", tmp_path)
    write(tmp_path, files)
    for command in commands:
        result = shell(tmp_path, command)
        assert (result.returncode, result.stderr) == (0, "")

    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"MyTask_\d{8}_\d{6}", run.name)
    args = yaml.safe_load((run / "args.yaml").read_text(encoding="utf-8"))
    assert args["task_config"]["rewards"] == {"height": 1.0}
    with (run / "history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["iteration"] for row in rows] == ["1", "2"]
    for row in rows:  # the hand starts at the height that is rewarded most
        assert math.exp(-0.2) < float(row["raw_reward/height"]) <= 1.0
        assert float(row["reward/height"]) == pytest.approx(float(row["raw_reward/height"]))


def test_a_task_of_the_package_lacks_a_file(tmp_path: Path) -> None:
    """Either of its two files alone is a mistake that names the other."""
    files, _ = printed("training.md", "Your own rewards")
    shutil.copytree(ROOT / "dexhand_env", tmp_path / "dexhand_env", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", tmp_path)
    source, config = files
    for name, line in [
        (source, f"--task: {source} has no configuration; allowed: a task with {config}"),
        (config, f"{config}: no task has this configuration; allowed: its class in {source}"),
    ]:
        write(tmp_path, {name: files[name]})
        result = shell(tmp_path, "python train.py --task MyTask --headless")
        assert (result.returncode, result.stderr.splitlines()) == (2, [f"train.py: {line}"])
        (tmp_path / name).unlink()
    assert not (tmp_path / "runs").exists()
