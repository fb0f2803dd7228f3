"""Domain randomisation: physics, actions and observations that differ from episode to episode and world to world."""

from __future__ import annotations

from typing import AbstractSet, Dict, Sequence, Tuple

import torch

from dexhand_env.config.randomisation import Randomisation
from dexhand_env.env.object_shapes import ObjectShapes
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation, WorldParameters

# Parameters of the physics that are drawn when an episode begins, each by itself: key of the configuration, name in the
# contract.
PARAMETERS = (
    ("object_friction", "object_frictions"),
    ("object_mass_kg", "object_masses_kg"),
    ("gain_factor", "gain_factors"),
    ("damping_factor", "damping_factors"),
)


class DomainRandomisation:
    """Draws from the episodes' own randomness, so that equal seeds give equal episodes.

    Args:
        config: what is randomised, and how far; something is.
        sim: whose worlds are.
        num_actions: length of an action.
        noise: how far each value of the policy's observation is off at most, (n,).

    Raises:
        UserError: objects are to be randomised, and there are none.
    """

    def __init__(self, config: Randomisation, sim: Simulation, num_actions: int, noise: Sequence[float]) -> None:
        self._sim = sim
        worlds, device = sim.num_envs, sim.device
        self._objects = sim.object_positions.shape[1]
        if config.of_objects and not self._objects:
            raise UserError(f"randomisation.{config.of_objects[0]}", "the scene has no object", "null, or another task")
        self._age_steps = torch.zeros(worlds, dtype=torch.int64, device=device)
        self._delay_steps = torch.zeros_like(self._age_steps)
        self._latest_actions = torch.zeros((worlds, 0, num_actions), device=device)
        self._steps_to_push = torch.zeros_like(self._age_steps)
        self._shapes = None
        if config.object_shapes is not None or config.object_size_m is not None:
            self._shapes = ObjectShapes(sim, config.object_shapes)
        self.use(config, noise)

    def use(self, config: Randomisation, noise: Sequence[float]) -> None:
        """Draw from these ranges from now on; what is not drawn in each step, when an episode begins.

        Args:
            config: with the same keys as before, not null.
            noise: as in the constructor.
        """
        self._config = config
        device = self._age_steps.device
        self._ranges = {
            name: torch.tensor(getattr(config, key), dtype=torch.float32, device=device)
            for key, name in PARAMETERS
            if getattr(config, key) is not None
        }
        least, most = config.action_delay_steps or (0, 0)
        self._least_delay, self._delays = least, most - least + 1
        self._longest_delay = most
        self._keep_latest(self._latest_actions)
        amplitudes = torch.tensor(noise)
        self._noisy = amplitudes.nonzero()[:, 0].to(device)
        self._amplitudes = amplitudes.to(device)[self._noisy]
        self._noise = torch.zeros((len(self._age_steps), len(self._noisy)), device=device)

    def _keep_latest(self, actions: torch.Tensor) -> None:
        """Keep so many of the latest actions that every delay finds its own, (num_envs, kept, num_actions).

        An episode that runs never looks farther back than its own delay, so what is added may hold anything.
        """
        further = max(self._longest_delay + 1 - actions.shape[1], 0)
        self._latest_actions = torch.nn.functional.pad(actions, (0, 0, 0, further))

    @property
    def drawn(self) -> AbstractSet[str]:
        """The physical parameters that are drawn when an episode begins, by their names in ``WorldParameters``."""
        return {*self._ranges, *(() if self._shapes is None else self._shapes.drawn)}

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> None:
        """Draw what stays as it is for an episode.

        Args:
            worlds: those that begin one, (num_envs,) bool.
            randomness: of the episodes.
        """
        own, drawn = self._sim.parameters, {}
        for name, (low, high) in ((name, bounds.unbind()) for name, bounds in self._ranges.items()):
            size = getattr(own, name).shape[1]
            drawn[name] = low + randomness.uniform(worlds, size) * (high - low)
        if self._shapes is not None:
            drawn.update(self._shapes.draw(worlds, randomness, self._config.object_size_m))
        if drawn:
            self._sim.set_parameters(worlds, WorldParameters(**drawn))
        self._age_steps = self._age_steps.masked_fill(worlds, 0)
        if self._config.action_delay_steps is None:  # a restored episode may have had one
            self._delay_steps = self._delay_steps.masked_fill(worlds, 0)
        else:
            delays = (randomness.uniform(worlds, 1)[:, 0] * self._delays).to(torch.int64) + self._least_delay
            self._delay_steps = torch.where(worlds, delays, self._delay_steps)
        if self._config.pushes is not None:
            self._steps_to_push = torch.where(worlds, self._draw_pause(worlds, randomness), self._steps_to_push)

    def _draw_pause(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        """Control steps until the next push, at least one."""
        assert self._config.pushes is not None
        shortest, longest = self._config.pushes.every_s
        pause_s = shortest + randomness.uniform(worlds, 1)[:, 0] * (longest - shortest)
        return (pause_s / self._sim.control_dt_s).round().clamp(min=1.0).to(torch.int64)

    def executed(
        self, actions: torch.Tensor, worlds: torch.Tensor, randomness: EpisodeRandomness
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """What becomes of the policy's actions, for one control step.

        Args:
            actions: (num_envs, num_actions) in [-1, 1].
            worlds: those that take the step, (num_envs,) bool.
            randomness: of the episodes.

        Returns:
            The actions that take effect, as many; and in which worlds any does, (num_envs,) bool: not before the first.
        """
        arrived = self._age_steps >= self._delay_steps
        self._age_steps = self._age_steps + 1
        if self._latest_actions.shape[1] > 1:  # some episode may be delayed
            self._latest_actions = torch.cat((actions[:, None], self._latest_actions[:, :-1]), dim=1)
            index = self._delay_steps[:, None, None].expand(-1, 1, actions.shape[1])
            actions = self._latest_actions.gather(1, index)[:, 0]
        if self._config.action_noise:
            off = randomness.uniform(worlds, actions.shape[1]) * 2.0 - 1.0
            actions = torch.clamp(actions + off * self._config.action_noise, -1.0, 1.0)
        return actions, arrived

    def push(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> None:
        """Push what is to be pushed before this control step."""
        pushes = self._config.pushes
        if pushes is None:
            return
        self._steps_to_push = self._steps_to_push - 1
        due = worlds & (self._steps_to_push <= 0)
        if due.device.type == "cpu" and not bool(due.any()):  # a GPU would have to be waited for to know
            return
        drawn = (randomness.uniform(due, 3 + 3 * self._objects) * 2.0 - 1.0) * due[:, None]
        objects = drawn[:, 3:].view(len(due), self._objects, 3) * (pushes.object_m_per_s or 0.0)
        self._sim.add_velocities(drawn[:, :3] * (pushes.base_m_per_s or 0.0), objects)
        self._steps_to_push = torch.where(due, self._draw_pause(due, randomness), self._steps_to_push)

    def draw_noise(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> None:
        """By how much the observation of these worlds is off, until this is drawn anew."""
        if len(self._noisy):
            drawn = (randomness.uniform(worlds, len(self._noisy)) * 2.0 - 1.0) * self._amplitudes
            self._noise = torch.where(worlds[:, None], drawn, self._noise)

    def seen(self, observation: torch.Tensor) -> torch.Tensor:
        """What the policy sees of its observation (num_envs, n)."""
        return observation.index_add(1, self._noisy, self._noise) if len(self._noisy) else observation

    def get_state(self) -> Dict[str, torch.Tensor]:
        """For exact resumption; the physics keeps its own parameters."""
        return {
            "age_steps": self._age_steps.clone(),
            "delay_steps": self._delay_steps.clone(),
            "latest_actions": self._latest_actions.clone(),
            "steps_to_push": self._steps_to_push.clone(),
            "noise": self._noise.clone(),
            "noisy": self._noisy.clone(),
        }

    def set_state(self, state: Dict[str, torch.Tensor]) -> None:
        """Restore what ``get_state`` gave, of this randomisation or of one with other ranges or keys.

        Running episodes keep their delays, and the noise that is on them now where it is of values that are noisy here.

        Args:
            state: empty where nothing was randomised.
        """
        state = {name: values.to(self._age_steps.device) for name, values in state.items()}
        self._age_steps = state.get("age_steps", self._age_steps)
        self._delay_steps = state.get("delay_steps", torch.zeros_like(self._delay_steps))
        self._keep_latest(state.get("latest_actions", self._latest_actions))
        pauses = state.get("steps_to_push", torch.zeros_like(self._steps_to_push))
        # 0 where there were no pushes: it is as long to the first one as has been drawn in making this.
        self._steps_to_push = torch.where(pauses > 0, pauses, self._steps_to_push)
        self._noise = self._restored_noise(state)

    def _restored_noise(self, state: Dict[str, torch.Tensor]) -> torch.Tensor:
        noise, columns = state.get("noise", self._noise), state.get("noisy", self._noisy)
        if noise.shape[1] != len(columns):  # of a file that does not say what it is of
            return self._noise
        if torch.equal(columns, self._noisy):
            return noise
        every = torch.zeros((len(noise), int(torch.cat((columns, self._noisy)).amax()) + 1), device=noise.device)
        every[:, self._noisy] = self._noise
        every[:, columns] = noise
        return every[:, self._noisy]
