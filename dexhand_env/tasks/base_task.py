"""BaseTask: reach a commanded posture of the whole hand and hold it."""

from __future__ import annotations

from typing import Callable, Dict

import torch

from dexhand_env.config.base_task import BaseTaskConfig
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.rotations import angle_between, quaternion_from_hinges
from dexhand_env.env.task import Task, register_task
from dexhand_env.sim.contract import Simulation

POSITION = slice(0, 3)
ROTATION = slice(3, 6)
FINGERS = slice(6, 18)


@register_task
class BaseTask(Task):
    """Each episode draws a goal for all 18 controls; the hand starts open at its spawn pose.

    Success is being within the tolerances of ``config.success`` for ``hold_steps`` control steps in a row.
    """

    def __init__(self, config: BaseTaskConfig, hand: RobotHand, sim: Simulation) -> None:
        super().__init__(config, hand, sim)
        controls = hand.controls
        # Averages over the dimensions of each part, as products: the fewer operations a step, the better.
        self._part_means = torch.zeros((18, 3), device=self.device)
        for column, part in enumerate((POSITION, ROTATION, FINGERS)):
            self._part_means[part, column] = 1.0 / (part.stop - part.start)
        driven = (controls.to_joints(torch.ones_like(controls.lower)[None])[0] != 0).to(torch.float32)
        driven[:6] = 0.0
        self._finger_mean = driven / driven.sum()
        self._set_goal(torch.zeros((self.num_envs, 18), device=self.device))
        self._held_steps = torch.zeros(self.num_envs, dtype=torch.int32, device=self.device)
        self._progress = torch.zeros((self.num_envs, 3), device=self.device)
        self.use(config)

    def use(self, config: BaseTaskConfig) -> None:
        super().use(config)
        fingers_lower, fingers_upper = self.hand.controls.lower[FINGERS], self.hand.controls.upper[FINGERS]
        position, rotation = config.goal.position_range_m, config.goal.rotation_range_rad
        reach = torch.tensor([position] * 3 + [rotation] * 3, device=self.device)
        self._goal_lower, self._goal_upper = torch.cat((-reach, fingers_lower)), torch.cat((reach, fingers_upper))
        scales = config.reward_scales
        base_scales = torch.tensor([scales.position_scale_m] * 3 + [scales.rotation_scale_rad] * 3, device=self.device)
        self._inverse_scales = 1.0 / torch.cat((base_scales, fingers_upper - fingers_lower))
        # Progress is from here on by the new scales, lest a change of them count as such.
        self._scaled_errors = self._scaled(self._goal - self.hand.control_positions)

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        drawn = randomness.uniform(worlds, 18)
        goal = self._goal_lower + drawn * (self._goal_upper - self._goal_lower)
        # A control that the policy cannot move stays at its fixed target, in the goal too.
        goal, start = self.hand.controls.with_fixed(goal), self.hand.controls.with_fixed(torch.zeros_like(goal))
        self._set_goal(torch.where(worlds[:, None], goal, self._goal))
        self._held_steps = self._held_steps.masked_fill(worlds, 0)
        self._scaled_errors = torch.where(worlds[:, None], self._scaled(goal - start), self._scaled_errors)
        return start

    def _set_goal(self, goal: torch.Tensor) -> None:
        self._goal = goal
        self._goal_joints = self.hand.controls.to_joints(goal)
        self._goal_orientation = quaternion_from_hinges(goal[:, ROTATION])

    def _scaled(self, errors: torch.Tensor) -> torch.Tensor:
        """Errors of the controls (n, 18) as numbers in [0, 1) for position, rotation and fingers, (n, 3)."""
        return torch.tanh(errors.abs() * self._inverse_scales) @ self._part_means

    def _errors(self) -> Dict[str, torch.Tensor]:
        joints = self.joint_positions
        errors = joints - self._goal_joints
        orientation = quaternion_from_hinges(joints[:, ROTATION])
        return {
            "position_error_m": errors[:, POSITION].norm(dim=-1),
            "rotation_error_rad": angle_between(orientation, self._goal_orientation),
            # No product of a matrix and a vector: its last bits depend on the number of rows.
            "finger_error_rad": (errors.abs() * self._finger_mean).sum(dim=-1),
        }

    def update(self, worlds: torch.Tensor) -> None:
        tolerance, errors = self.config.success, self._errors()
        within = (
            (errors["position_error_m"] < tolerance.position_m)
            & (errors["rotation_error_rad"] < tolerance.rotation_rad)
            & (errors["finger_error_rad"] < tolerance.finger_rad)
        )
        held = torch.where(within, self._held_steps + 1, torch.zeros_like(self._held_steps))
        self._held_steps = torch.where(worlds, held, self._held_steps)
        scaled = self._scaled(self._goal - self.hand.control_positions)
        self._progress, self._scaled_errors = self._scaled_errors - scaled, scaled

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        """By how much the last step brought each part nearer: the fall of its mean of tanh(|error| / scale)."""
        position, rotation, fingers = self._progress.unbind(dim=-1)
        return {"position_progress": position, "rotation_progress": rotation, "finger_progress": fingers}

    def successes(self) -> torch.Tensor:
        return self._held_steps >= self.config.success.hold_steps

    def metrics(self) -> Dict[str, torch.Tensor]:
        return self._errors()

    def observations(self) -> Dict[str, Callable[[], torch.Tensor]]:
        known = super().observations()
        known["goal"] = lambda: self._goal
        known["goal_errors"] = lambda: self._goal - self.hand.control_positions
        return known

    def goal_controls(self) -> Dict[str, torch.Tensor]:
        return {"controls": self._goal.clone()}

    def get_state(self) -> Dict[str, torch.Tensor]:
        return {
            "goal": self._goal.clone(),
            "held_steps": self._held_steps.clone(),
            "scaled_errors": self._scaled_errors.clone(),
        }

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        self._set_goal(state["goal"].to(self.device))
        self._held_steps = state["held_steps"].to(self.device)
        self._scaled_errors = state["scaled_errors"].to(self.device)
