"""DexGrasp: grasp an object on the table, lift it to a target and hold it there."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict

import torch

from dexhand_env.config.dex_grasp import DexGraspConfig, GraspObject
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.rotations import turned_back
from dexhand_env.env.task import Task, register_task
from dexhand_env.hand.joints import pad_sites
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene, SceneObject

MOST_EXCESS = 5.0
ROUGH = 50.0  # force above its limit plus depth above its own, in limits, that leaves nothing of a gentle success
# An object that only touches the table falls for a physics step before contact acts, 1 mm deep at 10 ms. So it begins
# as deep as a cube comes to rest.
SETTLED_M = 3e-5


@register_task(config_class=DexGraspConfig)
class DexGrasp(Task):
    """Each episode places the object on the table, the hand above it and a target in the air.

    Success is the object within ``config.success.distance_m`` of the target and slower than ``speed_m_per_s`` for
    ``hold_steps`` control steps in a row; failure is the object out of reach.
    """

    def __init__(self, config: DexGraspConfig, hand: RobotHand, sim: Simulation) -> None:
        super().__init__(config, hand, sim)
        self._rest_height_m = config.object.extents_m[2] / 2.0
        self._half_size = torch.tensor(config.object.extents_m, device=self.device) / 2.0
        self._pad_sites = pad_sites(config.hand.side)
        self._poses = torch.zeros((self.num_envs, 1, 7), device=self.device)
        self._target = torch.zeros((self.num_envs, 3), device=self.device)
        self._held_steps = torch.zeros(self.num_envs, dtype=torch.int32, device=self.device)
        # Largest fingertip force (N) and deepest penetration (m) of the running episode.
        self._extremes = torch.zeros((self.num_envs, 2), device=self.device)
        self.use(config)
        self._measure()

    def use(self, config: DexGraspConfig) -> None:
        super().use(config)
        start, target, scales = config.start, config.target, config.reward_scales
        middle = (*start.hand_position_m, *start.hand_rotation_rad)
        reach = (*start.hand_position_range_m, *[start.hand_rotation_range_rad] * 3)
        lowest, highest = (self._rest_height_m + height for height in target.height_range_m)
        ranges = [(centre - half, centre + half) for centre, half in zip(middle, reach)]
        ranges += [(-start.object_position_range_m, start.object_position_range_m)] * 2
        ranges += [(-start.object_yaw_range_rad / 2.0, start.object_yaw_range_rad / 2.0)]  # as half angles
        ranges += [(-target.position_range_m, target.position_range_m)] * 2 + [(lowest, highest)]
        self._lower, self._upper = torch.tensor(ranges, device=self.device).unbind(dim=-1)
        self._fingers = torch.tensor(start.finger_positions_rad, device=self.device).repeat(self.num_envs, 1)
        self._limits = torch.tensor([scales.force_limit_n, scales.penetration_limit_m], device=self.device)

    @classmethod
    def scene(cls, config: Any) -> Scene:
        """The hand above a table with the object in its middle."""
        return Scene(config.hand.side, config.hand.spawn_height_m, objects=(_scene_object(config.object),))

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        drawn = self._lower + randomness.uniform(worlds, len(self._lower)) * (self._upper - self._lower)
        base, place, half_yaw, target = drawn[:, :6], drawn[:, 6:8], drawn[:, 8:9], drawn[:, 9:]
        height, zeros = torch.full_like(half_yaw, self._rest_height_m - SETTLED_M), torch.zeros_like(place)
        self._poses = torch.cat((place, height, torch.cos(half_yaw), zeros, torch.sin(half_yaw)), dim=1)[:, None]
        self._target = torch.where(worlds[:, None], target, self._target)
        self._held_steps = self._held_steps.masked_fill(worlds, 0)
        self._extremes = self._extremes.masked_fill(worlds[:, None], 0.0)
        return self.hand.controls.with_fixed(torch.cat((base, self._fingers), dim=1))

    def initial_object_poses(self) -> torch.Tensor:
        return self._poses

    @property
    def _object_position(self) -> torch.Tensor:
        return self.sim.object_positions[:, 0]

    def _to_target(self) -> torch.Tensor:
        return self._target - self._object_position

    def _pads(self) -> torch.Tensor:
        return self.sim.site_poses(self._pad_sites)[0]

    def _measure(self) -> None:
        self._distance_m = self._to_target().norm(dim=-1)
        self._inside = self._distance_m < self.config.success.distance_m
        self._forces, self._depth = self.sim.peak_fingertip_forces, self.sim.object_penetrations[:, 0]

    def update(self, worlds: torch.Tensor) -> None:
        self._measure()
        slow = self.sim.object_velocities[:, 0, :3].norm(dim=-1) < self.config.success.speed_m_per_s
        held = (self._held_steps + 1) * (self._inside & slow)
        self._held_steps = torch.where(worlds, held, self._held_steps)
        extremes = torch.maximum(self._extremes, torch.stack((self._forces.amax(dim=1), self._depth), dim=1))
        self._extremes = torch.where(worlds[:, None], extremes, self._extremes)

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        """What each term is for: docs/dexgrasp.md."""
        scales = self.config.reward_scales
        at = turned_back(self._pads() - self._object_position[:, None], self.sim.object_quaternions[:, 0])
        near = torch.exp(surface_distance(at, self.config.object.shape, self._half_size) / -scales.near_m)
        others = near[:, 1:]
        hold = near * torch.tanh(self._forces / scales.force_n)
        height = self._object_position[:, 2] - self._rest_height_m
        lifted = torch.clamp(height / scales.lifted_m, 0.0, 1.0)
        far, close = self._distance_m / scales.far_m, self._distance_m / scales.close_m
        return {
            "reach": 0.5 * near[:, 0] + (others.sum(dim=1) - others.amin(dim=1)) / 6.0,
            "contact": hold[:, 0] * hold[:, 1:].amax(dim=1),
            "lift": torch.clamp(height / (self._target[:, 2] - self._rest_height_m), 0.0, 1.0),
            "target": lifted * (2.0 * torch.exp(-far) + torch.exp(-close.square())) / 3.0,
            "hold": self._inside.to(torch.float32),
            "excess_force": _excess(self._forces, scales.force_limit_n).sum(dim=1),
            "excess_penetration": _excess(self._depth, scales.penetration_limit_m),
            "gentle_success": self.successes() * self._gentleness(),
        }

    def _gentleness(self) -> torch.Tensor:
        """1 for an episode whose largest force and depth have been within their limits so far, down to 0 for ROUGH."""
        excess = torch.clamp(self._extremes / self._limits - 1.0, min=0.0).sum(dim=1)
        return torch.clamp(1.0 - torch.log1p(excess) / math.log1p(ROUGH), min=0.0)

    def successes(self) -> torch.Tensor:
        return self._held_steps >= self.config.success.hold_steps

    def failures(self) -> Dict[str, torch.Tensor]:
        return {"out_of_reach": self._object_position[:, :2].norm(dim=-1) > self.config.failure.reach_m}

    def target_positions(self) -> torch.Tensor:
        return self._target

    def metrics(self) -> Dict[str, torch.Tensor]:
        force, depth = self._extremes.unbind(dim=-1)
        return {
            "target_distance_m": self._distance_m,
            "largest_fingertip_force_n": force,
            "deepest_penetration_m": depth,
        }

    def observations(self) -> Dict[str, Callable[[], torch.Tensor]]:
        known, sim = super().observations(), self.sim
        known["pads_to_object"] = lambda: (self._object_position[:, None] - self._pads()).flatten(1)
        known["object_position"] = lambda: self._object_position
        known["object_quaternion"] = lambda: sim.object_quaternions[:, 0]
        known["object_velocity"] = lambda: sim.object_velocities[:, 0]
        known["target_position"] = lambda: self._target
        known["object_to_target"] = self._to_target
        known["gentleness"] = lambda: self._gentleness()[:, None]
        return known

    def get_state(self) -> Dict[str, torch.Tensor]:
        return {
            "target": self._target.clone(),
            "held_steps": self._held_steps.clone(),
            "extremes": self._extremes.clone(),
        }

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        self._target = state["target"].to(self.device)
        self._held_steps = state["held_steps"].to(self.device)
        self._extremes = state["extremes"].to(self.device)


def _scene_object(item: GraspObject) -> SceneObject:
    """The object as MuJoCo describes it: half lengths of a box, radius of a sphere, radius and half height."""
    x, _, z = (extent / 2.0 for extent in item.extents_m)
    sizes = {"sphere": (x,), "cylinder": (x, z)}
    shape = "box" if item.shape == "cube" else item.shape
    half_lengths = tuple(extent / 2.0 for extent in item.extents_m)
    position = (0.0, 0.0, z)
    return SceneObject("object", shape, sizes.get(item.shape, half_lengths), item.mass_kg, position, item.friction)


def surface_distance(points: torch.Tensor, shape: str, half_size: torch.Tensor) -> torch.Tensor:
    """Distance of points from the surface of a shape about the origin, 0 within it.

    Args:
        points: (..., 3), m, in the axes of the shape.
        shape: ``cube``, ``box``, ``sphere`` or ``cylinder`` (about z).
        half_size: (3,), m.
    """
    if shape == "sphere":
        return torch.clamp(points.norm(dim=-1) - half_size[0], min=0.0)
    if shape == "cylinder":
        across = points[..., :2].norm(dim=-1) - half_size[0]
        outside = torch.stack((across, points[..., 2].abs() - half_size[2]), dim=-1)
    else:
        outside = points.abs() - half_size
    return torch.clamp(outside, min=0.0).norm(dim=-1)


def _excess(values: torch.Tensor, limit: float) -> torch.Tensor:
    """By how much values lie above a limit, in limits, at most MOST_EXCESS."""
    return torch.clamp(values / limit - 1.0, 0.0, MOST_EXCESS)
