"""Physics presets: how finely the simulator steps, by name. The values stand in ``cfg/physics.yaml``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Dict, Literal, Tuple

from pydantic import Field, model_validator

from dexhand_env.config.check import check
from dexhand_env.config.layers import Layer, Stack
from dexhand_env.config.schema import Section, choices, problem, shown
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError

CONTROL_DT_S = 0.02
PHYSICS_FILE = Path(__file__).resolve().parent.parent / "cfg" / "physics.yaml"


class PhysX(Section):
    """Settings of PhysX, which Isaac Gym steps with; its TGS solver, one substep a physics step."""

    position_iterations: int = Field(ge=1, le=255, description="solver iterations over positions")
    velocity_iterations: int = Field(ge=0, le=255, description="solver iterations over velocities")
    contact_offset_m: float = Field(gt=0, le=0.05, description="contacts are generated within this distance, m")
    bounce_threshold_m_per_s: float = Field(ge=0, le=100, description="slower contacts do not bounce, m/s")
    max_depenetration_m_per_s: float = Field(gt=0, le=1e6, description="fastest correction of a penetration, m/s")
    max_gpu_contact_pairs: int = Field(
        ge=2**16, le=2**26, description="room for pairs of shapes in contact on a GPU, all worlds together"
    )


class Physics(Section):
    """One preset, expanded. ``timestep_s * substeps`` is always the control period of 0.02 s (50 Hz)."""

    name: str = Field(description="the preset's name")
    timestep_s: float = Field(ge=0.0001, le=0.02, description="time step of the physics, s")
    substeps: int = Field(ge=1, le=200, description="physics steps in one control step")
    integrator: Literal["discrete", "euler", "implicit", "implicitfast", "rk4"] = Field(
        description="MuJoCo's integrator; other backends use their own"
    )
    iterations: int = Field(ge=1, le=1000, description="iterations of the constraint solver")
    ls_iterations: int = Field(ge=1, le=1000, description="line-search iterations of the constraint solver")
    cone: Literal["elliptic", "pyramidal"] = Field(description="friction cone")
    impratio: float = Field(gt=0, le=1000, description="ratio of frictional to normal constraint impedance")
    hand_margin_m: float = Field(ge=0, le=0.01, description="contact acts so far ahead of the hand's surface, m")
    physx: PhysX = Field(description="the solver's settings under Isaac Gym")

    @property
    def control_dt_s(self) -> float:
        """The control period, s: 0.02."""
        return CONTROL_DT_S

    @model_validator(mode="after")
    def _runs_at_the_control_rate(self) -> Physics:
        period_s = self.timestep_s * self.substeps
        if abs(period_s - CONTROL_DT_S) > 1e-9:
            raise problem(
                f"timestep_s x substeps is {period_s:g} s", f"{CONTROL_DT_S} s, the control period", ("substeps",)
            )
        return self


@functools.lru_cache(maxsize=None)
def physics_presets() -> Dict[str, Physics]:
    """Every preset of ``cfg/physics.yaml`` by name (read once).

    Raises:
        UserError: where the file breaks the schema.
    """
    layer = read_yaml(PHYSICS_FILE)
    presets = {}
    for name in layer.values:
        section = layer.section(name)
        named = Layer(section.source, {**section.values, "name": name}, section.marks, section.prefix)
        presets[name] = check(Physics, Stack([named]))
    return presets


def physics_names() -> Tuple[str, ...]:
    """The presets' names, in the file's order."""
    return tuple(physics_presets())


def load_physics(name: str, where: str = "sim.physics") -> Physics:
    """The preset of that name.

    Raises:
        UserError: an unknown name; ``where`` says where it was given.
    """
    presets = physics_presets()
    if name not in presets:
        raise UserError(where, f"found {shown(name)}", choices(presets, name))
    return presets[name]
