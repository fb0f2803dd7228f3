"""What a task returns is checked when it is tried out: one line with the place, what was found and what is allowed."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, Dict

import pytest
import torch

from dexhand_env.config.physics import Physics, load_physics
from dexhand_env.config.registry import load_task, package_tasks
from dexhand_env.config.task import SHIPPED_TASKS
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.task_checks import TABLE_COLUMNS
from dexhand_env.errors import UserError
from dexhand_env.report.episodes import FIXED_COLUMNS
from dexhand_env.tasks.registry import make_env, try_out

BEGIN = """\
import torch

from dexhand_env.env.task import Task, hand_scene, register_task
from dexhand_env.sim.scene import SceneObject


def high(task):
    return task.hand_positions[:, 2] > 0.6


@register_task
class NAME(Task):
    def compute_task_rewards(self):
        return {"height": self.hand_positions[:, 2]}

"""
FIRST_LINE = len(BEGIN.splitlines()) + 1
_numbers = itertools.count()


def tried_out(folder: Path, method: str, rewards: str = "{height: 1.0}", observed: str = "joint_positions") -> Any:
    """Try out a task with a method; gives what ``try_out`` does."""
    config, physics = own_task(folder, method, rewards, observed)
    assert config.needs_trial
    return try_out(config, physics)


def own_task(
    folder: Path, method: str, rewards: str = "{height: 1.0}", observed: str = "joint_positions", begin: str = BEGIN
) -> tuple[Any, Physics]:
    """The configuration of a new task with a method, and fast physics."""
    name = f"Tried{next(_numbers)}"
    lines = "".join(f"    {line}\n" if line else "\n" for line in method.splitlines())
    (folder / f"{name}.py").write_text(begin.replace("NAME", name) + lines, encoding="utf-8")
    values = f"task: {name}\nrewards: {rewards}\nobservations: {{policy: [{observed}]}}\nsim: {{physics: fast}}\n"
    (folder / f"{name}.yaml").write_text(values, encoding="utf-8")
    return load_task(f"{folder / name}.py:{name}"), load_physics("fast")


def refused(folder: Path, method: str, says: str, **of_the_yaml: str) -> None:
    """The trial ends in one line that begins with the place of the method, and goes on as said."""
    with pytest.raises(UserError) as raised:
        tried_out(folder, method, **of_the_yaml)
    message = str(raised.value)
    assert "\n" not in message
    assert re.search(rf"Tried\d+\.py:{FIRST_LINE}: {re.escape(says)}", message), message


def returning(method: str, value: str, arguments: str = "") -> str:
    return f"def {method}(self{arguments}):\n    return {value}\n"


N = "torch.zeros(self.num_envs)"
RETURNED: Dict[str, tuple[str, str, str]] = {  # method, what it returns, what is said
    # who succeeds
    "float success": ("successes", N, "successes(): is of the type float32; allowed: bool, as by .to(torch.bool)"),
    "whole success": ("successes", f"{N}.to(torch.int64)", "successes(): is of the type int64; allowed: bool"),
    "any success": ("successes", "high(self).any()", "successes(): has the shape (); allowed: (2,), one value for eac"),
    "list success": ("successes", "[False] * self.num_envs", "successes(): returns a list; allowed: a tensor (2,), o"),
    "no success": ("successes", "None", "successes(): returns None; allowed: a tensor (2,)"),
    # who fails
    "any failure": ("failures", '{"a": high(self).any()}', "failures(): a has the shape (); allowed: (2,), one val"),
    "one failure": ("failures", '{"a": high(self)[:1]}', "failures(): a has the shape (1,); allowed: (2,)"),
    "kept failure": ("failures", '{"a": high(self).any(0, True)}', "failures(): a has the shape (1,); allowed: (2,)"),
    "wide failure": ("failures", '{"a": high(self)[:, None]}', "failures(): a has the shape (2, 1); allowed: (2,)"),
    "float failure": ("failures", f'{{"a": {N}}}', "failures(): a is of the type float32; allowed: bool"),
    "true failure": ("failures", '{"a": True}', "failures(): a is a bool; allowed: a tensor (2,)"),
    "bare failure": ("failures", "high(self)", "failures(): returns a Tensor; allowed: a dictionary by name"),
    "failure success": ("failures", '{"success": high(self)}', "failures(): success is how any episode may stand or"),
    "failure timeout": ("failures", '{"timeout": high(self)}', "failures(): timeout is how any episode may stand or"),
    "failure nan": ("failures", '{"nan": high(self)}', "failures(): nan is how any episode may stand or end; allowed"),
    "failure running": ("failures", '{"running": high(self)}', "failures(): running is how any episode may stand or"),
    "failure Success": ("failures", '{"Success": high(self)}', "failures(): Success is how any episode may stand or"),
    "failure comma": ("failures", '{"a,b": high(self)}', "failures(): found the name 'a,b'; allowed: a name of lett"),
    "failure line": ("failures", '{"a\\nb": high(self)}', "failures(): found the name 'a\\nb'; allowed: a name of"),
    "failure 3": ("failures", "{3: high(self)}", "failures(): found the name 3; allowed: a name of letters, digits"),
    "failure empty": ("failures", '{"": high(self)}', "failures(): found the name ''; allowed: a name of letters"),
    "failure of a replay": (
        "failures",
        '{"lost": high(self), "lost_target": high(self)}',
        "failures(): lost_target is what replays call a part of the failure lost; allowed: another name",
    ),
    # what tables record
    "wide metric": ("metrics", '{"a_m": self.hand_positions}', "metrics(): a_m has the shape (2, 3); allowed: (2,)"),
    "one metric": ("metrics", f'{{"a_m": {N}.mean()}}', "metrics(): a_m has the shape (); allowed: (2,), one value f"),
    "bool metric": ("metrics", '{"high": high(self)}', "metrics(): high is of the type bool; allowed: float32 or flo"),
    "half metric": ("metrics", f'{{"a": {N}.bfloat16()}}', "metrics(): a is of the type bfloat16; allowed: float32"),
    "complex metric": ("metrics", f'{{"a": {N} * 1j}}', "metrics(): a is of the type complex64; allowed: float32"),
    "number metric": ("metrics", '{"a_m": 1.0}', "metrics(): a_m is a float; allowed: a tensor (2,)"),
    "spaced metric": ("metrics", f'{{"a m": {N}}}', "metrics(): found the name 'a m'; allowed: a name of letters"),
    # where an episode begins
    "few controls": (
        "begin_episodes",
        "torch.zeros(self.num_envs, 12)",
        "begin_episodes(): has the shape (2, 12); allowed: (2, 18), one row for each of the 2 worlds",
    ),
    "controls of the begun": (
        "begin_episodes",
        "torch.zeros(int(worlds.sum()), 18)",
        "begin_episodes(): has the shape (1, 18); allowed: (2, 18)",
    ),
    "double controls": (
        "begin_episodes",
        "torch.zeros(self.num_envs, 18, dtype=torch.float64)",
        "begin_episodes(): is of the type float64; allowed: float32",
    ),
    "no controls": ("begin_episodes", "None", "begin_episodes(): returns None; allowed: a tensor (2, 18)"),
    "poses": (
        "initial_object_poses",
        "torch.zeros(self.num_envs, 7)",
        "initial_object_poses(): has the shape (2, 7); allowed: (2, 0, 7)",
    ),
    # what is drawn
    "goal": ("goal_controls", '{"controls": torch.zeros(18)}', "goal_controls(): controls has the shape (18,); allow"),
    "another goal": ("goal_controls", '{"joints": torch.zeros(2, 18)}', "goal_controls(): joints is not drawn; allo"),
    "target": ("target_positions", "torch.zeros(3)", "target_positions(): has the shape (3,); allowed: (2, 3)"),
    # what a checkpoint keeps
    "half a memory": ("get_state", f'{{"a": {N}}}', "get_state(): without set_state(); allowed: both, or what a task"),
    "the other half": ("set_state", "None", "set_state(): without get_state(); allowed: both"),
    # what is simulated
    "observations": (
        "observations",
        '{"a": self.hand_positions}',
        "observations(): a is a Tensor; allowed: a function",
    ),
}
ARGUMENTS = {"begin_episodes": ", worlds, randomness", "set_state": ", state"}


@pytest.mark.parametrize("case", RETURNED)
def test_what_is_not_as_the_contract_says_is_refused(tmp_path: Path, case: str) -> None:
    method, value, says = RETURNED[case]
    refused(tmp_path, returning(method, value, ARGUMENTS.get(method, "")), says)


@pytest.mark.parametrize("column", TABLE_COLUMNS)
def test_a_metric_named_like_a_column_is_refused(tmp_path: Path, column: str) -> None:
    said = f"metrics(): {column} is a column that every episode table has; allowed: another name"
    refused(tmp_path, returning("metrics", f'{{"{column}": {N}}}'), said)


def test_the_columns_are_those_of_the_report() -> None:
    assert set(FIXED_COLUMNS) < set(TABLE_COLUMNS)


@pytest.mark.parametrize(
    ("value", "rewards", "says"),
    [
        (f'{{"success": {N}}}', "{}", "success is a reward term that every task has; allowed: another name"),
        (f'{{"action_rate": {N}}}', "{action_rate: 1.0}", "action_rate is a reward term that every task has"),
        (
            '{"a": high(self)}',
            "{a: 1.0}",
            "a is of the type bool; allowed: float32 or float64, as by .to(torch.float32)",
        ),
        (f'{{"a": {N}.to(torch.int32)}}', "{a: 1.0}", "a is of the type int32; allowed: float32 or float64"),
        ('{"a": self.hand_positions.mean()}', "{a: 1.0}", "a has the shape (); allowed: (2,), one value for each"),
        ('{"a/b": torch.zeros(2)}', "{a/b: 1.0}", "found the name 'a/b'; allowed: a name of letters, digits, _ and -"),
        ('{"a.b": torch.zeros(2)}', "{a.b: 1.0}", "found the name 'a.b'; allowed: a name of letters"),
        ("None", "{height: 1.0}", "returns None; allowed: a dictionary by name, {} for none"),
        ('{"a": torch.zeros(2, device="meta")}', "{a: 1.0}", "a is on meta; allowed: on cpu, as by device=self.device"),
    ],
)
def test_reward_terms(tmp_path: Path, value: str, rewards: str, says: str) -> None:
    refused(tmp_path, returning("compute_task_rewards", value), f"compute_task_rewards(): {says}", rewards=rewards)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("self.hand_positions.double()", "a is of the type float64; allowed: float32, as by .to(torch.float32)"),
        ("high(self)[:, None]", "a is of the type bool; allowed: float32"),
        ("self.hand_positions[:, 2]", "a has the shape (2,); allowed: (2, n), one row for each of the 2 worlds"),
        ("self.hand_positions.mean(0, True)", "a has the shape (1, 3); allowed: (2, n)"),
        ("self.hand_positions[:, :0]", "a has the shape (2, 0); allowed: (2, n)"),
        ("self.hand_positions.tolist()", "a is a list; allowed: a tensor (2, n)"),
    ],
)
@pytest.mark.parametrize("noise", ["", "\nrandomisation: {observation_noise: {a: 0.1}}"], ids=["plain", "noisy"])
def test_observations(tmp_path: Path, value: str, says: str, noise: str) -> None:
    method = returning("observations", f'{{"a": lambda: {value}}}')
    with pytest.raises(UserError) as raised:
        tried_out(tmp_path, method, rewards="{height: 1.0}" + noise, observed="a")
    assert f".py:{FIRST_LINE + 1}: observations(): {says}" in str(raised.value)


def test_names_that_change_are_refused(tmp_path: Path) -> None:
    """An outcome is counted by its place."""
    method = (
        "steps = 0\n\ndef update(self, worlds):\n    self.steps += 1\n\n"
        'def failures(self):\n    names = ("a", "b") if self.steps == 0 else ("b", "a")\n'
        "    return {name: high(self) for name in names}\n"
    )
    with pytest.raises(UserError, match=r"failures\(\): gives a, b first and b, a a step later; allowed: the same nam"):
        tried_out(tmp_path, method)


LATE = "steps = 0\n\ndef update(self, worlds):\n    self.steps += 1\n\n"


def test_a_failure_that_first_appears_later_is_refused(tmp_path: Path) -> None:
    fails = 'def failures(self):\n    names = ("a", "b") if self.steps > 5 else ("a",)\n'
    config, physics = own_task(tmp_path, LATE + fails + "    return {name: high(self) for name in names}\n")
    env = make_env(config, physics, 2, TrainingRandomness(0, torch.device("cpu")))
    for _ in range(5):
        env.step(torch.zeros(2, env.num_actions))
    with pytest.raises(UserError, match=r"failures\(\): gives a first and a, b a step later; allowed: the same nam"):
        env.step(torch.zeros(2, env.num_actions))


def test_a_task_that_exits_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Tried\d+\.py:\d+: SystemExit: bye"):
        tried_out(tmp_path, 'def failures(self):\n    raise SystemExit("bye")\n')


def test_an_observation_of_another_length_than_its_schema_says_is_refused(tmp_path: Path) -> None:
    schema = (
        "from dexhand_env.config.task import TaskConfig\n\n\nclass Named(TaskConfig):\n"
        '    OBSERVATION_KEYS = {"mine": ("positions", 4)}\n\n\n'
    )
    method = returning("observations", '{"mine": lambda: self.hand_positions}')
    begin = schema + BEGIN.replace("@register_task", "@register_task(config_class=Named)")
    config, physics = own_task(tmp_path, method, observed="mine", begin=begin)
    with pytest.raises(
        UserError, match=r"observations\(\): observation 1 of the policy: mine \(3\); allowed: mine \(4"
    ):
        try_out(config, physics)


def test_a_scene_that_is_none_or_cannot_be_simulated(tmp_path: Path) -> None:
    scene = "@classmethod\ndef scene(cls, config):\n    return "
    refused(tmp_path, f"{scene}None\n", "scene(): returns None; allowed: a Scene, as by hand_scene(config.hand)")
    twice = 'hand_scene(config.hand, (SceneObject("a", "box", (0.1, 0.1, 0.1), 1.0, (0.0, 0.0, 0.1)),) * 2)\n'
    refused(tmp_path, scene + twice, "scene(): cannot be simulated: XML Error: Error: repeated name 'a")


def test_what_a_checkpoint_cannot_keep(tmp_path: Path) -> None:
    keeps = "def get_state(self):\n    return {'a': self.hand}\n\ndef set_state(self, state):\n    pass\n"
    refused(tmp_path, keeps, "get_state(): a is a RobotHand; allowed: a tensor, a number or text")


def test_whatever_the_contract_allows_is_taken(tmp_path: Path) -> None:
    method = (
        "def successes(self):\n    return high(self)\n\n"
        'def failures(self):\n    return {"out-of-reach": high(self), "später": high(self)}\n\n'
        f'def metrics(self):\n    return {{"steps": {N}.to(torch.int64), "far_m": {N}.double(), "successes": {N}}}\n\n'
        'def goal_controls(self):\n    return {"controls": torch.zeros(self.num_envs, 18)}\n\n'
        "def target_positions(self):\n    return self.hand_positions\n\n"
        'def get_state(self):\n    return {"a": torch.zeros(self.num_envs), "n": 3}\n\n'
        "def set_state(self, state):\n    pass\n\n"
        'def observations(self):\n    return {"a": lambda: self.hand_positions}\n'
    )
    assert tried_out(tmp_path, method, observed="a").observation_size == 3


@pytest.mark.parametrize("task", package_tasks())
def test_the_tasks_of_this_package_hold_to_the_contract(task: str) -> None:
    """So the shipped ones are not tried out before each run."""
    config = load_task(task, {"sim": {"physics": "fast"}})
    assert config.needs_trial == (task not in SHIPPED_TASKS)
    assert try_out(config, load_physics("fast")).observation_size == config.observation_length("policy")
