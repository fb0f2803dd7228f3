"""Makes the worlds of a scene in Isaac Gym: one environment each, with a hand and the objects as actors."""

from __future__ import annotations

import dataclasses
from typing import List, Sequence

import torch
from isaacgym import gymapi

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.hand.joints import fingertip_bodies
from dexhand_env.sim.isaac_gym.assets import SHARED_FRICTION, hand_asset, object_asset
from dexhand_env.sim.isaac_gym.hand_tree import Body, joints_of
from dexhand_env.sim.scene import Scene

GRAVITY_M_PER_S2 = 9.81
FASTEST = 1e3  # m/s or rad/s, of joints without damping of their own
HAND_ACTOR = 0  # the handle of an environment's first actor; objects follow in the scene's order


@dataclasses.dataclass(frozen=True)
class Worlds:
    """What was made.

    Attributes:
        gym, sim: Isaac Gym, ready to simulate.
        envs: one a world.
        actors: numbers of the hand and the objects in the simulation, (num_envs, 1 + objects) int32 on the device.
        joint_order: the place of each of Isaac Gym's DOFs in the hand's joints, (26,) on the device.
        fingertips: the places of the fingertips in a world's bodies, thumb first, (5,) on the device.
    """

    gym: gymapi.Gym
    sim: gymapi.Sim
    envs: List[gymapi.Env]
    actors: torch.Tensor
    joint_order: torch.Tensor
    fingertips: torch.Tensor


def make_worlds(scene: Scene, physics: Physics, bodies: Sequence[Body], num_envs: int, device: torch.device) -> Worlds:
    """Make ``num_envs`` worlds.

    Raises:
        UserError: Isaac Gym cannot start, cannot simulate the scene, or has read the hand's model wrongly.
    """
    gym = gymapi.acquire_gym()
    sim = gym.create_sim(device.index or 0, -1, gymapi.SIM_PHYSX, _parameters(physics, device))
    if sim is None:
        raise UserError("sim.backend", f"isaac_gym cannot start on {device}; it has said why above", "mujoco")
    if scene.table:
        gym.add_ground(sim, _table())
    hand = hand_asset(gym, sim, bodies, physics.hand_margin_m, physics.physx.contact_offset_m)
    names = [joint.name for joint in joints_of(list(bodies))]
    found = gym.get_asset_dof_names(hand)
    if sorted(found) != sorted(names):
        raise UserError("sim.backend", f"isaac_gym's importer read other joints: {', '.join(found)}", "mujoco")
    order = [names.index(name) for name in found]
    objects = [object_asset(gym, sim, item) for item in scene.objects]
    drives = gym.get_asset_dof_properties(hand)
    for row, place in enumerate(order):
        joint = joints_of(list(bodies))[place]
        drives["driveMode"][row] = gymapi.DOF_MODE_POS
        drives["stiffness"][row], drives["damping"][row] = joint.stiffness, joint.damping
        drives["effort"][row], drives["armature"][row] = joint.effort, joint.armature
        drives["velocity"][row] = min(joint.speed_limit, FASTEST)
        drives["hasLimits"][row] = True
        drives["lower"][row], drives["upper"][row] = joint.limits
    envs, actors = [], []
    for world in range(num_envs):
        corner = gymapi.Vec3(1.0, 1.0, 1.0)
        env = gym.create_env(sim, gymapi.Vec3(-1.0, -1.0, 0.0), corner, max(int(num_envs**0.5), 1))
        # A collision filter of -1 keeps those of the asset's shapes.
        hands = gym.create_actor(env, hand, _at(0.0, 0.0, scene.spawn_height_m), "hand", world, -1, 0)
        gym.set_actor_dof_properties(env, hands, drives)
        handles = [hands]
        for item, asset in zip(scene.objects, objects):
            handles.append(gym.create_actor(env, asset, _at(*item.position_m), item.name, world, -1, 0))
        actors.append([gym.get_actor_index(env, handle, gymapi.DOMAIN_SIM) for handle in handles])
        envs.append(env)
    tips = [
        gym.find_actor_rigid_body_index(envs[0], HAND_ACTOR, name, gymapi.DOMAIN_ENV)
        for name in fingertip_bodies(scene.side)
    ]
    if min(tips) < 0:
        raise UserError("sim.backend", "isaac_gym's importer has lost a fingertip's body", "mujoco")
    gym.prepare_sim(sim)
    return Worlds(
        gym=gym,
        sim=sim,
        envs=envs,
        actors=torch.tensor(actors, dtype=torch.int32, device=device),
        joint_order=torch.tensor(order, device=device),
        fingertips=torch.tensor(tips, device=device),
    )


def _parameters(physics: Physics, device: torch.device) -> gymapi.SimParams:
    parameters, chosen = gymapi.SimParams(), physics.physx
    # One substep, so that the contact forces of every physics step can be read.
    parameters.dt, parameters.substeps = physics.timestep_s, 1
    parameters.up_axis, parameters.gravity = gymapi.UP_AXIS_Z, gymapi.Vec3(0.0, 0.0, -GRAVITY_M_PER_S2)
    parameters.use_gpu_pipeline = device.type == "cuda"
    physx = parameters.physx
    physx.use_gpu, physx.solver_type = device.type == "cuda", 1  # TGS
    physx.num_position_iterations = chosen.position_iterations
    physx.num_velocity_iterations = chosen.velocity_iterations
    physx.contact_offset, physx.rest_offset = chosen.contact_offset_m, 0.0
    physx.bounce_threshold_velocity = chosen.bounce_threshold_m_per_s
    physx.max_depenetration_velocity = chosen.max_depenetration_m_per_s
    physx.max_gpu_contact_pairs = chosen.max_gpu_contact_pairs
    physx.contact_collection = gymapi.CC_LAST_SUBSTEP
    return parameters


def _table() -> gymapi.PlaneParams:
    plane = gymapi.PlaneParams()
    plane.normal = gymapi.Vec3(0.0, 0.0, 1.0)
    plane.static_friction = plane.dynamic_friction = SHARED_FRICTION
    return plane


def _at(x: float, y: float, z: float) -> gymapi.Transform:
    pose = gymapi.Transform()
    pose.p = gymapi.Vec3(x, y, z)
    return pose
