"""The curriculum of a task's configuration: what it may change, what lies between its ends, and who never sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dexhand_env.config.curriculum import config_at, without_curriculum
from dexhand_env.config.experiment import load_experiment
from dexhand_env.config.registry import load_task
from dexhand_env.config.yaml_files import parse_yaml
from dexhand_env.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
NARROW = """\
randomisation:
  object_friction: [0.5, 1.2]
  action_delay_steps: [0, 3]
  observation_noise: {object_position: 0.01}
curriculum:
  success_rate: 0.6
  episodes: 4096
  widenings: 10
  from:
    start.hand_position_range_m: [0.02, 0.02, 0]
    target.height_range_m: [0.1, 0.1]
    success.hold_steps: 10
    rewards.excess_force: -0.01
    randomisation.object_friction: [1.0, 1.0]
    randomisation.action_delay_steps: [0, 0]
    randomisation.observation_noise.object_position: 0
"""
# The same, but training ends before the configuration does.
NEARER = f"""\
{NARROW}\
  to:
    start.hand_position_range_m: [0.04, 0.05, 0.05]
    success.hold_steps: 30
    randomisation.action_delay_steps: [0, 1]
"""
OFTEN = "curriculum: {success_rate: 0.6, episodes: 9, widenings: 4, from: {success.hold_steps: 1}}\n"


def grasp(text: str) -> Any:
    return load_task("DexGrasp", parse_yaml(text, "own.yaml"))


def refusal(text: str) -> str:
    """The line by which a configuration is refused."""
    with pytest.raises(UserError) as caught:
        grasp(text)
    return str(caught.value)


def test_without_a_curriculum_there_is_none() -> None:
    config = load_task("DexGrasp")
    assert config.curriculum is None
    assert "curriculum" not in config.dump()
    assert grasp(f"{OFTEN}").curriculum is not None
    text = OFTEN + "success: {hold_steps: 1}\n"
    assert config_at(grasp(text), 2).success == grasp(text).success


def test_levels_lead_from_the_beginning_to_the_configuration() -> None:
    config = grasp(NARROW)
    first, half, last = (config_at(config, level) for level in (0, 5, 10))
    assert first.start.hand_position_range_m == (0.02, 0.02, 0.0)
    assert first.target.height_range_m == (0.1, 0.1)
    assert first.success.hold_steps == 10
    assert first.rewards["excess_force"] == -0.01
    assert first.randomisation.object_friction == (1.0, 1.0)
    assert first.randomisation.action_delay_steps == (0, 0)
    assert first.randomisation.observation_noise == {"object_position": 0.0}
    assert half.start.hand_position_range_m == pytest.approx((0.035, 0.035, 0.025))
    assert half.target.height_range_m == pytest.approx((0.15, 0.2))
    assert (half.success.hold_steps, half.randomisation.action_delay_steps) == (30, (0, 2))
    assert last == config
    for each in (first, half):  # and nothing else is changed
        assert each.model_copy(
            update={name: getattr(config, name) for name in ("start", "target", "success", "rewards", "randomisation")}
        ) == (config)
        assert each.start.hand_rotation_range_rad == config.start.hand_rotation_range_rad


def test_levels_lead_to_other_ends_where_it_has_them() -> None:
    """What `to` names comes no nearer than that, and all else to where it comes without."""
    config, whole = grasp(NEARER), grasp(NARROW)
    assert differing(config_at(config, 0), config_at(whole, 0)) == {}
    assert differing(config_at(config, 5), config_at(whole, 5)) == {
        ".start.hand_position_range_m": pytest.approx([0.03, 0.035, 0.025]),
        ".success.hold_steps": 20,
        ".randomisation.action_delay_steps": [0, 0],
    }
    assert config_at(config, 10) != config
    assert differing(config_at(config, 10), config) == {
        ".start.hand_position_range_m": [0.04, 0.05, 0.05],
        ".success.hold_steps": 30,
        ".randomisation.action_delay_steps": [0, 1],
    }


@pytest.mark.parametrize("text", [NARROW, NEARER], ids=["from", "to"])
def test_a_configuration_with_a_curriculum_survives_json(text: str) -> None:
    config = grasp(text)
    again = type(config).model_validate(json.loads(json.dumps(config.dump())))
    assert again == config
    assert all(config_at(again, level) == config_at(config, level) for level in (3, 10))


def leaves(values: Any, key: str = "") -> Dict[str, Any]:
    """Every number of a configuration, and every list of them, by its dotted key."""
    if not isinstance(values, dict):
        return {key: values}
    return {name: leaf for part, item in values.items() for name, leaf in leaves(item, f"{key}.{part}").items()}


def differing(config: Any, other: Any) -> Dict[str, Any]:
    """Numbers of the one that the other has not, curricula aside."""
    own, others = leaves(without_curriculum(config).dump()), leaves(without_curriculum(other).dump())
    assert own.keys() == others.keys()
    return {key: value for key, value in own.items() if value != others[key]}


WIDE = {
    "goal.position_range_m": st.floats(0, 1),
    "goal.rotation_range_rad": st.floats(0, 1.5),
    "success.position_m": st.floats(1e-6, 1),
    "success.hold_steps": st.integers(1, 100),
    "reward_scales.position_scale_m": st.floats(1e-6, 10),
    "rewards.success": st.floats(-1e6, 1e6) | st.integers(-9, 9),
    "rewards.action_rate": st.floats(-1e6, 1e6),
}


@given(
    ends=st.dictionaries(st.sampled_from(sorted(WIDE)), st.none(), min_size=1).flatmap(
        lambda keys: st.fixed_dictionaries({key: st.tuples(WIDE[key], st.none() | WIDE[key]) for key in keys})
    ),
    widenings=st.integers(1, 20),
)
@example(ends={"success.position_m": (0.4, 0.1)}, widenings=1)  # 0.4 + (0.1 - 0.4) is not 0.1
@example(ends={"goal.rotation_range_rad": (0.4, 1)}, widenings=2)  # a number, written as a whole one
@example(ends={"success.position_m": (0.4, None), "success.hold_steps": (1, 3)}, widenings=2)
def test_levels_are_monotone_from_end_to_end(ends: Dict[str, Tuple[Any, Optional[Any]]], widenings: int) -> None:
    """From a beginning to an end of its own, or to the configuration's value where it has none."""
    beginning = {key: first for key, (first, _) in ends.items()}
    to = {key: last for key, (_, last) in ends.items() if last is not None}
    rule = {"success_rate": 0.5, "episodes": 1, "widenings": widenings}
    curriculum = {**rule, "from": beginning, **({"to": to} if to else {})}
    config = load_task("BaseTask", {"curriculum": curriculum})
    levels: List[Dict[str, Any]] = [leaves(config_at(config, level).dump()) for level in range(widenings + 1)]
    assert levels[-1] == {**leaves(config.dump()), **{f".{key}": last for key, last in to.items()}}
    for key, last in levels[-1].items():
        values = [level[key] for level in levels]
        if key[1:] in beginning:
            assert values[0] == beginning[key[1:]]
            assert values == sorted(values, reverse=values[0] > last)
            assert {type(value) for value in values} == {type(last)}
        else:
            assert all(value == last for value in values)


REFUSED = {
    "unknown": (
        "start.hand_postion_range_m: 0",
        "no number of the configuration; allowed: start.hand_position_range_m",
    ),
    "structure": ("episode_length_steps: 10", "cannot change in training; allowed: "),
    "object": ("object.mass_kg: 0.1", "cannot change in training; allowed: "),
    "not given": ("randomisation.gain_factor: [1, 1]", "no number of the configuration; allowed: "),
    "section": (
        "success: {hold_steps: 1}",
        "is a section; allowed: its dotted keys, success.distance_m, success.speed_m_per_s, success.hold_steps",
    ),
    "length": (
        "start.hand_position_range_m: [0, 0]",
        "found a list of 2 items; allowed: a list of 3 items, each a number, as the configuration has",
    ),
    "text": ("success.distance_m: near", "found 'near'; allowed: a number, as the configuration has"),
    "flag": ("success.distance_m: true", "found true; allowed: a number, as the configuration has"),
    "fraction": ("success.hold_steps: 10.5", "found 10.5; allowed: a whole number, as the configuration has"),
    "bounds": (
        "success.hold_steps: 0",
        "at level 0 success.hold_steps: found 0; allowed: a whole number from 1 to 1000000",
    ),
    "not a number": (
        "rewards.hold: .nan",
        "at level 0 rewards.hold: found nan; allowed: a number from -1e+06 to 1e+06",
    ),
    "inverted": (
        "target.height_range_m: [0.9, 0.1]",
        "at level 0 target.height_range_m: found [0.9, 0.1]; allowed: the lowest first",
    ),
}


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_curriculum_cannot_have_is_one_line(line: str, message: str) -> None:
    text = f"curriculum:\n  success_rate: 0.6\n  episodes: 1\n  widenings: 10\n  from:\n    {line}\n"
    key = line.partition(":")[0]
    assert refusal(text).startswith(f"own.yaml:6:5: curriculum.from.{key}: {message}")


REFUSED_ENDS = {
    "elsewhere": (
        "rewards.lift: 0.5",
        "does not begin elsewhere; allowed: success.distance_m, success.hold_steps, target.height_range_m",
    ),
    "fraction": ("success.hold_steps: 10.5", "found 10.5; allowed: a whole number, as the configuration has"),
    "text": ("success.distance_m: near", "found 'near'; allowed: a number, as the configuration has"),
    "length": (
        "target.height_range_m: [0.1]",
        "found a list of 1 item; allowed: a list of 2 items, each a number, as the configuration has",
    ),
    "bounds": (
        "success.hold_steps: 0",
        "at level 10 success.hold_steps: found 0; allowed: a whole number from 1 to 1000000",
    ),
    "inverted": (
        "target.height_range_m: [0.11, 0.1]",
        "at level 10 target.height_range_m: found [0.11, 0.1]; allowed: the lowest first",
    ),
}


@pytest.mark.parametrize(("line", "message"), REFUSED_ENDS.values(), ids=REFUSED_ENDS)
def test_where_a_curriculum_cannot_end_is_one_line(line: str, message: str) -> None:
    text = (
        "curriculum:\n  success_rate: 0.6\n  episodes: 1\n  widenings: 10\n"
        "  from: {success.distance_m: 0.2, success.hold_steps: 10, target.height_range_m: [0.1, 0.2]}\n"
        f"  to:\n    {line}\n"
    )
    key = line.partition(":")[0]
    assert refusal(text) == f"own.yaml:7:5: curriculum.to.{key}: {message}"


def test_every_level_is_checked_and_not_only_the_ends() -> None:
    """The first widening that is too wide for what stays as it is."""
    text = (
        "failure: {reach_m: 0.2}\nstart: {object_position_range_m: 0.02}\n"
        "curriculum:\n  success_rate: 0.6\n  episodes: 1\n  widenings: 2\n  from: {target.position_range_m: 0.3}\n"
    )
    assert refusal(text) == (
        "own.yaml:7:3: curriculum.from: at level 0 failure.reach_m: found 0.2; "
        "allowed: at least 0.43, beyond where objects may lie and targets be"
    )


def test_a_last_level_that_no_key_of_to_makes_wrong_points_at_the_section() -> None:
    text = (
        "curriculum:\n  success_rate: 0.6\n  episodes: 1\n  widenings: 2\n"
        "  from: {failure.reach_m: 0.5, target.position_range_m: 0.01}\n  to: {target.position_range_m: 0.4}\n"
    )
    assert refusal(text).startswith("own.yaml:6:3: curriculum.to: at level 2 failure.reach_m: found 0.4; allowed: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{success_rate: 0.6, episodes: 9, from: {success.hold_steps: 1}}", "curriculum.widenings: missing key"),
        (
            "{success_rate: 0, episodes: 9, widenings: 4, from: {}}",
            "curriculum.success_rate: found 0; allowed: a number",
        ),
        ("{success_rate: 1, episodes: 9, widenings: 4, from: {}}", "curriculum.from: found a section of 0 keys"),
        (
            "{success_rate: 1, episodes: 9, widenings: 4, from: {success.hold_steps: 1}, to: {}}",
            "curriculum.to: found a section of 0 keys",
        ),
        (
            "{success_rate: 1, episodes: 9, widenings: 4, frm: {}}",
            "curriculum.frm: unknown key; allowed: from (the nearest), success_rate, episodes, widenings",
        ),
    ],
    ids=["missing", "rate", "empty", "no end", "unknown"],
)
def test_its_own_keys_are_checked(text: str, message: str) -> None:
    with pytest.raises(UserError, match=r"own\.yaml:1:") as caught:
        grasp(f"curriculum: {text}\n")
    assert message in str(caught.value)


@pytest.mark.parametrize(("page", "task", "section"), [("tasks", "BaseTask", ()), ("dexgrasp", "DexGrasp", ("env",))])
def test_the_documents_examples_are_curricula(page: str, task: str, section: Tuple[str, ...]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "curriculum:" in block)
    config = load_task(task, parse_yaml(example, page).section(*section))
    assert config.curriculum is not None
    assert config_at(config, 0) != config


def test_a_curriculum_can_be_switched_off() -> None:
    layer = parse_yaml(OFTEN + "success: {hold_steps: 20}\n", "own.yaml")
    assert load_task("DexGrasp", layer).curriculum is not None
    assert load_task("DexGrasp", {**layer.values, "curriculum": None}) == load_task(
        "DexGrasp", {"success": {"hold_steps": 20}}
    )


def test_selection_and_evaluation_do_not_know_of_it(write_experiment: Callable[..., Path]) -> None:
    """What they play is the configuration itself, whatever training began with; variants too."""
    often = parse_yaml(OFTEN, "own.yaml").values["curriculum"]
    curriculum = {"curriculum": {**often, "settle_steps": 20, "to": {"success.hold_steps": 3}}}
    variants = {"evaluation": {"variants": {"short": {"success": {"hold_steps": 5}}}}}
    plain = load_experiment("BaseTask", write_experiment(variants))
    eased = load_experiment("BaseTask", write_experiment({**variants, "env": curriculum}))
    for section in ("selection", "evaluation"):
        assert eased.section(section) == plain.section(section)
    assert eased.section("train")["env"] == {**plain.section("train")["env"], **curriculum}
    assert {each["key"] for each in eased.differences} - {each["key"] for each in plain.differences} == {
        "env.curriculum.success_rate",
        "env.curriculum.episodes",
        "env.curriculum.widenings",
        "env.curriculum.settle_steps",
        "env.curriculum.from.success.hold_steps",
        "env.curriculum.to.success.hold_steps",
    }


def test_a_variant_has_no_curriculum_of_its_own(write_experiment: Callable[..., Path]) -> None:
    root = write_experiment({"evaluation": {"variants": {"eased": parse_yaml(OFTEN, "own.yaml").values}}})
    with pytest.raises(UserError, match=r"variants\.eased\.curriculum: this key is not taken"):
        load_experiment("BaseTask", root)
