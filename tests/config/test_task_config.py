"""Task configurations: defaults, overrides, refusals, and what a task from outside the package may add."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Tuple, Type

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from dexhand_env.config.actions import BASE_CONTROLS, FINGER_CONTROLS
from dexhand_env.config.base_task import BaseTaskConfig
from dexhand_env.config.check import check
from dexhand_env.config.layers import Layer, Stack, contains
from dexhand_env.config.registry import TASK_DEFAULTS, TaskEntry, find_task, load_task
from dexhand_env.config.task import COMMON_OBSERVATIONS, TaskConfig
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.errors import UserError
from dexhand_env.hand.joints import CONTROL_NAMES, CONTROL_RANGES

DEFAULTS = load_task("BaseTask").dump()


def paths_of(values: Any, path: Tuple[str, ...] = ()) -> List[Tuple[str, ...]]:
    """Every key's path, sections included."""
    found = [path] if path else []
    if isinstance(values, dict):
        for key, value in values.items():
            found += paths_of(value, (*path, key))
    return found


SECTIONS = [(), *(path for path in paths_of(DEFAULTS) if path[-1] in ("sim", "hand", "actions", "base", "goal"))]


def nested(path: Tuple[str, ...], value: Any) -> Dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return value


def base_task(*overrides: str) -> BaseTaskConfig:
    config = load_task("BaseTask", parse_overrides(overrides, "--set"), "--set")
    assert isinstance(config, BaseTaskConfig)
    return config


def test_base_task_is_the_task_that_is_documented() -> None:
    config = base_task()
    assert config.goal.position_range_m == 0.15
    assert config.goal.rotation_range_rad == 0.5
    success = config.success
    assert (success.position_m, success.rotation_rad, success.finger_rad, success.hold_steps) == (0.01, 0.1, 0.1, 10)
    assert config.actions.num_actions == 18
    assert config.observation_length("policy") == 26 + 26 + 18 + 18 + 18 + 18
    assert config.observation_length("critic") == 0
    progress = [config.rewards[f"{name}_progress"] for name in ("position", "rotation", "finger")]
    assert all(weight > 0 for weight in (*progress, config.rewards["success"]))


def test_velocity_limits_are_one_number_or_one_for_each_component() -> None:
    config = base_task("actions.base.linear_velocity_limit_m_per_s=[0.1, 0.2, 0.3]")
    assert config.actions.velocity_limits == (0.1, 0.2, 0.3, 1.5, 1.5, 1.5, *[2.5] * 12)
    limits = [round(0.1 * n, 1) for n in range(1, 13)]
    config = base_task(f"actions.fingers.velocity_limit_rad_per_s={limits}")
    assert config.actions.velocity_limits == (0.5, 0.5, 0.5, 1.5, 1.5, 1.5, *limits)


def test_either_part_can_be_held() -> None:
    config = base_task("actions.base.policy=false", "actions.base.fixed_targets=[0, 0, 0.1, 0, 0, 0]")
    assert config.actions.from_policy == (False,) * 6 + (True,) * 12
    assert config.actions.fixed_targets[:3] == (0, 0, 0.1)
    assert config.observation_length("policy") == 26 + 26 + 18 + 12 + 18 + 18
    assert base_task("actions.fingers.policy=false").actions.num_actions == 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "rewards.sucess=2",
            "--set: rewards.sucess: unknown reward; allowed: success (the nearest), position_progress",
        ),
        ("rewards.success=.inf", "--set: rewards.success: found inf; allowed: a number from"),
        ("rewards.success=true", "--set: rewards.success: found true; allowed: a number"),
        ("rewards.success='1'", "--set: rewards.success: found '1'; allowed: a number"),
        (
            "sim.physics=fats",
            "--set: sim.physics: found 'fats'; allowed: fast (the nearest), default, gentle, reference",
        ),
        ("sim.phsics=fast", "--set: sim.phsics: unknown key; allowed: physics (the nearest), backend"),
        ("sim.backend=mujoko", "--set: sim.backend: found 'mujoko'; allowed: mujoco (the nearest), auto"),
        ("sim=fast", "--set: sim: found 'fast'; allowed: a section with the keys backend, physics"),
        ("hand.side=null", "--set: hand.side: found null; allowed: right, left"),
        ("stagger_first_episodes=yes", "--set: stagger_first_episodes: found 'yes'; allowed: true or false"),
        ("episode_length_steps=1.5", "--set: episode_length_steps: found 1.5; allowed: a whole number from 1 to"),
        ("episode_length_steps=0", "--set: episode_length_steps: found 0; allowed: a whole number from 1 to"),
        ("success.hold_steps=101", "--set: success.hold_steps: 101 steps do not fit an episode; allowed: at most"),
        ("success.position_m=-1", "--set: success.position_m: found -1; allowed: a number above 0 and at most 1"),
        (
            "actions.base.linear_velocity_limit_m_per_s=[1, 2]",
            "limit_m_per_s: found a list of 2 items; allowed: a number above 0 and at most 100 or a list of 3 items",
        ),
        ("actions.fingers.fixed_targets=[1]", "found a list of 1 item; allowed: a list of 12 items, each a number"),
        (
            "actions={base: {policy: false}, fingers: {policy: false}}",
            "--set: actions: both parts leave nothing to the policy; allowed: base.policy or fingers.policy true",
        ),
        ("observations.policy=[]", "--set: observations.policy: found a list of 0 items; allowed: a list of 1 or more"),
        (
            "observations.policy=[goal, goal_error]",
            "--set: observations.policy[1]: unknown observation 'goal_error'; allowed: goal_errors (the nearest)",
        ),
        ("observations.critic=[goal, goal]", "--set: observations.critic[1]: goal is listed twice; allowed: each key"),
        ("task=DexGrasp", "--set: task: found 'DexGrasp'; allowed: BaseTask, the task that is loaded"),
        (
            "actions.base={policy: false, fixed_targets: [0, 0, -0.6, 0, 0, 0]}",
            "--set: actions.base.fixed_targets[2]: found -0.6 m for ARTz, which holds the hand's base under the table;",
        ),
    ],
)
def test_a_bad_override_is_one_line_that_names_key_value_and_choice(override: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        base_task(override)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_actions_that_come_after_every_episode_are_refused() -> None:
    delayed = "randomisation.action_delay_steps=[0, 20]"
    assert base_task(delayed, "episode_length_steps=21").episode_length_steps == 21
    with pytest.raises(UserError, match=r"steps: no action counts within an episode of 20 steps.*allowed: at most 19"):
        base_task(delayed, "episode_length_steps=20")


def test_the_controls_are_those_of_the_hand() -> None:
    controls = (*BASE_CONTROLS, *FINGER_CONTROLS)
    assert tuple(name for name, *_ in controls) == CONTROL_NAMES
    assert tuple((low, high) for _, low, high, _ in controls) == CONTROL_RANGES
    assert [unit for *_, unit in controls] == ["m"] * 3 + ["rad"] * 15


@pytest.mark.parametrize("index", range(18))
def test_a_fixed_target_out_of_its_controls_range_is_refused(index: int) -> None:
    part, place = ("base", index) if index < 6 else ("fingers", index - 6)
    name, low, high, unit = (*BASE_CONTROLS, *FINGER_CONTROLS)[index]

    def held(target: float) -> TaskConfig:
        targets = [0.0] * (6 if part == "base" else 12)
        targets[place] = target
        return base_task(
            f"actions.{part}.policy=false", f"actions.{part}.fixed_targets={targets}", "hand.spawn_height_m=1"
        )

    for target in (low, high, (low + high) / 2.0):
        assert held(target).actions.fixed_targets[index] == target
    for target in (low - 0.01, high + 0.01, -4.0, 4.0, 1e9):
        with pytest.raises(UserError) as raised:
            held(target)
        found = f"actions.{part}.fixed_targets[{place}]: found {target:g} {unit} for {name}; "
        assert f"{found}allowed: from {low:g} to {high:g} {unit}" in str(raised.value)


def test_a_task_that_does_not_exist_yet_is_unknown() -> None:
    with pytest.raises(UserError) as raised:
        load_task("DexHandover")
    assert str(raised.value) == (
        "--task: found the task 'DexHandover'; allowed: BaseTask, DexGrasp, or a file and its task: my_task.py:MyTask"
    )
    with pytest.raises(UserError, match=r"allowed: BaseTask \(the nearest\)"):
        load_task("basetask")


def test_a_hostile_value_is_shortened_and_harmless() -> None:
    with pytest.raises(UserError) as raised:
        load_task("BaseTask", {"sim": {"physics": "\x1b[31m" + "x" * 100_000}})
    assert len(str(raised.value)) < 250
    assert "\x1b" not in str(raised.value)


@given(
    st.sampled_from(SECTIONS),
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12),
    st.integers() | st.text(max_size=5) | st.none() | st.just({}),
)
def test_an_unknown_key_is_refused_wherever_it_stands(section: Tuple[str, ...], key: str, value: Any) -> None:
    if contains(DEFAULTS, (*section, key)):
        return
    with pytest.raises(UserError) as raised:
        load_task("BaseTask", nested((*section, key), value), "my.yaml")
    assert str(raised.value).startswith(f"my.yaml: {'.'.join((*section, key))}: unknown key")


@given(
    st.sampled_from(paths_of(DEFAULTS)),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.lists(st.integers() | st.text(max_size=3) | st.none(), max_size=13)
    | st.dictionaries(st.text(max_size=5), st.integers(), min_size=1, max_size=2),
)
def test_any_value_for_any_key_is_taken_or_refused_by_name(path: Tuple[str, ...], value: Any) -> None:
    config, complaint = None, "my.yaml: "
    try:
        config = load_task("BaseTask", nested(path, value), "my.yaml")
    except UserError as error:
        complaint = str(error)
    assert complaint.startswith("my.yaml: ")
    assert len(complaint) < 500
    if config is not None:
        assert BaseTaskConfig.model_validate(json.loads(json.dumps(config.dump()))) == config


@given(st.sampled_from([path for path in paths_of(DEFAULTS) if path != ("observations", "critic")]))
def test_a_missing_key_is_named(path: Tuple[str, ...]) -> None:
    values = copy.deepcopy(DEFAULTS)
    section = values
    for part in path[:-1]:
        section = section[part]
    del section[path[-1]]
    with pytest.raises(UserError) as raised:
        check(BaseTaskConfig, Stack([Layer("my.yaml", values)]))
    assert str(raised.value).startswith(f"my.yaml: {'.'.join(path)}: missing ")


VALID = st.fixed_dictionaries(
    {},
    optional={
        "sim": st.fixed_dictionaries({"physics": st.sampled_from(["default", "fast", "reference"])}),
        "episode_length_steps": st.integers(10, 1000),
        "goal": st.fixed_dictionaries({"position_range_m": st.floats(0, 1), "rotation_range_rad": st.floats(0, 1.5)}),
        "rewards": st.fixed_dictionaries({"success": st.floats(-100, 100), "action_rate": st.integers(-5, 5)}),
        "observations": st.fixed_dictionaries(
            {"policy": st.lists(st.sampled_from(list(BaseTaskConfig.OBSERVATION_KEYS)), min_size=1, unique=True)}
        ),
        "actions": st.fixed_dictionaries(
            {
                "mode": st.sampled_from(["position", "position_delta"]),
                "fingers": st.fixed_dictionaries(
                    {
                        "velocity_limit_rad_per_s": st.floats(0.1, 10)
                        | st.lists(st.floats(0.1, 9), min_size=12, max_size=12)
                    }
                ),
            }
        ),
    },
)


@given(VALID)
@settings(max_examples=50)
def test_a_dump_is_json_and_loads_to_an_equal_configuration(overrides: Dict[str, Any]) -> None:
    config = load_task("BaseTask", overrides)
    text = json.dumps(config.dump(), sort_keys=True, allow_nan=False)
    again = BaseTaskConfig.model_validate(json.loads(text))
    assert again == config
    assert json.dumps(again.dump(), sort_keys=True) == text


def test_a_loaded_configuration_cannot_be_changed() -> None:
    config = base_task()
    with pytest.raises(ValidationError):
        config.episode_length_steps = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.goal.position_range_m = 3  # type: ignore[misc]


class LiftConfig(TaskConfig):
    """A schema of a user's own: one more key, the common observations and one more."""

    OBSERVATION_KEYS: ClassVar[Mapping[str, Tuple[str, Optional[int]]]] = {
        **COMMON_OBSERVATIONS,
        "height": ("height (m)", 1),
    }
    height_m: float = Field(gt=0, le=1, description="height to reach, m")


def own_task(folder: Path, text: str, config_class: Type[TaskConfig] = TaskConfig) -> TaskEntry:
    """A task outside the package whose YAML holds ``text``."""
    (folder / "Lift.yaml").write_text(text)
    files: Dict[str, Any] = {
        "source": folder / "lift.py",
        "schema": folder / "lift.py",
        "config_file": folder / "Lift.yaml",
    }
    return replace(find_task("BaseTask"), reference="Lift", name="Lift", config_class=config_class, **files)


def test_a_task_of_ones_own_says_only_what_is_its_own(tmp_path: Path) -> None:
    config = load_task(own_task(tmp_path, "task: Lift\nrewards: {lifted: 1.5}\n"))
    values, defaults = config.dump(), yaml.safe_load(TASK_DEFAULTS.read_text())
    assert (values.pop("task"), values.pop("rewards")) == ("Lift", {"lifted": 1.5})
    assert {**values, "curriculum": None} == defaults
    assert config.observation_length("policy") is None  # its code may have observations that are nowhere declared
    assert config.needs_trial


def test_a_task_of_ones_own_brings_its_schema(tmp_path: Path) -> None:
    text = "task: Lift\nrewards: {lifted: 1.5}\nheight_m: 0.3\nobservations: {policy: [joint_positions, height]}\n"
    entry = own_task(tmp_path, text, LiftConfig)
    config = load_task(entry, {"height_m": 0.2})
    assert isinstance(config, LiftConfig)
    assert config.height_m == 0.2
    assert config.rewards == {"lifted": 1.5}
    assert config.observation_length("policy") == 26 + 1
    with pytest.raises(UserError, match="unknown observation 'heigth'; allowed: height"):
        load_task(entry, {"observations": {"policy": ["heigth"]}})
    with pytest.raises(UserError, match=r"Lift\.yaml:3:1: height_m: found 7; allowed: a number above 0 and at most 1"):
        load_task(own_task(tmp_path, text.replace("0.3", "7"), LiftConfig))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: Lift\n", r"Lift\.yaml: rewards: missing key; allowed: a section of names"),
        ("rewards: {lifted: 1}\n", r"Lift\.yaml: task: missing key; allowed: text"),
        ("task: lift\nrewards: {lifted: 1}\n", r"Lift\.yaml:1:1: task: found 'lift'; allowed: Lift, the task that is"),
        ("task: Lift\nrewards: {lifted: much}\n", r"Lift\.yaml:2:11: rewards.lifted: found 'much'; allowed: a number"),
        ("task: Lift\nrewards: {}\nhand: {height: 1}\n", r"Lift\.yaml:3:8: hand.height: unknown key"),
        ("task: Lift\nrewards: {}\nheight_m: 1\n", r"Lift\.yaml:3:1: height_m: unknown key"),
    ],
)
def test_a_mistake_in_its_file_is_named_there(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_task(own_task(tmp_path, text))


def test_a_task_without_its_file_is_told_what_to_write(tmp_path: Path) -> None:
    entry = own_task(tmp_path, "task: Lift\n")
    (tmp_path / "Lift.yaml").unlink()
    with pytest.raises(
        UserError, match=r"Lift\.yaml: is missing; the task Lift needs it; allowed: a YAML file with `task: Lift`"
    ):
        load_task(entry)


def test_a_broken_default_file_is_named_with_its_line(tmp_path: Path) -> None:
    base_task_entry, path = find_task("BaseTask"), tmp_path / "own.yaml"
    text = base_task_entry.config_file.read_text()
    entry = replace(base_task_entry, config_file=path)
    path.write_text(text.replace("hold_steps: 10", "hold: 10"))
    line = text.split("hold_steps")[0].count("\n") + 1
    with pytest.raises(UserError, match=rf"own.yaml:{line}:3: success.hold: unknown key; allowed: hold_steps"):
        load_task(entry)
    path.write_text(text.replace("  hold_steps: 10\n", ""))
    with pytest.raises(
        UserError, match=r"own.yaml:\d+:1: success.hold_steps: missing key; allowed: a whole number from 1"
    ):
        load_task(entry)


def test_each_default_stands_in_one_place() -> None:
    shared, own = (yaml.safe_load(file.read_text()) for file in (TASK_DEFAULTS, find_task("BaseTask").config_file))
    twice = [path for path in paths_of(shared) if contains(own, path)]
    assert twice == [("observations",), ("observations", "policy")]  # two lists: one for every task, one with the goal
