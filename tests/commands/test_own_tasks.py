"""Tasks from outside the package, through the programs: files, installed packages, and what can be wrong with them."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from dexhand_env.commands.options import resolve
from dexhand_env.config.registry import default_task, find_task
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint
from tests.options import train_options

from .programs import dexhand, files, run, train

# The guide's reward, word for word.
CLASS = '''\
"""A task of one's own."""

import torch

from dexhand_env.env.task import Task, register_task


@register_task
class MyTask(Task):
    def compute_task_rewards(self):
        # Example: reward for keeping hand at a certain height
        hand_height = self.hand_positions[:, 2]  # Z coordinate
        height_reward = torch.exp(-torch.abs(hand_height - 0.5))

        return {"height": height_reward}

    def observations(self):
        return {**super().observations(), "height": lambda: self.hand_positions[:, 2:]}
'''
YAML = "task: MyTask\nrewards: {height: 2.0}\nobservations: {policy: [joint_positions, height]}\n"
SMALL = (
    "--num-envs",
    "8",
    "--headless",
    "sim.physics=fast",
    "params.network.mlp.units=[16]",
    "episode_length_steps=20",
)


def write_task(folder: Path, text: str = CLASS, values: str = YAML) -> None:
    """my_task.py and MyTask.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "my_task.py").write_text(text, encoding="utf-8")
    (folder / "MyTask.yaml").write_text(values, encoding="utf-8")


def test_a_task_in_a_file_is_trained_tested_and_gone_on_with(tmp_path: Path) -> None:
    write_task(tmp_path / "mine")
    task = ("--task", "mine/my_task.py:MyTask", *SMALL)
    result = train(tmp_path, *task, "--max-iterations", "2", "--experiment-name", "own")
    assert (result.returncode, result.stderr) == (0, "")
    assert "training MyTask in runs/own, seed 42" in result.stdout
    folder = tmp_path / "runs" / "own"
    args = yaml.safe_load((folder / "args.yaml").read_text(encoding="utf-8"))
    assert args["task"] == "mine/my_task.py:MyTask"
    assert (args["task_config"]["task"], args["task_config"]["rewards"]) == ("MyTask", {"height": 2.0})
    state = load_checkpoint(folder / "nn" / "checkpoint_2.pth", TRAINING_KEYS)
    assert (state["task"], state["observation_size"]) == ("MyTask", 27)
    with (folder / "history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    for row in rows:
        assert 0.7 < float(row["raw_reward/height"]) <= 1.0
        assert float(row["reward/height"]) == pytest.approx(2.0 * float(row["raw_reward/height"]), rel=1e-5)
    events = EventAccumulator(str(folder / "summaries"))
    events.Reload()
    assert {"reward/height", "raw_reward/height"} <= set(events.Tags()["scalars"])

    checkpoint = ("--checkpoint", "runs/own/nn/checkpoint_2.pth")
    result = train(tmp_path, *task, "--test", *checkpoint, "--episodes", "3")
    assert (result.returncode, result.stderr) == (0, "")
    assert "episode 2: timeout, reward " in result.stdout
    result = train(tmp_path, *task[:2], "--headless", *checkpoint, "--max-iterations", "3")
    assert (result.returncode, result.stderr) == (0, "")
    assert load_checkpoint(folder / "nn" / "checkpoint_3.pth", TRAINING_KEYS)["iteration"] == 3

    before = files(folder)
    result = train(tmp_path, *task, *checkpoint, "--max-iterations", "4", "observations.policy=[height]")
    assert result.returncode == 2
    assert "checkpoint_2.pth: observation 1 of the policy: joint_positions (26); allowed: height (1)" in result.stderr
    (tmp_path / "mine" / "my_task.py").write_text(CLASS + "1 / 0\n", encoding="utf-8")
    result = train(tmp_path, *checkpoint, "--max-iterations", "4", "--headless")  # args.yaml executes nothing
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "--task: left out, but runs/own was trained for a task in a file" in line
    assert "allowed: --task mine/my_task.py:MyTask, which executes the file" in line
    result = train(tmp_path, *checkpoint, "--max-iterations", "4", "--headless", "--task", "BaseTask")
    assert "--task: BaseTask, but runs/own was trained for mine/my_task.py:MyTask" in result.stderr
    assert files(folder) == before


def test_observations_that_a_changed_file_gives_other_lengths_are_not_taken_for_the_old_ones(tmp_path: Path) -> None:
    """Though all of them together are as many."""
    keys = "{**super().observations(), 'low': lambda: self.joint_positions[:, :%d], "
    keys += "'high': lambda: self.joint_positions[:, %d:]}"
    usual = '{**super().observations(), "height": lambda: self.hand_positions[:, 2:]}'
    values = "task: MyTask\nrewards: {height: 2.0}\nobservations: {policy: [low, high]}\n"
    write_task(tmp_path, CLASS.replace(usual, keys % (6, 6)), values)
    task = ("--task", "my_task.py:MyTask", *SMALL)
    assert train(tmp_path, *task, "--max-iterations", "1", "--experiment-name", "own").returncode == 0
    write_task(tmp_path, CLASS.replace(usual, keys % (20, 20)), values)
    before = files(tmp_path / "runs")
    for options in (("--test", "--episodes", "2"), ("--max-iterations", "2")):
        result = train(tmp_path, *task, "--checkpoint", "runs/own/nn/checkpoint_1.pth", *options)
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert line.endswith("nn/checkpoint_1.pth: observation 1 of the policy: low (6); allowed: low (20)")
    assert files(tmp_path / "runs") == before


def test_keys_of_its_own_are_checked_by_its_schema(tmp_path: Path) -> None:
    schema = (
        "from pydantic import Field\n\nfrom dexhand_env.config.task import TaskConfig\n\n\n"
        "class MyTaskConfig(TaskConfig):\n"
        '    height_m: float = Field(gt=0, le=1, description="height to reach, m")\n\n\n'
        "@register_task(config_class=MyTaskConfig)\n"
    )
    text = CLASS.replace("@register_task\n", schema).replace("- 0.5", "- self.config.height_m")
    write_task(tmp_path, text, YAML + "height_m: 0.4\n")
    task = ("--task", "my_task.py:MyTask", *SMALL, "--max-iterations", "1", "--experiment-name", "own")
    result = train(tmp_path, *task, "height_m=3")
    assert result.returncode == 2
    assert "height_m: found 3; allowed: a number above 0 and at most 1" in result.stderr
    result = train(tmp_path, *task, "height_m=0.9")
    assert (result.returncode, result.stderr) == (0, "")
    args = yaml.safe_load((tmp_path / "runs" / "own" / "args.yaml").read_text(encoding="utf-8"))
    assert args["task_config"]["height_m"] == 0.9


def test_ppo_is_configured_beside_the_task(tmp_path: Path) -> None:
    write_task(tmp_path)
    (tmp_path / "MyTaskPPO.yaml").write_text("params: {}\n", encoding="utf-8")
    result = train(tmp_path, "--task", "my_task.py:MyTask", *SMALL)
    assert result.returncode == 2
    assert "MyTaskPPO.yaml:1:1: params.algo: missing key" in result.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which a package is installed that announces MyTask, and another task whose module is broken."""
    folder = tmp_path / "site"
    write_task(folder / "my_package")
    (folder / "my_package" / "broken.py").write_text("import torch\nimport missing\n", encoding="utf-8")
    (folder / "my_package" / "__init__.py").touch()
    info = folder / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", encoding="utf-8")
    points = (
        "MyTask = my_package.my_task:MyTask\nBroken = my_package.broken:Broken\nOther = my_package.my_task:MyTask\n"
        "Absent = my_package.absent:Absent\nNothing = my_package.my_task:Nothing\n"
    )
    (info / "entry_points.txt").write_text(f"[dexhand_env.tasks]\n{points}", encoding="utf-8")
    return folder


def test_a_task_of_an_installed_package_goes_by_its_name(tmp_path: Path, installed: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    result = train(work, "--task", "MyTask", *SMALL, "--max-iterations", "1", installed=installed)
    assert (result.returncode, result.stderr) == (0, "")
    (folder,) = (work / "runs").iterdir()
    assert folder.name.startswith("MyTask_")
    assert load_checkpoint(folder / "nn" / "checkpoint_1.pth")["task"] == "MyTask"


def test_the_tasks_are_listed_and_no_installed_one_is_imported(tmp_path: Path, installed: Path) -> None:
    result = dexhand(tmp_path, "tasks", installed=installed)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "BaseTask: Bring the whole hand, base and fingers, into a commanded posture and hold it."
    assert "MyTask" in lines
    assert lines[lines.index("Broken") + 1] == "  installed: my_package.broken:Broken"


def test_an_installed_task_that_is_wrong(tmp_path: Path, installed: Path) -> None:
    complaints = {
        "Broken": "my_package/broken.py:2: ModuleNotFoundError: No module named 'missing'",
        "Absent": "entry point Absent = my_package.absent:Absent: ModuleNotFoundError: No module named 'my_package.abs",
        "Nothing": "entry point Nothing = my_package.my_task:Nothing: AttributeError: ",
        "Other": "entry point Other = my_package.my_task:MyTask: is not registered as Other; allowed: @register_task",
        "MyTsk": "--task: found the task 'MyTsk'; allowed: MyTask (the nearest), BaseTask, ",
    }
    code = (
        "import sys\nfrom dexhand_env.config.registry import find_task\nfrom dexhand_env.errors import exit_code\n"
        "assert [exit_code(lambda: find_task(name)) for name in sys.argv[1:]] == [2] * len(sys.argv[1:])\n"
    )
    result = run(tmp_path, "-c", code, *complaints, installed=installed)
    assert result.returncode == 0, result.stderr
    for line, says in zip(result.stderr.splitlines(), complaints.values(), strict=True):
        assert says in line


def test_a_mistake_in_the_file_is_one_line_and_nothing_is_written(tmp_path: Path) -> None:
    write_task(tmp_path, CLASS.replace("import torch", "import torhc"))
    result = train(tmp_path, "--task", "my_task.py:MyTask", "--headless")
    assert result.returncode == 2
    assert result.stderr == "train.py: my_task.py:3: ModuleNotFoundError: No module named 'torhc'\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MyTask.yaml", "my_task.py"]


_numbers = itertools.count()


def complaint(folder: Path, task: str, text: str, values: str) -> str:
    """What ``--task`` says in this process, in which each task needs a name of its own."""
    name = f"Own{next(_numbers)}"
    write_task(folder, text.replace("MyTask", name))
    (folder / "MyTask.yaml").rename(folder / f"{name}.yaml")
    (folder / f"{name}.yaml").write_text(values.replace("MyTask", name), encoding="utf-8")
    before = files(folder)
    with pytest.raises(UserError) as raised:
        resolve(train_options(task=task.replace("MyTask", name), num_envs=8, headless=True))
    assert {path: data for path, data in files(folder).items() if "__pycache__" not in path} == before
    assert "\n" not in str(raised.value)
    return str(raised.value).replace(name, "MyTask")


@pytest.mark.parametrize(
    ("task", "change", "says"),
    [
        ("none.py:MyTask", ("", ""), "--task: none.py is not a file; allowed: a Python file and the name of its task"),
        ("my_task.py", ("", ""), "--task: found 'my_task.py'; allowed: the file and the name of its task, my_task.py:"),
        ("my_task.py:YourTask", ("", ""), "--task: my_task.py registers no task 'YourTask'; allowed: MyTask"),
        ("my_task.py:torch", ("", ""), "--task: torch in my_task.py is not registered as a task; allowed: @register"),
        ("my_task.py:MyTask", ("@register_task\n", ""), "--task: MyTask in my_task.py is not registered as a task; "),
        ("my_task.py:MyTask", ("(Task)", ""), "my_task.py:8: register_task: MyTask is not a task; allowed: a subclass"),
        (
            "my_task.py:MyTask",
            ("compute_task", "compute"),
            "my_task.py:8: register_task: MyTask lacks compute_task_rew",
        ),
        ("my_task.py:MyTask", ("(self):\n        #", "(self:\n        #"), "my_task.py:10: SyntaxError: "),
        ("my_task.py:MyTask", ("import torch", "import torch\n1 / 0"), "my_task.py:4: ZeroDivisionError: division by"),
        ("my_task.py:MyTask", ("import torch", "import torch\nexit(3)"), "my_task.py:4: SystemExit: 3"),
        (
            "my_task.py:BaseTask",
            ("MyTask", "BaseTask"),
            "my_task.py:8: register_task: BaseTask is a task of dexhand_env",
        ),
        (
            "my_task.py:MyTask",
            ("@register_task", '@register_task(name="../x")'),
            "my_task.py:8: register_task: found the",
        ),
        (
            "my_task.py:MyTask",
            ('"height": h', '"heights": h'),
            "rewards.height: no reward term has this name; allowed: ",
        ),
        (
            "my_task.py:MyTask",
            ('{"height": h', '{"b": hand_height, "height": h'),
            "rewards.b: missing: compute_task_rew",
        ),
        ("my_task.py:MyTask", ('"height": lam', '"tall": lam'), "observations.policy: height is not an observation; a"),
        (
            "my_task.py:MyTask",
            ("positions[:, 2]  #", "positions[:, 2:]  #"),
            "my_task.py:10: compute_task_rewards(): height has the shape (2, 1); allowed: (2,), one value for each of",
        ),
        (
            "my_task.py:MyTask",
            ("positions[:, 2:]", "positions[:, 2]"),
            "my_task.py:18: observations(): height has the shape (2,); allowed: (2, n), one row for each of the 2 w",
        ),
        ("my_task.py:MyTask", ("hand_height -", "hand_hight -"), "my_task.py:13: NameError: name 'hand_hight' is not "),
    ],
)
def test_a_mistake_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, change: tuple[str, str], says: str
) -> None:
    assert change[0] in CLASS
    monkeypatch.chdir(tmp_path)
    assert complaint(tmp_path, task, CLASS.replace(*change), YAML).startswith(says)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("task: MyTask\n", "MyTask.yaml: rewards: missing key"),
        (
            YAML.replace("height: 2.0", "height: 2.0, hight: 1.0"),
            "rewards.hight: no reward term has this name; allowed",
        ),
        (
            YAML.replace("task: MyTask", "task: Other"),
            "MyTask.yaml:1:1: task: found 'Other'; allowed: MyTask, the task",
        ),
        (YAML + "heigth: 1\n", "MyTask.yaml:4:1: heigth: unknown key"),
        (
            YAML.replace("policy: [", "policy: [height, "),
            "MyTask.yaml:3:50: observations.policy[2]: height is listed tw",
        ),
    ],
)
def test_a_mistake_in_its_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert complaint(tmp_path, "my_task.py:MyTask", CLASS, values).startswith(says)


def test_a_task_whose_schema_names_everything_is_tried_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here BaseTask's schema, with all its names of observations and rewards."""
    monkeypatch.chdir(tmp_path)
    text = (
        "from dexhand_env.config.base_task import BaseTaskConfig\n"
        "from dexhand_env.env.task import register_task\n"
        "from dexhand_env.tasks.base_task import BaseTask\n\n\n"
        "@register_task(config_class=BaseTaskConfig)\n"
        "class MyTask(BaseTask):\n"
        "    def failures(self):\n"
        '        return {"timeout": self.joint_positions[:, 2] < 0.0}\n'
    )
    own = default_task("BaseTask")
    values = {key: own[key] for key in ("observations", "goal", "success", "reward_scales", "rewards")}
    said = "my_task.py:8: failures(): timeout is how any episode may stand or end; allowed: another name"
    assert complaint(tmp_path, "my_task.py:MyTask", text, yaml.safe_dump({"task": "MyTask", **values})) == said


def test_two_files_cannot_register_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_task(tmp_path / name, CLASS.replace("MyTask", "Twice"))
    assert find_task("a/my_task.py:Twice").source == find_task("./a/my_task.py:Twice").source
    with pytest.raises(UserError, match=r"b/my_task\.py:8: register_task: a/my_task.py has registered a task Twice"):
        find_task("b/my_task.py:Twice")


def test_a_file_is_executed_only_when_it_is_named(tmp_path: Path) -> None:
    write_task(tmp_path, CLASS + 'print("executed")\n')
    result = train(tmp_path, "--task", "MyTask", "--headless")
    assert (result.returncode, result.stdout) == (2, "")
    code = (
        "from dexhand_env.config.registry import find_task\n"
        "first, second = find_task('my_task.py:MyTask'), find_task('./my_task.py:MyTask')\n"
        "assert first.source == second.source\n"
    )
    result = run(tmp_path, "-c", code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "executed\n", "")
