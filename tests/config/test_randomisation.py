"""The `randomisation` section: off by default, and mistakes in it are one line."""

from __future__ import annotations

from typing import Any

import pytest

from dexhand_env.config.registry import load_task
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.errors import UserError


@pytest.mark.parametrize("task", ["BaseTask", "DexGrasp"])
def test_nothing_is_randomised_unless_it_is_asked_for(task: str) -> None:
    config: Any = load_task(task)
    assert not config.randomisation.is_on
    assert config.dump()["randomisation"] == {}


@pytest.mark.parametrize(
    ("task", "override", "says"),
    [
        ("DexGrasp", "object_friction=[1.2, 0.3]", "object_friction: found [1.2, 0.3]; allowed: the lowest first"),
        ("DexGrasp", "object_friction=[]", "found a list of 0 items; allowed: a list of 2 items, each a number from"),
        ("DexGrasp", "object_friction=[0.3]", "found a list of 1 item; allowed: a list of 2 items"),
        ("DexGrasp", "object_friction=0.3", "found 0.3; allowed: a list of 2 items"),
        ("DexGrasp", "object_friction=[0, 1]", "object_friction[0]: found 0; allowed: a number from 0.05 to 3"),
        ("DexGrasp", "object_mass_kg=[0.1, 9]", "object_mass_kg[1]: found 9; allowed: a number from 0.005 to 2"),
        ("BaseTask", "gain_factor=[2, 1]", "gain_factor: found [2, 1]; allowed: the lowest first"),
        ("BaseTask", "action_delay_steps=[0, 1.5]", "action_delay_steps[1]: found 1.5; allowed: a whole number from 0"),
        ("BaseTask", "action_noise=-1", "action_noise: found -1; allowed: a number from 0 to 2"),
        ("BaseTask", "frictoin=[1, 1]", "randomisation.frictoin: unknown key; allowed: object_friction (the nearest)"),
        ("BaseTask", "object_friction=[0.5, 1]", "object_friction: BaseTask has no object; allowed: null; gains"),
        ("BaseTask", "object_mass_kg=[0.1, 0.2]", "object_mass_kg: BaseTask has no object; allowed: null; gains"),
        ("BaseTask", "pushes={every_s: [1, 2], object_m_per_s: 1}", "pushes.object_m_per_s: BaseTask has no object"),
        ("BaseTask", "pushes={every_s: [1, 2]}", "pushes: nothing is pushed; allowed: object_m_per_s or base_m_per_s"),
        ("BaseTask", "pushes={every_s: [2, 1], base_m_per_s: 1}", "every_s: found [2, 1]; allowed: the lowest first"),
        ("BaseTask", "pushes={base_m_per_s: 1}", "pushes.every_s: missing key; allowed: a list of 2 items"),
        ("BaseTask", "observation_noise={goals: 1}", "goals: the policy does not see it; allowed: goal (the nearest)"),
        ("BaseTask", "observation_noise={fingertip_forces: 1}", "fingertip_forces: the policy does not see it"),
        ("BaseTask", "observation_noise={goal: -1}", "observation_noise.goal: found -1; allowed: a number from 0"),
    ],
)
def test_a_mistake_is_one_line(task: str, override: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        load_task(task, parse_overrides([f"randomisation.{override}"]))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
