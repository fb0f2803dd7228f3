"""From a policy's action in [-1, 1] to position targets of the hand's joints."""

from __future__ import annotations

from typing import Sequence

import torch

from dexhand_env.config.actions import Actions
from dexhand_env.hand.joints import CONTROL_RANGES, control_to_joint_matrix


class HandControls:
    """The hand's 18 controls (6 base, 12 fingers) and what a policy may do to them.

    A control that the policy does not move keeps its fixed target. No target moves faster than its velocity limit,
    unless the lead limit pulls it after its control:

    - ``position_delta``: an action of 1 moves the target by velocity limit x control period;
    - ``position``: -1 and 1 are the ends of the control's range, approached at no more than the limit.

    With a lead limit no target is farther from where its control is than the velocity limit x that time. How far a
    control lags behind its target grows with its speed, so this bounds the speed too, with which a control that was
    blocked comes free.

    Args:
        config: mode, limits, fixed targets.
        control_dt_s: control period.
        device: where the tensors live.

    Attributes:
        lower, upper: ranges of the controls, (18,), m and rad.
        policy_controls: indices of the controls that the policy moves, (num_actions,).
    """

    def __init__(self, config: Actions, control_dt_s: float, device: torch.device) -> None:
        ranges = torch.tensor(CONTROL_RANGES, dtype=torch.float32, device=device)
        self.lower, self.upper = ranges[:, 0].contiguous(), ranges[:, 1].contiguous()
        self._free = torch.tensor(config.from_policy, device=device)
        self.policy_controls = self._free.nonzero()[:, 0]
        self._all_moved = all(config.from_policy)
        self._mode = config.mode
        self._control_dt_s = control_dt_s
        self.use(config)
        # No matrix products: the last bits of theirs depend on the number of rows.
        matrix = torch.tensor(control_to_joint_matrix(), dtype=torch.float32)
        ratios, controls = matrix.max(dim=1)
        self._ratios, self._controls = ratios.to(device), controls.to(device)
        # A control's position is the mean over its joints of joint position / coupling ratio. Of each control, in
        # columns: its joints and their weights; those with fewer are filled up with other joints, of weight 0.
        driven = (matrix != 0).sum(dim=0)
        joints = matrix.argsort(dim=0, descending=True, stable=True)[: int(driven.max())].T
        ratio = matrix.T.gather(1, joints)
        weights = torch.where(ratio != 0, 1.0 / (ratio * driven[:, None]), 0.0)
        self._joints, self._weights = joints.to(device), weights.to(device)

    def use(self, config: Actions) -> None:
        """Go on with other limits and fixed targets; see :meth:`DexHandEnv.use`."""
        self._max_change = self._each_control(config.velocity_limits) * self._control_dt_s
        self._max_lead = None
        if config.lead_limit_s is not None:
            self._max_lead = self._max_change * (config.lead_limit_s / self._control_dt_s)
        self._fixed = self._each_control(config.fixed_targets)

    def _each_control(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.lower.device)

    @property
    def num_actions(self) -> int:
        """Length of an action."""
        return len(self.policy_controls)

    def with_fixed(self, targets: torch.Tensor) -> torch.Tensor:
        """Targets (n, 18) with the controls that the policy does not move at their fixed targets."""
        return targets if self._all_moved else torch.where(self._free, targets, self._fixed)

    def apply(self, targets: torch.Tensor, actions: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The next control targets.

        Args:
            targets: current control targets, (n, 18).
            actions: (n, num_actions) in [-1, 1].
            positions: where the controls are, (n, 18).

        Returns:
            (n, 18), within range; fixed controls as they were.
        """
        if self._all_moved:
            full = actions
        else:
            full = torch.zeros_like(targets)
            full[:, self.policy_controls] = actions
        if self._mode == "position_delta":
            moved = targets + full * self._max_change
        else:
            wanted = self.lower + (full + 1.0) * 0.5 * (self.upper - self.lower)
            moved = targets + torch.clamp(wanted - targets, -self._max_change, self._max_change)
        if self._max_lead is not None:
            moved = torch.clamp(moved, positions - self._max_lead, positions + self._max_lead)
        moved = torch.clamp(moved, self.lower, self.upper)
        return moved if self._all_moved else torch.where(self._free, moved, targets)

    def to_joints(self, controls: torch.Tensor) -> torch.Tensor:
        """Joint positions (n, 26) of control positions (n, 18), by the coupling."""
        return controls[:, self._controls] * self._ratios

    def from_joints(self, joints: torch.Tensor) -> torch.Tensor:
        """Control positions (n, 18) of joint positions (n, 26): the mean over a control's joints."""
        first, *others = (joints[:, self._joints] * self._weights).unbind(dim=2)
        return sum(others, first)
