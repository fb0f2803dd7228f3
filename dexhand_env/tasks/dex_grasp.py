"""DexGrasp: grasp an object on the table, lift it to a target and hold it there."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict

import torch

from dexhand_env.config.dex_grasp import DexGraspConfig, GraspObject
from dexhand_env.config.object_shapes import primitive
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.rotations import turned_back
from dexhand_env.env.task import Task, hand_scene, register_task
from dexhand_env.hand.joints import pad_sites
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Scene, SceneObject, geom_size

MOST_EXCESS = 5.0
ROUGH = 50.0  # force above its limit plus depth above its own, in limits, that leaves nothing of a gentle success
# An object that only touches the table falls for a physics step before contact acts, 1 mm deep at 10 ms. So it begins
# as deep as a cube comes to rest.
SETTLED_M = 3e-5


@register_task(config_class=DexGraspConfig)
class DexGrasp(Task):
    """Each episode places the object on the table, the hand above it and a target in the air.

    Success is the object within ``config.success.distance_m`` of the target and slower than ``speed_m_per_s`` for
    ``hold_steps`` control steps in a row; failure is the object out of reach, or pressed harder or deeper than the
    limits of ``config.failure``.
    """

    def __init__(self, config: DexGraspConfig, hand: RobotHand, sim: Simulation) -> None:
        super().__init__(config, hand, sim)
        self._rest_height_m = config.object.extents_m[2] / 2.0
        self._pad_sites = pad_sites(config.hand.side)
        self._poses = torch.zeros((self.num_envs, 1, 7), device=self.device)
        self._target = torch.zeros((self.num_envs, 3), device=self.device)
        self._held_steps = torch.zeros(self.num_envs, dtype=torch.int32, device=self.device)
        # Of the running episode: largest fingertip force (N), deepest penetration of the object, that by the hand (m).
        self._extremes = torch.zeros((self.num_envs, 3), device=self.device)
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
        return hand_scene(config.hand, (_scene_object(config.object),))

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        drawn = self._lower + randomness.uniform(worlds, len(self._lower)) * (self._upper - self._lower)
        base, place, half_yaw, target = drawn[:, :6], drawn[:, 6:8], drawn[:, 8:9], drawn[:, 9:]
        # How much higher the world's object lies at rest than the configured one.
        raised = self._half_extents_m[:, 2:] - self._rest_height_m
        zeros = torch.zeros_like(place)
        height = torch.full_like(half_yaw, self._rest_height_m - SETTLED_M) + raised
        target = torch.cat((target[:, :2], target[:, 2:] + raised), dim=1)
        self._poses = torch.cat((place, height, torch.cos(half_yaw), zeros, torch.sin(half_yaw)), dim=1)[:, None]
        self._target = torch.where(worlds[:, None], target, self._target)
        self._held_steps = self._held_steps.masked_fill(worlds, 0)
        self._extremes = self._extremes.masked_fill(worlds[:, None], 0.0)
        return self.hand.controls.with_fixed(torch.cat((base, self._fingers), dim=1))

    @property
    def _half_extents_m(self) -> torch.Tensor:
        """The object's, along its axes, (num_envs, 3)."""
        extents = self.sim.parameters.object_extents_m
        assert extents is not None
        return extents[:, 0] / 2.0

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
        now = torch.stack((self._forces.amax(dim=1), self._depth, self.sim.hand_penetrations[:, 0]), dim=1)
        self._extremes = torch.where(worlds[:, None], torch.maximum(self._extremes, now), self._extremes)

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        """What each term is for: docs/dexgrasp.md."""
        scales = self.config.reward_scales
        at = turned_back(self._pads() - self._object_position[:, None], self.sim.object_quaternions[:, 0])
        half_extents = self._half_extents_m
        near = torch.exp(self._surface_distance(at, half_extents) / -scales.near_m)
        others = near[:, 1:]
        hold = near * torch.tanh(self._forces / scales.force_n)
        rest_height = half_extents[:, 2]
        height = self._object_position[:, 2] - rest_height
        lifted = torch.clamp(height / scales.lifted_m, 0.0, 1.0)
        far, close = self._distance_m / scales.far_m, self._distance_m / scales.close_m
        return {
            "reach": 0.5 * near[:, 0] + (others.sum(dim=1) - others.amin(dim=1)) / 6.0,
            "contact": hold[:, 0] * hold[:, 1:].amax(dim=1),
            "lift": torch.clamp(height / (self._target[:, 2] - rest_height), 0.0, 1.0),
            "target": lifted * (2.0 * torch.exp(-far) + torch.exp(-close.square())) / 3.0,
            "hold": self._inside.to(torch.float32),
            "excess_force": _excess(self._forces, scales.force_limit_n).sum(dim=1),
            "excess_penetration": _excess(self._depth, scales.penetration_limit_m),
            "gentle_success": self.successes() * self._gentleness(),
        }

    def _surface_distance(self, points: torch.Tensor, half_extents: torch.Tensor) -> torch.Tensor:
        """Distances (num_envs, n) of points (num_envs, n, 3), in the object's axes, from its surface; 0 within it."""
        half_extents = half_extents[:, None]
        own, *others = self.sim.object_shapes[0]
        distance = surface_distance(points, own, half_extents)
        for place, shape in enumerate(others, start=1):
            it_is = (self._shapes == place)[:, None]
            distance = torch.where(it_is, surface_distance(points, shape, half_extents), distance)
        return distance

    @property
    def _shapes(self) -> torch.Tensor:
        """The shape of each world's object, its place in ``sim.object_shapes``, (num_envs,)."""
        shapes = self.sim.parameters.object_shapes
        assert shapes is not None
        return shapes[:, 0]

    def _shape_flags(self) -> torch.Tensor:
        """1 for what each world's object is: cube, sphere, cylinder, box, (num_envs, 4)."""
        here, half = self._shapes, self._half_extents_m
        places = {shape: place for place, shape in enumerate(self.sim.object_shapes[0])}
        box, sphere, cylinder = (here == places.get(shape, -1) for shape in ("box", "sphere", "cylinder"))
        alike = half.amax(dim=1) == half.amin(dim=1)
        return torch.stack((box & alike, sphere, cylinder, box & ~alike), dim=1).to(torch.float32)

    def _gentleness(self) -> torch.Tensor:
        """1 for an episode whose largest force and depth have been within their limits so far, down to 0 for ROUGH."""
        excess = torch.clamp(self._extremes[:, :2] / self._limits - 1.0, min=0.0).sum(dim=1)
        return torch.clamp(1.0 - torch.log1p(excess) / math.log1p(ROUGH), min=0.0)

    def successes(self) -> torch.Tensor:
        return self._held_steps >= self.config.success.hold_steps

    def failures(self) -> Dict[str, torch.Tensor]:
        limits = self.config.failure
        force, _, hand_depth = self._extremes.unbind(dim=-1)
        return {
            "out_of_reach": self._object_position[:, :2].norm(dim=-1) > limits.reach_m,
            "hard_press": force > limits.fingertip_force_n,
            "deep_press": hand_depth > limits.penetration_m,
        }

    def target_positions(self) -> torch.Tensor:
        return self._target

    def metrics(self) -> Dict[str, torch.Tensor]:
        force, depth, hand_depth = self._extremes.unbind(dim=-1)
        return {
            "target_distance_m": self._distance_m,
            "largest_fingertip_force_n": force,
            "deepest_penetration_m": depth,
            "deepest_hand_penetration_m": hand_depth,
        }

    def observations(self) -> Dict[str, Callable[[], torch.Tensor]]:
        known, sim = super().observations(), self.sim
        known["pads_to_object"] = lambda: (self._object_position[:, None] - self._pads()).flatten(1)
        known["object_position"] = lambda: self._object_position
        known["object_quaternion"] = lambda: sim.object_quaternions[:, 0]
        known["object_velocity"] = lambda: sim.object_velocities[:, 0]
        known["object_extents"] = lambda: 2.0 * self._half_extents_m
        known["object_shape"] = self._shape_flags
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
    """The object as physics has it, lying on the table."""
    shape, position = primitive(item.shape), (0.0, 0.0, item.extents_m[2] / 2.0)
    return SceneObject("object", shape, geom_size(shape, item.extents_m), item.mass_kg, position, item.friction)


def surface_distance(points: torch.Tensor, shape: str, half_extents: torch.Tensor) -> torch.Tensor:
    """Distance of points from the surface of a shape about the origin, 0 within it.

    Args:
        points: (..., 3), m, in the axes of the shape.
        shape: ``box``, ``sphere`` or ``cylinder`` (about z).
        half_extents: (..., 3), m.
    """
    if shape == "sphere":
        return torch.clamp(points.norm(dim=-1) - half_extents[..., 0], min=0.0)
    if shape == "cylinder":
        across = points[..., :2].norm(dim=-1) - half_extents[..., 0]
        outside = torch.stack((across, points[..., 2].abs() - half_extents[..., 2]), dim=-1)
    else:
        outside = points.abs() - half_extents
    return torch.clamp(outside, min=0.0).norm(dim=-1)


def _excess(values: torch.Tensor, limit: float) -> torch.Tensor:
    """By how much values lie above a limit, in limits, at most MOST_EXCESS."""
    return torch.clamp(values / limit - 1.0, 0.0, MOST_EXCESS)
