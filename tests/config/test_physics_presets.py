"""Physics presets."""

from __future__ import annotations

import pytest

from dexhand_env.config.check import check
from dexhand_env.config.layers import Layer, Stack
from dexhand_env.config.physics import Physics, load_physics, physics_names
from dexhand_env.errors import UserError


@pytest.mark.parametrize(
    ("name", "timestep_s", "substeps", "solver"),
    [
        ("default", 0.005, 4, (5, 20)),
        ("gentle", 0.005, 4, (8, 20)),
        ("fast", 0.01, 2, (5, 20)),
        ("reference", 0.001, 20, (20, 50)),
    ],
)
def test_the_presets_step_as_documented(name: str, timestep_s: float, substeps: int, solver: tuple[int, int]) -> None:
    physics = load_physics(name)
    assert (physics.name, physics.timestep_s, physics.substeps) == (name, timestep_s, substeps)
    assert (physics.integrator, physics.iterations, physics.ls_iterations) == ("discrete", *solver)
    assert (physics.cone, physics.impratio) == ("elliptic", 10)
    assert physics.hand_margin_m == (0.002 if name == "gentle" else 0)
    assert physics.control_dt_s == 0.02
    assert Physics.model_validate(physics.dump()) == physics


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"--physics: found 'refrence'; allowed: reference \(the nearest\), default"):
        load_physics("refrence", where="--physics")
    assert physics_names() == ("default", "gentle", "fast", "reference")


def test_a_preset_off_the_control_rate_is_refused() -> None:
    values = {**load_physics("default").dump(), "substeps": 5}
    with pytest.raises(UserError, match=r"own\.yaml: substeps: timestep_s x substeps is 0.025 s; allowed: 0.02 s"):
        check(Physics, Stack([Layer("own.yaml", values)]))
