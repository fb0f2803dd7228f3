"""The one contract between an environment and whatever steps physics."""

from __future__ import annotations

import abc
import dataclasses
from typing import Dict, Optional, Sequence, Tuple

import torch


@dataclasses.dataclass(frozen=True)
class SimulationCounters:
    """What went wrong since the simulation was made, summed over worlds.

    Attributes:
        nan_resets: times a world became NaN, infinite or huge and was put back to its initial state.
        contact_overflows: steps in which a world had more contacts or constraints than there was room for. Where
            worlds share that room, all of them count: any may have lost one. None where the simulator does not report
            them.
    """

    nan_resets: int
    contact_overflows: Optional[int]


@dataclasses.dataclass(frozen=True)
class SimulationMemory:
    """Memory that a backend takes on its device for worlds of one scene, bytes.

    Attributes:
        fixed_bytes: whatever the number of worlds, the simulator's own import left out.
        world_bytes: for each world.
        state_bytes: of a world in what ``get_state`` gives.
    """

    fixed_bytes: int
    world_bytes: int
    state_bytes: int


@dataclasses.dataclass(frozen=True)
class WorldParameters:
    """Physical parameters that may differ from world to world; None leaves one as it is.

    Attributes:
        object_frictions: sliding friction of each object with whatever it touches, (num_envs, number of objects).
        object_masses_kg: (num_envs, number of objects).
        object_shapes: places in ``Simulation.object_shapes``, (num_envs, number of objects) int64.
        object_extents_m: along the axes of each object, (num_envs, number of objects, 3); equal where it is round.
        gain_factors: what the position gains of the hand's joints are multiplied by, (num_envs, 26).
        damping_factors: the same of their damping.
    """

    object_frictions: Optional[torch.Tensor] = None
    object_masses_kg: Optional[torch.Tensor] = None
    object_shapes: Optional[torch.Tensor] = None
    object_extents_m: Optional[torch.Tensor] = None
    gain_factors: Optional[torch.Tensor] = None
    damping_factors: Optional[torch.Tensor] = None


class Simulation(abc.ABC):
    """``num_envs`` copies of one scene, stepped together.

    All state is float32 torch tensors on ``device`` whose first axis is the world; they are valid until the next
    ``step``, ``reset`` or ``set_state``, after which the properties give other tensor objects. Positions are metres
    and radians in the world frame, quaternions w x y z. The first 26 joints are the hand's, in the order of
    ``hand.joints.joint_names``; objects are in the scene's order.

    Worlds are selected by a mask, not by their numbers, which a GPU would have to count first. Nothing here waits for a
    GPU but ``counters``, ``get_state`` and ``set_state``. Isaac Gym also waits once in each ``step``, to count the
    worlds whose state was set. What else a backend cannot do is listed in ``config.backends.LIMITS``.

    Attributes:
        num_envs: number of worlds.
        device: where the tensors live.
        control_dt_s: time that one ``step`` advances.
        object_shapes: the shapes that each object can have, its own first.
    """

    num_envs: int
    device: torch.device
    control_dt_s: float
    object_shapes: Tuple[Tuple[str, ...], ...]

    @property
    @abc.abstractmethod
    def joint_positions(self) -> torch.Tensor:
        """Joint positions of the hand, (num_envs, 26): base slides in m from spawn, hinges in rad."""

    @property
    @abc.abstractmethod
    def joint_velocities(self) -> torch.Tensor:
        """Joint velocities of the hand, (num_envs, 26), m/s and rad/s."""

    @property
    @abc.abstractmethod
    def joint_targets(self) -> torch.Tensor:
        """Position targets that the actuators follow, (num_envs, 26)."""

    @abc.abstractmethod
    def site_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        """Positions (num_envs, len(names), 3) and quaternions (num_envs, len(names), 4) of sites."""

    @abc.abstractmethod
    def body_poses(self, names: Sequence[str]) -> Tuple[torch.Tensor, torch.Tensor]:
        """Positions (num_envs, len(names), 3) and quaternions (num_envs, len(names), 4) of bodies."""

    @property
    @abc.abstractmethod
    def fingertip_forces(self) -> torch.Tensor:
        """Net contact force on each fingertip, world frame, (num_envs, 5, 3) in N, thumb first.

        In the present state or, where a backend would have to compute that anew, in the last physics step; none after
        a reset then.
        """

    @property
    @abc.abstractmethod
    def peak_fingertip_forces(self) -> torch.Tensor:
        """Largest contact force on each fingertip in any physics step of the last ``step``, (num_envs, 5) in N.

        Zero after a reset or ``set_state``; a backend may measure only from when somebody first asks.
        """

    @property
    @abc.abstractmethod
    def object_penetrations(self) -> torch.Tensor:
        """How deep anything lay in each object at most, (num_envs, number of objects) in m, 0 or more; measured as the
        peak forces are."""

    @property
    @abc.abstractmethod
    def hand_penetrations(self) -> torch.Tensor:
        """How deep the hand lay in each object at most, likewise."""

    @property
    @abc.abstractmethod
    def object_positions(self) -> torch.Tensor:
        """(num_envs, number of objects, 3)."""

    @property
    @abc.abstractmethod
    def object_quaternions(self) -> torch.Tensor:
        """(num_envs, number of objects, 4)."""

    @property
    @abc.abstractmethod
    def object_velocities(self) -> torch.Tensor:
        """Linear (world frame) then angular (body frame) velocities, (num_envs, number of objects, 6)."""

    @property
    @abc.abstractmethod
    def nan_worlds(self) -> torch.Tensor:
        """Worlds whose state broke during the last ``step`` and was put back, (num_envs,) bool."""

    @abc.abstractmethod
    def counters(self) -> SimulationCounters:
        """What went wrong so far."""

    @abc.abstractmethod
    def set_joint_targets(self, targets: torch.Tensor) -> None:
        """Set the position targets of the 26 hand joints, (num_envs, 26); actuators clamp to their ranges."""

    @abc.abstractmethod
    def step(self, worlds: Optional[torch.Tensor] = None) -> None:
        """Advance by ``control_dt_s``; only the worlds marked in ``worlds``, (num_envs,) bool, where given."""

    @abc.abstractmethod
    def reset(
        self,
        worlds: torch.Tensor,
        joint_positions: torch.Tensor,
        object_poses: Optional[torch.Tensor] = None,
    ) -> None:
        """Put worlds into a state at rest, targets at the joint positions.

        Args:
            worlds: those to put there, (num_envs,) bool; the rows of the others below do not matter.
            joint_positions: (num_envs, 26).
            object_poses: (num_envs, number of objects, 7) position and quaternion; the scene's own where left out.
        """

    @abc.abstractmethod
    def add_velocities(self, base: torch.Tensor, objects: torch.Tensor) -> None:
        """Push: change linear velocities at once, world frame.

        Args:
            base: of the hand's base, (num_envs, 3), m/s.
            objects: (num_envs, number of objects, 3), m/s.
        """

    @property
    @abc.abstractmethod
    def parameters(self) -> WorldParameters:
        """The physical parameters of every world, none left out."""

    @abc.abstractmethod
    def set_parameters(self, worlds: torch.Tensor, parameters: WorldParameters) -> None:
        """Change physical parameters; they stay until they are changed again, whatever is reset.

        A parameter's first change prepares for it, which may take seconds and make a GPU wait; later ones do not.

        Args:
            worlds: those to change, (num_envs,) bool; the rows of the others do not matter.
            parameters: on the simulation's device.

        Raises:
            UserError: a parameter that the backend cannot change.
        """

    @abc.abstractmethod
    def get_state(self) -> Dict[str, torch.Tensor]:
        """Everything that decides the next step, as copies on the CPU; for exact resumption if the backend can."""

    @abc.abstractmethod
    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        """Restore what ``get_state`` gave, from a simulation of the same scene and number of worlds.

        From one of another backend, as far as both know it: the joints, objects, targets and what warms the solver up.
        Parameters that the backend cannot change stay the scene's own.
        Of a scene whose objects have other parameters, worlds get those of the state; an object whose shape this scene
        does not have gets the scene's own shape and extents.
        """
