"""The hand as a task and its observations see it: controls, joints, fingertips."""

from __future__ import annotations

from typing import Callable, Dict, Optional, Tuple

import torch

from dexhand_env.env.actions import HandControls
from dexhand_env.hand.joints import tip_sites
from dexhand_env.sim.contract import Simulation

Disturbance = Callable[[torch.Tensor], Tuple[torch.Tensor, torch.Tensor]]


class RobotHand:
    """State of the hands in all worlds, (num_envs, ...) float32; metres, radians, newtons.

    Args:
        sim: what steps them.
        controls: from actions to joint targets.
        side: ``right`` or ``left``.

    Attributes:
        control_targets: targets of the 18 controls, (num_envs, 18).
        actions, previous_actions: the last two actions, (num_envs, num_actions); zero when an episode begins.
    """

    def __init__(self, sim: Simulation, controls: HandControls, side: str) -> None:
        self.controls = controls
        self._sim = sim
        self._tip_sites = tip_sites(side)
        size = (sim.num_envs, controls.num_actions)
        self.control_targets = torch.zeros((sim.num_envs, len(controls.lower)), device=sim.device)
        self.actions = torch.zeros(size, device=sim.device)
        self.previous_actions = torch.zeros(size, device=sim.device)
        # Read several times a step; a simulation gives another tensor whenever the joints may have moved.
        self._known_joints: Optional[torch.Tensor] = None
        self._control_positions = self.control_targets

    @property
    def joint_positions(self) -> torch.Tensor:
        """(num_envs, 26)."""
        return self._sim.joint_positions

    @property
    def joint_velocities(self) -> torch.Tensor:
        """(num_envs, 26)."""
        return self._sim.joint_velocities

    @property
    def control_positions(self) -> torch.Tensor:
        """Where the 18 controls are, (num_envs, 18)."""
        joints = self._sim.joint_positions
        if joints is not self._known_joints:
            self._known_joints, self._control_positions = joints, self.controls.from_joints(joints)
        return self._control_positions

    @property
    def positions(self) -> torch.Tensor:
        """The hand base in the world, (num_envs, 3)."""
        return self._sim.site_poses(["hand"])[0][:, 0]

    @property
    def quaternions(self) -> torch.Tensor:
        """Orientation of the hand base in the world, (num_envs, 4)."""
        return self._sim.site_poses(["hand"])[1][:, 0]

    @property
    def fingertip_positions(self) -> torch.Tensor:
        """(num_envs, 5, 3), thumb first."""
        return self._sim.site_poses(self._tip_sites)[0]

    @property
    def fingertip_forces(self) -> torch.Tensor:
        """Net contact force on each fingertip, world frame, (num_envs, 5, 3)."""
        return self._sim.fingertip_forces

    def act(self, actions: torch.Tensor, disturbed: Optional[Disturbance] = None) -> None:
        """Move the joint targets by actions.

        Args:
            actions: the policy's, (num_envs, num_actions); outside [-1, 1] they are clipped.
            disturbed: gives what becomes of them, and in which worlds anything does, (num_envs,) bool.
        """
        self.previous_actions = self.actions
        self.actions = torch.clamp(actions, -1.0, 1.0)
        if disturbed is None:
            self.control_targets = self.controls.apply(self.control_targets, self.actions, self.control_positions)
        else:
            executed, arrived = disturbed(self.actions)
            moved = self.controls.apply(self.control_targets, executed, self.control_positions)
            self.control_targets = torch.where(arrived[:, None], moved, self.control_targets)
        self._sim.set_joint_targets(self.controls.to_joints(self.control_targets))

    def begin(self, worlds: torch.Tensor, control_positions: torch.Tensor) -> torch.Tensor:
        """Forget the past of the worlds marked in (num_envs,) and aim at control positions (num_envs, 18).

        Returns:
            The joint positions of those, (num_envs, 26).
        """
        some = worlds[:, None]
        self.control_targets = torch.where(some, control_positions, self.control_targets)
        self.actions = self.actions.masked_fill(some, 0.0)
        self.previous_actions = self.previous_actions.masked_fill(some, 0.0)
        return self.controls.to_joints(control_positions)

    def get_state(self) -> Dict[str, torch.Tensor]:
        """What joint state alone does not say; for exact resumption."""
        return {
            "control_targets": self.control_targets.clone(),
            "actions": self.actions.clone(),
            "previous_actions": self.previous_actions.clone(),
        }

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        """Restore what ``get_state`` gave."""
        device = self.actions.device
        self.control_targets = state["control_targets"].to(device)
        self.actions = state["actions"].to(device)
        self.previous_actions = state["previous_actions"].to(device)
