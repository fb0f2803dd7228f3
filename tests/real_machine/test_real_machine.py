"""What only a machine with Isaac Gym can say, written into the report of `make test-isaacgym`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dexhand_env.config.layers import merge
from dexhand_env.config.physics import load_physics
from dexhand_env.hand.joints import SIDES, body_names, joint_names
from dexhand_env.sim.isaac_gym.hand_tree import read_hand
from dexhand_env.sim.scene import Scene

from ..commands.programs import ROOT, run
from ..contract.backends import BACKENDS, REAL, WITH_OBJECTS, Backend
from ..contract.motions import random_joints
from ..stages.pipeline import FOLDER, NAME, SEED, write_configs
from .remote import RemoteSimulation

pytestmark = pytest.mark.isaacgym
Record = Callable[[str, object], None]
PHYSICS = load_physics("default")
WORLDS = {"cpu": (1, 64), "cuda:0": (1, 1024, 8192)}
STEPS = 50


@pytest.fixture(params=[each for each in BACKENDS if not each.is_mujoco], ids=lambda each: each.device)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Isaac Gym on the CPU, and on the GPU where there is one."""
    return request.param


def make(backend: Backend, scene: Scene, num_envs: int = 4) -> RemoteSimulation:
    assert REAL is not None, "run: make test-isaacgym"
    return RemoteSimulation(REAL, scene, PHYSICS, num_envs, backend.device)


def test_versions(backend: Backend, record_property: Record) -> None:
    record_property("versions", make(backend, WITH_OBJECTS).link.ask("versions"))


@pytest.mark.parametrize("side", SIDES)
def test_the_importer_reads_the_hand(backend: Backend, side: str, record_property: Record) -> None:
    """Every joint, body and collision shape, in whatever order."""
    found = make(backend, Scene(side=side)).link.ask("importer")
    record_property("importer", found)
    assert sorted(found["dofs"]) == sorted(joint_names(side))
    assert set(found["bodies"]) >= set(body_names(side))
    shapes = dict(zip(found["bodies"], found["shapes"]))
    for body in read_hand(side, Scene().actuation):
        assert shapes[body.name] == len(body.shapes), body.name


@pytest.mark.parametrize("side", SIDES)
def test_forward_kinematics_are_isaac_gyms(backend: Backend, side: str, record_property: Record) -> None:
    sim = make(backend, Scene(side=side, table=False))
    sim.set_joint_targets(random_joints(4, 1))
    for _ in range(STEPS):
        sim.step()
    names, theirs = sim.link.ask("body_states")
    places = [names.index(name) for name in body_names(side)]
    positions, quaternions = sim.body_poses(body_names(side))
    off_m = (positions.transpose(0, 1) - theirs[places][..., :3]).abs().max()
    cosine = (quaternions.transpose(0, 1) * theirs[places][..., [6, 3, 4, 5]]).sum(dim=-1).abs()
    record_property("kinematics", {"largest_distance_m": float(off_m), "smallest_cosine": float(cosine.min())})
    assert off_m < 1e-4
    assert cosine.min() > 1.0 - 1e-6


def test_memory_and_speed(backend: Backend, record_property: Record) -> None:
    found = []
    for num_envs in WORLDS[backend.device]:
        sim = make(backend, WITH_OBJECTS, num_envs)
        sim.link.ask("speed", 5)
        speed = sim.link.ask("speed", STEPS)
        predicted, used = sim.link.ask("memory")
        expected = predicted.fixed_bytes + num_envs * predicted.world_bytes
        row = {"worlds": num_envs, "control_steps_per_s": speed, "gpu_bytes": used, "predicted_bytes": expected}
        found.append(row)
        del sim
    record_property("memory and speed", found)


def test_a_policy_trained_here_works_in_mujoco(backend: Backend, tmp_path: Path, record_property: Record) -> None:
    """BaseTask: with the settings of BaseTaskIsaacGym.yaml on a GPU, of BaseTask.yaml on the CPU."""
    settings = "BaseTask" if backend.device == "cpu" else "BaseTaskIsaacGym"
    text = (ROOT / "configs" / f"{settings}.yaml").read_text(encoding="utf-8")
    own: dict[str, Any] = yaml.safe_load(text)
    there = merge({key: own[key] for key in ("env", "train")}, {"env": {"sim": {"backend": "isaac_gym"}}})
    write_configs(tmp_path, "BaseTask", there)
    os.environ.update(DEXHAND_ISAACGYM_PYTHON=str(REAL), DEXHAND_GPUS="0" if backend.device == "cpu" else "1")
    for stage in ("train", "select", "evaluate"):
        result = run(tmp_path, "-m", f"dexhand_env.stages.{stage}", NAME, str(SEED))
        assert result.returncode == 0, (stage, result.stderr)
    evaluation = json.loads((tmp_path / FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    record_property("transfer", evaluation["conditions"])
    assert evaluation["conditions"]["training"]["success_rate"] > 0.9


def test_the_same_motion_twice(backend: Backend, record_property: Record) -> None:
    """How far two simulations of the same motion lie apart, which PhysX does not promise to be nothing."""
    ends = []
    for _ in range(2):
        sim = make(backend, WITH_OBJECTS)
        sim.set_joint_targets(random_joints(4, 2))
        for _ in range(STEPS):
            sim.step()
        ends.append(torch.cat((sim.joint_positions, sim.object_positions.flatten(1)), dim=1))
    record_property("repeated", float((ends[0] - ends[1]).abs().max()))
