"""Help and mistakes answer at once: nothing heavy is imported before the options are checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .programs import ROOT, dexhand, files, run, train

HEAVY = (
    "torch",
    "mujoco",
    "rl_games",
    "numpy",
    "pyarrow",
    "viser",
    "altair",
    "trimesh",
    "gymnasium",
    "snakemake",
    "dvc",
)
GUIDE_OPTIONS = (
    "--task",
    "--num-envs",
    "--sim-device",
    "--rl-device",
    "--graphics-device-id",
    "--headless",
    "--train-config",
    "--seed",
    "--torch-deterministic",
    "--checkpoint",
    "--test",
    "--max-iterations",
    "--experiment-name",
    "--log-interval",
)

LOADED = """
import json, runpy, sys
program, arguments = sys.argv[1], sys.argv[2:]
sys.argv = [program, *arguments]
try:
    if program == "train.py":
        runpy.run_path(ROOT + "/train.py", run_name="__main__")
    else:
        from dexhand_env.cli import main
        main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def loaded(folder: Path, program: str, *arguments: str) -> tuple[int, set[str]]:
    """Exit code, and the packages that the process had imported when it ended."""
    result = run(folder, "-c", LOADED.replace("ROOT", repr(str(ROOT))), program, *arguments)
    return result.returncode, set(json.loads(result.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (0, ["train.py", "--help"]),
        (0, ["dexhand", "--help"]),
        (0, ["dexhand", "train", "--help"]),
        (0, ["dexhand", "evaluate", "--help"]),
        (0, ["dexhand", "view", "--help"]),
        (2, ["train.py", "--task", "BasTask"]),
        (2, ["dexhand", "view", "--task", "BasTask"]),
        (2, ["train.py", "--nothing"]),
        (2, ["train.py", "--test"]),
        (2, ["train.py", "params.config.gamma=2"]),
        (2, ["dexhand", "evaluate", "Tiny", "1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_nothing_heavy_is_imported(tmp_path: Path, code: int, command: list[str]) -> None:
    found, packages = loaded(tmp_path, *command)
    assert found == code
    assert "dexhand_env" in packages
    assert packages & set(HEAVY) == set()
    assert files(tmp_path) == {}


def test_help_lists_every_option_of_the_guide(tmp_path: Path) -> None:
    result = train(tmp_path, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    for option in GUIDE_OPTIONS:
        assert f"{option} " in result.stdout, option


def test_dexhand_has_its_commands(tmp_path: Path) -> None:
    result = dexhand(tmp_path, "--help")
    for command in ("train", "view", "validate", "select", "evaluate", "report", "compare", "video", "tasks", "doctor"):
        assert f" {command} " in result.stdout, command


def test_tasks_lists_observations_and_rewards(tmp_path: Path) -> None:
    result = dexhand(tmp_path, "tasks")
    assert result.returncode == 0
    for text in ("BaseTask: Bring the whole hand", "fingertip_forces", "goal_errors", "position_progress"):
        assert text in result.stdout
