"""A blind, scripted grasp lifts and holds a cube wherever it lies within 2 cm: a regression test of contact physics.

The script was found by hand: descend, close, settle, lift, hold. Heights are absolute, the hand's ARTz is not.
"""

from __future__ import annotations

import torch

from dexhand_env.config.physics import Physics
from dexhand_env.hand.joints import CONTROL_NAMES, control_to_joint_matrix
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene, SceneObject

from .backends import Backend
from .motions import every

PLACE_RANGE_M = 0.02
CUBE_SIZE_M, CUBE_MASS_KG = 0.05, 0.1
SPAWN_HEIGHT_M = 0.5
LIFT_M = 0.25
CUBE = SceneObject("cube", "box", (CUBE_SIZE_M / 2,) * 3, CUBE_MASS_KG, (0.0, 0.0, CUBE_SIZE_M / 2))

BASE = {"ARTx": -0.146, "ARTy": -0.011, "ARRy": 0.275, "ARRz": 0.015}
GRASP_HEIGHT_M, START_HEIGHT_M = 0.188, 0.288
OPEN = {"thumb_rotation": 1.387, "thumb_mcp": 0.396, "thumb_dip": 0.062, "spread": 0.054, "mcp": 0.788, "dip": 0.080}
CLOSED = {**OPEN, "thumb_mcp": 0.79, "thumb_dip": 0.278, "mcp": 1.187, "dip": 0.384}
# Seconds of descending, closing, settling, lifting, holding.
DESCEND_S, CLOSE_S, SETTLE_S, LIFT_S, HOLD_S = 1.0, 0.8, 0.4, 2.0, 2.0


def controls(height_m: float, fingers: dict[str, float]) -> torch.Tensor:
    """The 18 controls with the base at a height above the table; ``mcp`` and ``dip`` are of all four fingers."""
    named = {**BASE, "ARTz": height_m - SPAWN_HEIGHT_M, **fingers}
    for joint in ("mcp", "dip"):
        named.update({f"{finger}_{joint}": fingers[joint] for finger in ("index", "middle", "ring", "little")})
    return torch.tensor([named.get(name, 0.0) for name in CONTROL_NAMES])


def joint_targets(sim: Simulation, values: torch.Tensor) -> torch.Tensor:
    """Targets (num_envs, 26) of the 26 joints, by the coupling of the 12 finger controls."""
    return (torch.tensor(control_to_joint_matrix()) @ values).repeat(sim.num_envs, 1)


def move(sim: Simulation, begin: torch.Tensor, end: torch.Tensor, seconds: float) -> None:
    """Move all targets in a straight line from one posture to another."""
    steps = round(seconds / sim.control_dt_s)
    for step in range(1, steps + 1):
        sim.set_joint_targets(joint_targets(sim, begin + (end - begin) * step / steps))
        sim.step()


ABOVE = controls(START_HEIGHT_M, OPEN)
OPENED = controls(GRASP_HEIGHT_M, OPEN)
GRASPED = controls(GRASP_HEIGHT_M, CLOSED)


def above_the_cube(backend: Backend, trials: int, physics: str | Physics = "default") -> Simulation:
    """Hands above cubes that lie within PLACE_RANGE_M of the same place."""
    sim = backend.make(Scene(spawn_height_m=SPAWN_HEIGHT_M, objects=(CUBE,)), trials, physics)
    places = (torch.rand(trials, 2, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0) * PLACE_RANGE_M
    poses = torch.tensor([*CUBE.position_m, 1.0, 0.0, 0.0, 0.0]).repeat(trials, 1, 1)
    poses[:, 0, :2] += places
    sim.reset(every(sim), joint_targets(sim, ABOVE), poses)
    return sim


def test_a_scripted_grasp_lifts_the_cube(backend: Backend) -> None:
    trials = backend.grasps
    sim = above_the_cube(backend, trials)
    above, opened, closed, lifted = ABOVE, OPENED, GRASPED, controls(GRASP_HEIGHT_M + LIFT_M, CLOSED)
    move(sim, above, opened, DESCEND_S)
    move(sim, opened, closed, CLOSE_S)
    move(sim, closed, closed, SETTLE_S)
    on_table = sim.object_positions[:, 0, 2].clone()
    move(sim, closed, lifted, LIFT_S)
    when_lifted = sim.object_positions[:, 0].clone()
    move(sim, lifted, lifted, HOLD_S)
    when_held = sim.object_positions[:, 0].clone()
    rose = when_held[:, 2] - on_table
    held = (rose > 0.9 * LIFT_M) & ((when_held - when_lifted).norm(dim=-1) < 0.01)
    assert int(held.sum()) >= 0.95 * trials, (
        f"{int(held.sum())} of {trials} lifted and held; the others rose {rose[~held].tolist()}"
    )
    assert sim.counters() == backend.counters()
    on_fingers = sim.fingertip_forces[held].sum(dim=1)[:, 2]
    weight_n = CUBE_MASS_KG * 9.81
    assert (on_fingers + weight_n).abs().median() < 0.05 * weight_n  # the cube's weight hangs on the fingertips
