"""Motions and poses that the contract suite puts hands into."""

from __future__ import annotations

from typing import Dict

import mujoco
import numpy as np
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.hand.joints import CONTROL_NAMES, control_to_joint_matrix, joint_names
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.mujoco_model import compile_scene
from dexhand_env.sim.scene import Scene

NAMES = joint_names("right")


def joints(num_envs: int, **controls: float) -> torch.Tensor:
    """Joint positions (num_envs, 26) of named controls, zero where not named."""
    values = torch.zeros(len(CONTROL_NAMES))
    for name, value in controls.items():
        values[CONTROL_NAMES.index(name)] = value
    return (torch.tensor(control_to_joint_matrix()) @ values).repeat(num_envs, 1)


def random_joints(num_envs: int, seed: int, reach_m: float = 0.1) -> torch.Tensor:
    """Joint positions (num_envs, 26) all different, within range, the base near its spawn pose."""
    generator = torch.Generator().manual_seed(seed)
    controls = torch.rand(num_envs, len(CONTROL_NAMES), generator=generator)
    controls[:, :3] = (controls[:, :3] - 0.5) * 2.0 * reach_m
    controls[:, 3:6] = controls[:, 3:6] - 0.5
    controls[:, 9] *= 0.3
    return controls @ torch.tensor(control_to_joint_matrix()).T


def every(sim: Simulation) -> torch.Tensor:
    """The mask of all worlds."""
    return torch.ones(sim.num_envs, dtype=torch.bool, device=sim.device)


def some(sim: Simulation, *worlds: int) -> torch.Tensor:
    """The mask of some worlds."""
    mask = torch.zeros(sim.num_envs, dtype=torch.bool, device=sim.device)
    mask[list(worlds)] = True
    return mask


def everything(sim: Simulation, sites: bool = True) -> Dict[str, torch.Tensor]:
    """Copies of all that the contract lets one see."""
    seen = {
        "joint_positions": sim.joint_positions,
        "joint_velocities": sim.joint_velocities,
        "joint_targets": sim.joint_targets,
        "object_positions": sim.object_positions,
        "object_quaternions": sim.object_quaternions,
        "object_velocities": sim.object_velocities,
    }
    if sites:
        seen["fingertip_forces"] = sim.fingertip_forces
        seen["site_positions"], seen["site_quaternions"] = sim.site_poses(["hand", "r_f_link2_tip"])
        seen["body_positions"], seen["body_quaternions"] = sim.body_poses(["r_f_link4_4"])
    return {name: values.clone() for name, values in seen.items()}


def into_contact(sim: Simulation, steps: int, seed: int = 5) -> None:
    """Push hands with different finger postures against the table for some control steps."""
    begin = random_joints(sim.num_envs, seed)
    begin[:, 2] = -0.3
    sim.reset(every(sim), begin)
    push(sim, begin, steps)


def push(sim: Simulation, begin: torch.Tensor, steps: int) -> None:
    """Lower the base by 3 mm a control step, from where its target is."""
    targets = sim.joint_targets.clone()
    for _ in range(steps):
        targets[:, 2] -= 0.003
        sim.set_joint_targets(targets)
        sim.step()


def single_world(scene: Scene, sim: Simulation, world: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """One MjData with forward kinematics of a world's positions: the reference that poses must agree with."""
    model = compile_scene(scene, load_physics("default"))
    data = mujoco.MjData(model)
    data.qpos[:26] = sim.joint_positions[world].numpy()
    poses = torch.cat((sim.object_positions, sim.object_quaternions), dim=-1)[world]
    data.qpos[26:] = poses.numpy().reshape(-1)
    mujoco.mj_kinematics(model, data)
    return model, data


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrix of a quaternion w x y z, by MuJoCo."""
    result = np.zeros(9)
    mujoco.mju_quat2Mat(result, np.asarray(quaternion, dtype=np.float64))
    return result.reshape(3, 3)
