"""Physical parameters that differ from world to world, through Isaac Gym's properties of actors.

Those are set one actor at a time from the CPU, so a reset with randomisation loops over the worlds that begin.
"""

from __future__ import annotations

from typing import Sequence

import torch

from dexhand_env.config.backends import able_to_change
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import WorldParameters
from dexhand_env.sim.isaac_gym.assets import object_friction
from dexhand_env.sim.isaac_gym.worlds import HAND_ACTOR, Worlds
from dexhand_env.sim.scene import Scene
from dexhand_env.sim.world_parameters import chosen, names_of, updated


class Parameters:
    """The parameters of all worlds.

    Args:
        worlds: Isaac Gym's.
        scene: whose own parameters they begin with.
        joints: number of joints of the hand.

    Attributes:
        own: the scene's, in every world.
        present: those of now.
    """

    def __init__(self, worlds: Worlds, scene: Scene, joints: int) -> None:
        self._worlds = worlds
        self._drives = worlds.gym.get_actor_dof_properties(worlds.envs[0], HAND_ACTOR)
        self._order = worlds.joint_order.cpu().numpy()
        num_envs, objects = len(worlds.envs), scene.objects
        device = worlds.actors.device

        def everywhere(row: Sequence[object], *shape: int) -> torch.Tensor:
            return torch.tensor(row, dtype=torch.float32, device=device).reshape(1, *shape).expand(num_envs, *shape)

        ones = torch.ones(num_envs, joints, device=device)
        self.own = self.present = WorldParameters(
            object_frictions=everywhere([item.friction for item in objects], len(objects)),
            object_masses_kg=everywhere([item.mass_kg for item in objects], len(objects)),
            object_shapes=torch.zeros(num_envs, len(objects), dtype=torch.int64, device=device),
            object_extents_m=everywhere([item.extents_m for item in objects], len(objects), 3),
            gain_factors=ones,
            damping_factors=ones,
        )

    def change(self, worlds: torch.Tensor, given: WorldParameters) -> None:
        """Change the parameters that are given in the worlds marked in ``worlds``, (num_envs,) bool.

        Raises:
            UserError: another shape or size of an object, or a friction that is too low; nothing is changed then.
        """
        new = chosen(worlds, given, self.present)
        for key, now, own in (
            ("object_shapes", new.object_shapes, self.own.object_shapes),
            ("object_size_m", new.object_extents_m, self.own.object_extents_m),
        ):
            if now is not None and own is not None and not torch.equal(now, own):
                raise UserError("sim.backend", f"isaac_gym cannot change {key} of a world", able_to_change(key))
        names, places = names_of(given), worlds.nonzero()[:, 0].tolist()
        after = updated(self.present, new)
        if "object_frictions" in names:
            self._set_frictions(places, after.object_frictions)
        if "object_masses_kg" in names:
            self._set_masses(places, after.object_masses_kg)
        if names & {"gain_factors", "damping_factors"}:
            self._set_drives(places, after)
        self.present = after

    def _set_drives(self, places: Sequence[int], after: WorldParameters) -> None:
        assert after.gain_factors is not None
        assert after.damping_factors is not None
        factors = {"stiffness": after.gain_factors, "damping": after.damping_factors}
        rows = {name: values.cpu().numpy()[:, self._order] for name, values in factors.items()}
        rows["velocity"] = 1.0 / rows["damping"]  # the speed limit stands for damping (hand_tree.Joint)
        for place in places:
            drives = self._drives.copy()
            for name, values in rows.items():
                drives[name] *= values[place]
            self._worlds.gym.set_actor_dof_properties(self._worlds.envs[place], HAND_ACTOR, drives)

    def _set_frictions(self, places: Sequence[int], values: torch.Tensor | None) -> None:
        assert values is not None
        rows = [[object_friction(friction) for friction in row] for row in values.tolist()]
        gym, envs = self._worlds.gym, self._worlds.envs
        for place in places:
            for actor, friction in enumerate(rows[place], start=HAND_ACTOR + 1):
                shapes = gym.get_actor_rigid_shape_properties(envs[place], actor)
                for shape in shapes:
                    shape.friction = friction
                gym.set_actor_rigid_shape_properties(envs[place], actor, shapes)

    def _set_masses(self, places: Sequence[int], values: torch.Tensor | None) -> None:
        assert values is not None
        gym, envs, rows = self._worlds.gym, self._worlds.envs, values.tolist()
        for place in places:
            for actor, mass_kg in enumerate(rows[place], start=HAND_ACTOR + 1):
                bodies = gym.get_actor_rigid_body_properties(envs[place], actor)
                bodies[0].mass = mass_kg
                gym.set_actor_rigid_body_properties(envs[place], actor, bodies, True)  # and the inertia with it
