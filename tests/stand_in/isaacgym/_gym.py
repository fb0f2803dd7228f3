"""The methods of Gym, with the parameters that the published stubs declare."""

from __future__ import annotations

from math import pi
from pathlib import Path
from typing import List, Optional

import numpy as np

from . import _properties
from ._enums import ContactCollection, IndexDomain, SimType
from ._importer import Asset, load, numbers, primitive
from ._rules import Calls, need
from ._scene import Actor, Env, Sim
from ._structs import (
    AssetOptions,
    IndexRange,
    PlaneParams,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    Tensor,
    Transform,
    Vec3,
    Version,
    copied,
)
from ._tensor_calls import acquire, refresh, set_indexed, set_targets
from ._worlds import Worlds

INVALID_HANDLE = -1


class Gym:
    """See the vendor's documentation for what each method does, and ``_rules`` for when it may be called."""

    def get_version(self) -> Version:
        return Version()

    # Sims

    def create_sim(
        self,
        compute_device: int = 0,
        graphics_device: int = 0,
        type: SimType = SimType.SIM_FLEX,  # noqa: A002 - the vendor's name
        params: Optional[SimParams] = None,
    ) -> Sim:
        params = copied(params or SimParams())
        need(type == SimType.SIM_PHYSX, "create_sim: the tensor API needs SIM_PHYSX")
        need(params.physx.use_gpu or not params.use_gpu_pipeline, "create_sim: the GPU pipeline needs physx.use_gpu")
        need(params.physx.contact_offset > params.physx.rest_offset, "create_sim: contact_offset above rest_offset")
        need(params.dt > 0 and params.substeps >= 1, "create_sim: dt and substeps")
        device = f"cuda:{compute_device}" if params.use_gpu_pipeline else "cpu"
        return Sim(params, device, Calls(params.use_gpu_pipeline))

    def get_sim_params(self, arg0: Sim) -> SimParams:
        return copied(arg0.params)

    def add_ground(self, sim: Sim, params: PlaneParams) -> None:
        sim.calls.creating("add_ground")
        sim.ground = copied(params)

    def prepare_sim(self, arg0: Sim) -> bool:
        need(all(env.aggregate is None for env in arg0.envs), "prepare_sim before end_aggregate")
        arg0.calls.prepare()
        arg0.worlds = Worlds(arg0)
        return True

    def destroy_sim(self, arg0: Sim) -> None:
        arg0.calls.destroy()
        if arg0.worlds is not None:
            arg0.worlds.close()

    def simulate(self, arg0: Sim) -> None:
        arg0.calls.simulate()
        for tensors, put in arg0.given:
            for tensor in tensors:
                tensor.check()
            put()
        arg0.given.clear()
        arg0.worlds.simulate()

    def fetch_results(self, arg0: Sim, arg1: bool) -> None:
        arg0.calls.fetch()

    # Assets

    def load_asset(self, sim: Sim, rootpath: str, filename: str, options: Optional[AssetOptions] = None) -> Asset:
        sim.calls.creating("load_asset")
        return load(sim.params, Path(rootpath, filename), options)

    def create_box(
        self, sim: Sim, width: float, height: float, depth: float, options: Optional[AssetOptions] = None
    ) -> Asset:
        sim.calls.creating("create_box")
        size = numbers((width / 2, height / 2, depth / 2))
        return primitive(sim.params, "box", width * height * depth, options, size=size)

    def create_sphere(self, sim: Sim, radius: float, options: Optional[AssetOptions] = None) -> Asset:
        sim.calls.creating("create_sphere")
        return primitive(sim.params, "sphere", 4 / 3 * pi * radius**3, options, size=numbers((radius,)))

    def create_capsule(self, sim: Sim, radius: float, width: float, options: Optional[AssetOptions] = None) -> Asset:
        """``width`` is read as the distance between the centres of both caps; the vendor does not say."""
        sim.calls.creating("create_capsule")
        ends, volume = numbers((-width / 2, 0, 0, width / 2, 0, 0)), pi * radius**2 * (width + 4 / 3 * radius)
        return primitive(sim.params, "capsule", volume, options, size=numbers((radius,)), fromto=ends)

    def get_asset_dof_names(self, arg0: Asset) -> List[str]:
        return [joint.attrib["name"] for joint in arg0.joints]

    def get_asset_dof_count(self, arg0: Asset) -> int:
        return len(arg0.joints)

    def get_asset_rigid_body_names(self, arg0: Asset) -> List[str]:
        return arg0.body_names

    def get_asset_rigid_body_count(self, arg0: Asset) -> int:
        return len(arg0.bodies)

    def get_asset_rigid_shape_count(self, arg0: Asset) -> int:
        return len(arg0.shapes)

    def get_asset_rigid_body_shape_indices(self, arg0: Asset) -> List[IndexRange]:
        ranges = [IndexRange() for _ in arg0.bodies]
        for shape, body in enumerate(arg0.shape_bodies):
            ranges[body].start = ranges[body].start if ranges[body].count else shape
            ranges[body].count += 1
        return ranges

    def get_asset_dof_properties(self, arg0: Asset) -> np.ndarray:
        return arg0.dof_properties.copy()

    def get_asset_rigid_shape_properties(self, arg0: Asset) -> List[RigidShapeProperties]:
        return [copied(shape) for shape in arg0.shape_properties]

    def set_asset_rigid_shape_properties(self, arg0: Asset, arg1: List[RigidShapeProperties]) -> bool:
        arg0.shape_properties = _properties.checked_shapes(arg1, len(arg0.shapes))
        return True

    # Envs and actors

    def create_env(self, arg0: Sim, arg1: Vec3, arg2: Vec3, arg3: int) -> Env:
        arg0.calls.creating("create_env")
        need(not arg0.envs or arg0.envs[-1].aggregate is None, "create_env before end_aggregate")
        env = Env(arg0, len(arg0.envs))
        if arg0.envs:
            last = arg0.envs[-1]
            env.first_actor = last.first_actor + len(last.actors)
            env.first_body = last.first_body + sum(len(actor.asset.bodies) for actor in last.actors)
        arg0.envs.append(env)
        return env

    def begin_aggregate(self, arg0: Env, arg1: int, arg2: int, arg3: bool) -> bool:
        arg0.sim.calls.creating("begin_aggregate")
        need(arg0.aggregate is None, "begin_aggregate twice")
        need(arg3, "stand-in: aggregates whose actors meet")
        arg0.aggregate = arg1, arg2
        return True

    def end_aggregate(self, arg0: Env) -> bool:
        need(arg0.aggregate is not None, "end_aggregate without begin_aggregate")
        arg0.aggregate = None
        return True

    def create_actor(
        self,
        env: Env,
        asset: Asset,
        pose: Transform,
        name: Optional[str] = None,
        group: int = -1,
        filter: int = -1,  # noqa: A002 - the vendor's name
        segmentationId: int = 0,  # noqa: N803
    ) -> int:
        env.sim.calls.creating("create_actor")
        return env.add(Actor.of(asset, pose, name, filter), group)

    def get_actor_index(self, arg0: Env, arg1: int, arg2: IndexDomain) -> int:
        need(arg2 == IndexDomain.DOMAIN_SIM, "stand-in: DOMAIN_SIM only")
        return arg0.first_actor + arg1

    def find_actor_rigid_body_index(self, arg0: Env, arg1: int, arg2: str, arg3: IndexDomain) -> int:
        names = arg0.actors[arg1].asset.body_names
        if arg2 not in names:
            return INVALID_HANDLE
        in_env = sum(len(actor.asset.bodies) for actor in arg0.actors[:arg1])
        before = {
            IndexDomain.DOMAIN_ACTOR: 0,
            IndexDomain.DOMAIN_ENV: in_env,
            IndexDomain.DOMAIN_SIM: arg0.first_body + in_env,
        }
        return before[arg3] + names.index(arg2)

    def get_actor_dof_properties(self, arg0: Env, arg1: int) -> np.ndarray:
        return arg0.actors[arg1].dofs.copy()

    def set_actor_dof_properties(self, arg0: Env, arg1: int, arg2: np.ndarray) -> bool:
        actor = arg0.actors[arg1]
        actor.dofs = _properties.checked_dofs(arg2, len(actor.dofs))
        if arg0.sim.worlds is not None:
            arg0.sim.worlds.update_dofs(arg0, arg1)
        return True

    def get_actor_dof_names(self, arg0: Env, arg1: int) -> List[str]:
        return self.get_asset_dof_names(arg0.actors[arg1].asset)

    def get_actor_rigid_body_names(self, arg0: Env, arg1: int) -> List[str]:
        return self.get_asset_rigid_body_names(arg0.actors[arg1].asset)

    def get_actor_rigid_body_shape_indices(self, arg0: Env, arg1: int) -> List[IndexRange]:
        return self.get_asset_rigid_body_shape_indices(arg0.actors[arg1].asset)

    def get_actor_rigid_shape_properties(self, arg0: Env, arg1: int) -> List[RigidShapeProperties]:
        return [copied(shape) for shape in arg0.actors[arg1].shapes]

    def set_actor_rigid_shape_properties(self, arg0: Env, arg1: int, arg2: List[RigidShapeProperties]) -> bool:
        actor = arg0.actors[arg1]
        actor.shapes = _properties.checked_shapes(arg2, len(actor.shapes))
        if arg0.sim.worlds is not None:
            arg0.sim.worlds.update_shapes(arg0)
        return True

    def get_actor_rigid_body_properties(self, arg0: Env, arg1: int) -> List[RigidBodyProperties]:
        return [copied(body) for body in arg0.actors[arg1].bodies]

    def set_actor_rigid_body_properties(
        self,
        env: Env,
        actorHandle: int,  # noqa: N803
        props: List[RigidBodyProperties],
        recomputeInertia: bool = False,  # noqa: N803
    ) -> bool:
        actor = env.actors[actorHandle]
        actor.bodies = _properties.checked_bodies(props, actor.bodies, recomputeInertia)
        if env.sim.worlds is not None:
            env.sim.worlds.update_bodies(env, actorHandle)
        return True

    # Tensors of the sim's

    def acquire_actor_root_state_tensor(self, arg0: Sim) -> Tensor:
        return acquire(arg0, "actor_root_state")

    def acquire_dof_state_tensor(self, arg0: Sim) -> Tensor:
        return acquire(arg0, "dof_state")

    def acquire_rigid_body_state_tensor(self, arg0: Sim) -> Tensor:
        return acquire(arg0, "rigid_body_state")

    def acquire_net_contact_force_tensor(self, arg0: Sim) -> Tensor:
        kept = arg0.params.physx.contact_collection
        need(
            kept == ContactCollection.CC_LAST_SUBSTEP,
            f"net contact forces with {kept.name}: none, or wrong ones; CC_LAST_SUBSTEP",
        )
        return acquire(arg0, "net_contact_force")

    def refresh_actor_root_state_tensor(self, arg0: Sim) -> bool:
        return refresh(arg0, "actor_root_state")

    def refresh_dof_state_tensor(self, arg0: Sim) -> bool:
        return refresh(arg0, "dof_state")

    def refresh_rigid_body_state_tensor(self, arg0: Sim) -> bool:
        return refresh(arg0, "rigid_body_state")

    def refresh_net_contact_force_tensor(self, arg0: Sim) -> bool:
        return refresh(arg0, "net_contact_force")

    # Tensors of the caller's

    def set_dof_state_tensor_indexed(self, arg0: Sim, arg1: Tensor, arg2: Tensor, arg3: int) -> bool:
        return set_indexed(arg0, "dof_state", arg1, arg2, arg3)

    def set_actor_root_state_tensor_indexed(self, arg0: Sim, arg1: Tensor, arg2: Tensor, arg3: int) -> bool:
        return set_indexed(arg0, "actor_root_state", arg1, arg2, arg3)

    def set_dof_position_target_tensor(self, arg0: Sim, arg1: Tensor) -> bool:
        return set_targets(arg0, arg1)
