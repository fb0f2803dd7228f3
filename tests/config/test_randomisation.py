"""The `randomisation` section: off by default, and mistakes in it are one line."""

from __future__ import annotations

from typing import Any, Tuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.config.object_shapes import ShapeName, proportions
from dexhand_env.config.registry import load_task
from dexhand_env.config.yaml_files import parse_overrides
from dexhand_env.errors import UserError

extents = st.tuples(*[st.floats(0.02, 0.1)] * 3)


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
        ("DexGrasp", "object_size_m=[0.07, 0.04]", "object_size_m: found [0.07, 0.04]; allowed: the lowest first"),
        ("DexGrasp", "object_size_m=0.05", "object_size_m: found 0.05; allowed: a list of 2 items"),
        ("DexGrasp", "object_size_m=[0.01, 0.05]", "object_size_m: extents from 0.01 to 0.05 m; allowed: within 0.02"),
        ("DexGrasp", "object_size_m=[0.05, 0.11]", "object_size_m: extents from 0.05 to 0.11 m; allowed: within 0.02"),
        ("DexGrasp", "object_shapes=[]", "object_shapes: found a list of 0 items; allowed: a list of 1 or more items"),
        ("DexGrasp", "object_shapes=[cube, cube]", "object_shapes: cube is listed twice; allowed: each shape once"),
        ("DexGrasp", "object_shapes=[ball]", "object_shapes[0]: found 'ball'; allowed: cube, sphere, cylinder, box"),
        ("BaseTask", "object_shapes=[cube]", "object_shapes: BaseTask has no object; allowed: null; gains"),
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


@pytest.mark.parametrize(
    ("sizes", "shape", "size", "says"),
    [
        (
            "[0.03, 0.07]",
            "cube",
            0.05,
            "from 0.018 to 0.07 m; allowed: within 0.02 and 0.1, so sizes from 0.0333",
        ),
        ("[0.04, 0.07]", "cube", 0.05, None),
        (
            "[0.04, 0.07]",
            "box",
            [0.02, 0.04, 0.08],
            "from 0.01 to 0.07 m; allowed: within 0.02 and 0.1, so sizes from 0.08",
        ),
        ("null", "cube", 0.03, "randomisation.object_shapes: extents from 0.018 to 0.03 m"),
    ],
)
def test_a_box_fits_the_hand_too(sizes: str, shape: str, size: Any, says: Any) -> None:
    """Its thinnest extent; 1 : 0.8 : 0.6, or those of the object."""
    overrides = [f"randomisation.object_size_m={sizes}", "randomisation.object_shapes=[cube, box]"]
    overrides += [f"object.shape={shape}", f"object.size_m={size}"]
    if says is None:
        load_task("DexGrasp", parse_overrides(overrides))
        return
    with pytest.raises(UserError) as caught:
        load_task("DexGrasp", parse_overrides(overrides))
    assert says in str(caught.value)


@given(st.sampled_from(get_args(ShapeName)), st.sampled_from(["cube", "sphere", "box", "cylinder", "capsule"]), extents)
def test_the_largest_extent_is_the_size(name: str, own_shape: str, own_m: Tuple[float, ...]) -> None:
    found = proportions(name, own_shape, own_m)
    assert max(found) == 1.0
    assert min(found) > 0.0
    if name in ("cube", "sphere"):
        assert found == (1.0, 1.0, 1.0)
    if name == own_shape == "box" and len(set(own_m)) > 1:
        assert found == pytest.approx([extent / max(own_m) for extent in own_m])
