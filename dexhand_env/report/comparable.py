"""Whether two experiments were tested alike, so that their success rates may be tested against one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dexhand_env.report.drop import TRAINING
from dexhand_env.report.settings import value_text

# Sections of a task's configuration by which a policy learns and acts; what counts as success does not hang on them.
# All others, a task's own among them, say what it is asked to do: how episodes begin and end, and in which world.
LEARNING = ("rewards", "reward_scales", "observations", "curriculum", "stagger_first_episodes")
# So do these parts of the actions: what the policy does not move stays where they say, in the goal too.
FIXED_ACTIONS = ("policy", "fixed_targets")


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The leaves of nested settings by their dotted keys, as text."""
    values: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            values.update(flat(value, f"{prefix}{key}."))
        else:
            values[prefix + key] = value_text(value)
    return values


def asked(config: Mapping[str, Any], condition: str) -> dict[str, str]:
    """What decides the success of an episode of a test: settings by their dotted keys.

    Args:
        config: an experiment's, as config/report.json has it.
        condition: the test's physics; that of training is a setting itself.
    """
    env = config.get("env", {})
    task = {key: value for key, value in env.items() if key not in (*LEARNING, "sim", "actions")}
    settings = flat(task, "env.")
    for key, value in flat(env.get("actions", {}), "env.actions.").items():
        if key.rpartition(".")[2] in FIXED_ACTIONS:
            settings[key] = value
    if condition == TRAINING:
        settings["env.sim.physics"] = value_text(env.get("sim", {}).get("physics"))
    settings["evaluation.first_seed"] = value_text(config.get("evaluation", {}).get("first_seed"))
    return settings


def asked_differently(first: Mapping[str, Any], second: Mapping[str, Any], condition: str) -> list[str]:
    """The keys of what the two experiments ask for in different ways under a condition, each with both values."""
    a, b = asked(first, condition), asked(second, condition)
    keys = dict.fromkeys([*a, *b])
    return [f"{key} ({a.get(key, 'none')}, {b.get(key, 'none')})" for key in keys if a.get(key) != b.get(key)]
