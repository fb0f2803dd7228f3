"""What is particular to MuJoCo on the CPU; what every backend does is tested in tests/contract."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.sim.mujoco_cpu import MujocoCpuSimulation, memory_needed
from dexhand_env.sim.scene import Scene


def test_a_broken_world_leaves_no_log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sim = MujocoCpuSimulation(Scene(), load_physics("fast"), num_envs=2, threads=1)
    state = sim.get_state()
    state["qpos"][0, 0] = float("nan")
    sim.set_state(state)
    sim.step()
    assert sim.counters().nan_resets == 1
    assert list(tmp_path.iterdir()) == []


def test_a_second_break_of_a_world_that_was_not_reset_counts_too() -> None:
    sim = MujocoCpuSimulation(Scene(), load_physics("fast"), num_envs=2, threads=1)
    for _ in range(2):
        state = sim.get_state()
        state["qvel"][1, 0] = float("nan")
        sim.set_state(state)
        sim.step()
        assert sim.nan_worlds.tolist() == [False, True]
    assert sim.counters().nan_resets == 2
    assert sim.counters().contact_overflows == 0


def test_targets_beyond_a_joints_range_are_held_at_its_end() -> None:
    sim = MujocoCpuSimulation(Scene(), load_physics("fast"), num_envs=1, threads=1)
    sim.set_joint_targets(torch.full((1, 26), 10.0))
    for _ in range(200):
        sim.step()
    assert float(sim.joint_positions[0, 0]) == pytest.approx(1.0, abs=0.01)
    assert float(sim.joint_positions[0, 7]) == pytest.approx(1.3, abs=0.05)


def test_the_memory_of_a_world_is_what_its_arrays_hold() -> None:
    scene, physics, num_envs = Scene(), load_physics("fast"), 7
    needed = memory_needed(scene, physics, threads=1)
    sim = MujocoCpuSimulation(scene, physics, num_envs, threads=1)
    read = [
        *sim.body_poses(["right_hand_base"]),
        *sim.site_poses(["hand"]),
        sim.fingertip_forces,
    ]  # makes them all there
    assert all(len(values) == num_envs for values in read)
    held = sim._batch.state.nbytes + sim._batch.warning.nbytes + sim._batch.status.nbytes
    held += sum(values.nbytes for values in sim._derived.values())
    assert held <= num_envs * needed.world_bytes < 1.5 * held
    assert memory_needed(scene, physics, threads=3).fixed_bytes == 3 * needed.fixed_bytes
