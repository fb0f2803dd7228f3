"""The vectorised environment: many episodes of one task, stepped together."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional

import torch

from dexhand_env.env.interface import PolicyInterface, interface_of
from dexhand_env.env.own_parameters import OwnParameters
from dexhand_env.env.randomisation import DomainRandomisation
from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.env.rewards import RewardSum, RewardTerms
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.task import OUTCOMES, Task
from dexhand_env.env.task_checks import check_same_names, check_step, known_observations, observation_size
from dexhand_env.errors import UserError
from dexhand_env.sim.contract import Simulation

# Places in OUTCOMES.
RUNNING, SUCCESS, TIMEOUT, NAN = range(4)


@dataclasses.dataclass(frozen=True)
class Step:
    """What one control step gave; tensors are (num_envs, ...).

    Attributes:
        observations: by group (``policy``, ``critic``); of the next episode's start where one ended.
        rewards: float32.
        dones: bool, worlds whose episode ended.
        outcomes: int64 indices into ``DexHandEnv.outcome_names``; 0 where the episode goes on.
        terms: the reward's terms.
        episode_returns, episode_lengths: sums over the episode so far, this step included.
        whole_episodes: bool, false for episodes that began part-way (staggered starts).
        metrics: the task's metrics after this step, before any reset.
        final_observations: by group, of this step's end in every world, whether or not an episode begins after it. None
            where no episode that is followed by another has timed out (a GPU is not asked: it always gives them).
    """

    observations: Dict[str, torch.Tensor]
    rewards: torch.Tensor
    dones: torch.Tensor
    outcomes: torch.Tensor
    terms: RewardTerms
    episode_returns: torch.Tensor
    episode_lengths: torch.Tensor
    whole_episodes: torch.Tensor
    metrics: Dict[str, torch.Tensor]
    final_observations: Optional[Dict[str, torch.Tensor]] = None


class Watcher:
    """Sees what an environment does and changes nothing of it; this one looks away."""

    def after_step(self, env: DexHandEnv, step: Step) -> None:
        """Called after each control step; the next one begins when it returns."""

    def after_iteration(self, row: Dict[str, float]) -> None:
        """Called after each iteration of a training with its row of the history."""

    def let_go(self) -> None:
        """Hold up no step any longer, not even the one that is held up now: the program has been asked to end."""


class DexHandEnv:
    """Steps a task in ``sim.num_envs`` worlds.

    Args:
        config: the task's configuration.
        sim: physics.
        hand: the hand in that physics.
        task: goals, rewards, success.
        randomness: what draws the episodes.
        auto_reset: start a new episode where one ends (training). Otherwise a world that has ended stands still
            until ``reset`` (tests count each episode once).
        stagger: begin the first episodes part-way, so that later ones do not all end in the same step.
        watcher: is shown every step.

    Raises:
        UserError: an observation or reward that the task does not have, or one that is not as ``Task`` says.
    """

    def __init__(
        self,
        config: Any,
        sim: Simulation,
        hand: RobotHand,
        task: Task,
        randomness: EpisodeRandomness,
        auto_reset: bool = True,
        stagger: bool = False,
        watcher: Optional[Watcher] = None,
    ) -> None:
        self.sim = sim
        self.hand = hand
        self.task = task
        self.num_envs = sim.num_envs
        self.device = sim.device
        self.num_actions = hand.controls.num_actions
        self.max_episode_steps = config.episode_length_steps
        self._config = config
        self._randomness = randomness
        self._auto_reset = auto_reset
        self._watcher = watcher or Watcher()
        self._rewards = RewardSum(config.rewards, task, hand)
        self._groups = self._observation_groups(config)
        self._randomisation = self._domain_randomisation(config)
        self._own_parameters = OwnParameters(sim, self._randomisation.drawn if self._randomisation else frozenset())
        self._all_worlds = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self._lengths = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self._begun_at = torch.zeros_like(self._lengths)
        self._returns = torch.zeros(self.num_envs, device=self.device)
        self._active = self._all_worlds
        self._begin(self._all_worlds)
        self._draw_noise()
        names = check_step(task, self._chosen_observations(config))
        self.outcome_names = (*OUTCOMES, *names["failures"])
        self._rewards.check(names["compute_task_rewards"])
        if stagger:
            late = randomness.uniform(self._all_worlds, 1)[:, 0]
            self._begun_at = (late * self.max_episode_steps).to(torch.int64)

    def _observation_groups(self, config: Any) -> Dict[str, List[Any]]:
        known = known_observations(self.task)
        groups = {"policy": config.observations.policy, "critic": config.observations.critic}
        for group, names in groups.items():
            for name in names:
                if name not in known:
                    raise UserError(f"observations.{group}", f"{name} is not an observation", ", ".join(sorted(known)))
        return {group: [known[name] for name in names] for group, names in groups.items() if names}

    def _domain_randomisation(self, config: Any) -> Optional[DomainRandomisation]:
        if not config.randomisation.is_on:
            return None
        return DomainRandomisation(config.randomisation, self.sim, self.num_actions, self._noise_amplitudes(config))

    def _noise_amplitudes(self, config: Any) -> List[float]:
        amplitudes, noise = config.randomisation.observation_noise or {}, []
        for name, read in zip(config.observations.policy, self._groups["policy"]):
            noise += [amplitudes.get(name, 0.0)] * observation_size(self.task, name, read)
        return noise

    def use(self, config: Any) -> None:
        """Go on with the numbers of another configuration, as that of a curriculum's next level; between two steps.

        Limits of the actions, reward weights, thresholds and noise count at once, what is drawn for an episode when the
        next one begins.

        Args:
            config: differs from the present one in keys alone that a curriculum may change.
        """
        self.hand.controls.use(config.actions)
        self.task.use(config)
        self._rewards.use(config.rewards)
        if self._randomisation is not None:
            self._randomisation.use(config.randomisation, self._noise_amplitudes(config))

    def _chosen_observations(self, config: Any) -> Dict[str, Any]:
        return {
            name: read
            for group, readers in self._groups.items()
            for name, read in zip(getattr(config.observations, group), readers)
        }

    @property
    def observation_sizes(self) -> Dict[str, int]:
        """Number of observations in each group."""
        return {group: values.shape[1] for group, values in self.observe().items()}

    @property
    def interface(self) -> PolicyInterface:
        """What the observations and the actions mean."""
        lengths = {group: [read().shape[1] for read in readers] for group, readers in self._groups.items()}
        return interface_of(self._config, self.sim.control_dt_s, lengths)

    @property
    def active(self) -> torch.Tensor:
        """Worlds whose episode is running, (num_envs,) bool."""
        return self._active

    def observe(self) -> Dict[str, torch.Tensor]:
        """Current observations by group, each (num_envs, n) float32."""
        seen = {group: torch.cat([read() for read in readers], dim=-1) for group, readers in self._groups.items()}
        if self._randomisation is not None:
            seen["policy"] = self._randomisation.seen(seen["policy"])
        return seen

    def reset(self) -> Dict[str, torch.Tensor]:
        """Begin a new episode in every world and return its observations."""
        self._begin(self._all_worlds)
        self._draw_noise()
        return self.observe()

    def _draw_noise(self) -> None:
        if self._randomisation is not None:
            self._randomisation.draw_noise(self._active, self._randomness)

    def _begin(self, worlds: torch.Tensor) -> None:
        self._own_parameters.put_back(worlds)
        if self._randomisation is not None:
            self._randomisation.begin_episodes(worlds, self._randomness)
        controls = self.task.begin_episodes(worlds, self._randomness)
        joints = self.hand.begin(worlds, controls)
        self.sim.reset(worlds, joints, self.task.initial_object_poses())
        self._lengths = self._lengths.masked_fill(worlds, 0)
        self._begun_at = self._begun_at.masked_fill(worlds, 0)
        self._returns = self._returns.masked_fill(worlds, 0.0)
        self._active = self._active | worlds

    def step(self, actions: torch.Tensor) -> Step:
        """Apply actions (num_envs, num_actions), advance one control step, reset what ended.

        A GPU is never waited for.
        """
        worlds = self._active
        self._act(actions, worlds)
        self.sim.step(None if self._auto_reset else worlds)
        self.task.update(worlds)
        outcomes = self._outcomes(worlds)
        terms = self._rewards.compute(outcomes == SUCCESS)
        # What a broken world was put back to says nothing about the step that broke it.
        rewards = torch.where(worlds & (outcomes != NAN), terms.total, torch.zeros_like(terms.total))
        self._lengths = self._lengths + worlds
        self._returns = self._returns + rewards
        dones = outcomes != RUNNING
        returns, lengths, whole = self._returns, self._lengths, self._begun_at == 0
        metrics = self.task.metrics() if not self._auto_reset else {}
        if not self._auto_reset:
            self._active = worlds & ~dones
        self._draw_noise()  # once a step: what an episode ends with and what the next one begins with are off alike
        final = None
        if self._auto_reset and self._may_be(outcomes == TIMEOUT):
            final = self.observe()
        if self._auto_reset and self._may_be(dones):
            self._begin(dones)
        step = Step(self.observe(), rewards, dones, outcomes, terms, returns, lengths, whole, metrics, final)
        self._watcher.after_step(self, step)
        return step

    def _may_be(self, worlds: torch.Tensor) -> bool:
        """Whether any of the worlds (num_envs,) bool is meant; always on a GPU, which would have to be waited for."""
        return self.device.type != "cpu" or bool(worlds.any())

    def _act(self, actions: torch.Tensor, worlds: torch.Tensor) -> None:
        random = self._randomisation
        if random is None:
            self.hand.act(actions)
            return
        self.hand.act(actions, lambda clipped: random.executed(clipped, worlds, self._randomness))
        random.push(worlds, self._randomness)

    def _outcomes(self, worlds: torch.Tensor) -> torch.Tensor:
        """Outcome of this step in each world; of several, the earliest of: nan, success, failures, timeout."""
        timeout = self._lengths + self._begun_at + 1 >= self.max_episode_steps
        # Not torch.where, which copies a plain number to a GPU and waits for that.
        outcomes = torch.full_like(self._lengths, RUNNING).masked_fill(timeout, TIMEOUT)
        failures = self.task.failures()
        check_same_names(self.task, {"failures": self.outcome_names[len(OUTCOMES) :]}, {"failures": tuple(failures)})
        for name, failed in failures.items():
            outcomes = outcomes.masked_fill(failed, self.outcome_names.index(name))
        outcomes = outcomes.masked_fill(self.task.successes(), SUCCESS)
        outcomes = outcomes.masked_fill(self.sim.nan_worlds, NAN)
        return outcomes.masked_fill(~worlds, RUNNING)

    def get_state(self) -> Dict[str, Any]:
        """Everything that decides how running and later episodes go on; plain tensors in dictionaries."""
        self._own_parameters.compare()  # by now all may be put back
        state = {
            "sim": self.sim.get_state(),
            "hand": self.hand.get_state(),
            "task": self.task.get_state(),
            "randomness": self._randomness.get_state(),
            "lengths": self._lengths.clone(),
            "begun_at": self._begun_at.clone(),
            "returns": self._returns.clone(),
        }
        if self._randomisation is not None:
            state["randomisation"] = self._randomisation.get_state()
        return state

    def set_state(self, state: Dict[str, Any]) -> None:
        """Restore what ``get_state`` gave, for the same task and number of worlds.

        Where the configuration is another, running episodes end with what they were drawn with; those that begin have
        the scene's own value of everything that is not drawn.
        """
        self.sim.set_state(state["sim"])
        self._own_parameters.compare()
        self.hand.set_state(state["hand"])
        self.task.set_state(state["task"])
        self._randomness.set_state(state["randomness"])
        self._lengths = state["lengths"].to(self.device)
        self._begun_at = state["begun_at"].to(self.device)
        self._returns = state["returns"].to(self.device)
        if self._randomisation is not None:
            self._randomisation.set_state(state.get("randomisation", {}))
