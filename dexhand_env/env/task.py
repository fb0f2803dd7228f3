"""What a task is to the environment. A task of one's own subclasses :class:`Task`."""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, Callable, Dict, Optional, Tuple, Type, TypeVar, overload

import torch

from dexhand_env.config.registrations import register
from dexhand_env.config.task import TaskConfig
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation
from dexhand_env.sim.scene import Actuation, Scene, SceneObject

#: How an episode may stand or have ended; failures that a task names follow these.
OUTCOMES = ("running", "success", "timeout", "nan")


def hand_scene(hand: Any, objects: Tuple[SceneObject, ...] = ()) -> Scene:
    """The hand of a task's configuration (its section ``hand``) over a table with objects."""
    actuation = Actuation(**{field.name: getattr(hand, field.name) for field in dataclasses.fields(Actuation)})
    return Scene(hand.side, hand.spawn_height_m, objects=objects, actuation=actuation)


class Task(abc.ABC):
    """Goals, rewards, success and failure; all tensors are (num_envs, ...) on the simulation's device.

    Args:
        config: the task's own configuration (``TaskConfig`` or a subclass).
        hand: the hand in all worlds.
        sim: for what is not the hand: objects.
    """

    def __init__(self, config: Any, hand: RobotHand, sim: Simulation) -> None:
        self.config = config
        self.hand = hand
        self.sim = sim
        self.num_envs = sim.num_envs
        self.device = sim.device

    def use(self, config: Any) -> None:
        """Take the numbers of a configuration, which those of a curriculum's next level are; never within a step.

        A task that makes tensors of them makes them here, and calls this in its constructor. Running episodes go on.

        Args:
            config: of the same class, and with the same scene, policy-driven controls and observations.
        """
        self.config = config

    @classmethod
    def scene(cls, config: Any) -> Scene:
        """What is simulated; a hand over a table unless a task says otherwise."""
        return hand_scene(config.hand)

    @property
    def joint_positions(self) -> torch.Tensor:
        """(num_envs, 26), m and rad."""
        return self.hand.joint_positions

    @property
    def joint_velocities(self) -> torch.Tensor:
        """(num_envs, 26), m/s and rad/s."""
        return self.hand.joint_velocities

    @property
    def hand_positions(self) -> torch.Tensor:
        """The hand base in the world, (num_envs, 3), m."""
        return self.hand.positions

    @property
    def hand_quaternions(self) -> torch.Tensor:
        """Orientation of the hand base, w x y z, (num_envs, 4)."""
        return self.hand.quaternions

    @property
    def fingertip_positions(self) -> torch.Tensor:
        """(num_envs, 5, 3), m, thumb first."""
        return self.hand.fingertip_positions

    @property
    def fingertip_forces(self) -> torch.Tensor:
        """Net contact force on each fingertip, (num_envs, 5, 3), N."""
        return self.hand.fingertip_forces

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        """Draw what is random for worlds that begin an episode; ``sim.parameters`` are those of that episode by now.

        Args:
            worlds: those that begin one, (num_envs,) bool; what the task keeps of the others must stay as it is, as by
                ``torch.where(worlds[:, None], new, self._kept)``.
            randomness: the only source of random numbers that an episode may use.

        Returns:
            Control positions to start from, (num_envs, 18); the rows of the other worlds do not matter.
        """
        return torch.zeros((self.num_envs, len(self.hand.controls.lower)), device=self.device)

    def initial_object_poses(self) -> Optional[torch.Tensor]:
        """Where the objects of worlds that begin an episode are put, (num_envs, objects, 7) position and quaternion.

        Asked for after ``begin_episodes``; the rows of the other worlds do not matter. None: as the scene has them.
        """
        return None

    def update(self, worlds: torch.Tensor) -> None:  # noqa: B027  (optional, not abstract)
        """Called once after each control step, before rewards: the place to count or measure.

        Args:
            worlds: those that took the step, (num_envs,) bool.
        """

    @abc.abstractmethod
    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        """Unweighted reward terms of the last step, each (num_envs,), float; weights are in the task's YAML."""

    def successes(self) -> torch.Tensor:
        """Worlds whose episode ends in success now, (num_envs,) bool."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def failures(self) -> Dict[str, torch.Tensor]:
        """Worlds whose episode ends in failure now, by the failure's name, each (num_envs,) bool.

        Always the same names in the same order, as those of rewards and metrics; of several, the last counts.
        """
        return {}

    def metrics(self) -> Dict[str, torch.Tensor]:
        """What an episode table records of an episode's last step, units in the names, each a number (num_envs,)."""
        return {}

    def observations(self) -> Dict[str, Callable[[], torch.Tensor]]:
        """Everything that may be named in the YAML's observation lists, each giving (num_envs, n) float32."""
        hand, shape = self.hand, (self.num_envs, -1)
        return {
            "joint_positions": lambda: hand.joint_positions,
            "joint_velocities": lambda: hand.joint_velocities,
            "target_errors": lambda: hand.control_targets - hand.control_positions,
            "previous_actions": lambda: hand.actions,
            "hand_position": lambda: hand.positions,
            "hand_quaternion": lambda: hand.quaternions,
            "fingertip_positions": lambda: hand.fingertip_positions.reshape(shape),
            "fingertip_forces": lambda: hand.fingertip_forces.reshape(shape),
        }

    def goal_controls(self) -> Dict[str, torch.Tensor]:
        """Control positions (num_envs, 18) to draw as a ghost in replays, under ``controls``; empty where none."""
        return {}

    def target_positions(self) -> Optional[torch.Tensor]:
        """Where the object is to be brought, (num_envs, 3), m, for the viewer to mark; None where nowhere."""
        return None

    def get_state(self) -> Dict[str, torch.Tensor]:
        """The task's own memory of the running episodes; for exact resumption."""
        return {}

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:  # noqa: B027  (optional, not abstract)
        """Restore what ``get_state`` gave."""


TaskClass = TypeVar("TaskClass", bound=Type[Task])


@overload
def register_task(task_class: TaskClass) -> TaskClass: ...


@overload
def register_task(
    *, name: Optional[str] = None, config_class: Type[TaskConfig] = TaskConfig
) -> Callable[[TaskClass], TaskClass]: ...


def register_task(
    task_class: Any = None, *, name: Optional[str] = None, config_class: Type[TaskConfig] = TaskConfig
) -> Any:
    """A decorator that makes a subclass of :class:`Task` a task that ``--task`` finds; with or without arguments.

    Args:
        task_class: the class.
        name: the task's name; the class's own by default.
        config_class: the schema of its YAML, where that has keys of its own.

    Raises:
        UserError: not a task, one without ``compute_task_rewards``, or a name that is taken.
    """
    if task_class is None:
        return functools.partial(register_task, name=name, config_class=config_class)
    own_name = getattr(task_class, "__name__", repr(task_class))
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise UserError("register_task", f"{own_name} is not a task", "a subclass of dexhand_env.env.task.Task")
    if task_class.__abstractmethods__:
        raise UserError("register_task", f"{own_name} lacks {', '.join(sorted(task_class.__abstractmethods__))}()")
    register(own_name if name is None else name, task_class, config_class)
    return task_class
