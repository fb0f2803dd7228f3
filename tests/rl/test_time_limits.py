"""An episode that its time limit ends would have gone on: what it would still have brought is the value of its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import torch

from dexhand_env.env.randomness import EpisodeRandomness
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.checkpoint import TRAINING_KEYS, checkpoint_name, load_checkpoint
from dexhand_env.rl.time_limits import TimeLimits
from dexhand_env.rl.training import TrainingSpec, run_training, seed_everything
from tests.env.scripted_task import ScriptedTask, build, task_config

from .runs import CRITIC, critic_spec, differences, params, spec, task

CPU = torch.device("cpu")
WORLDS, HORIZON, GAMMA = 4, 8, 0.5
# In world 0 an episode succeeds after so many steps, in the others never.
STEPS_TO_SUCCESS = 3


class Counting(ScriptedTask):
    """Observes how many steps the episode has taken; every step is worth 1."""

    count: torch.Tensor

    def begin_episodes(self, worlds: torch.Tensor, randomness: EpisodeRandomness) -> torch.Tensor:
        self.count = getattr(self, "count", torch.zeros(self.num_envs)).masked_fill(worlds, 0.0)
        return super().begin_episodes(worlds, randomness)

    def update(self, worlds: torch.Tensor) -> None:
        self.count = self.count + worlds
        self.succeed = (self.count == STEPS_TO_SUCCESS) & (torch.arange(self.num_envs) == 0)

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        return {"number": torch.ones(self.num_envs)}

    def observations(self) -> Dict[str, Callable[[], torch.Tensor]]:
        return {**super().observations(), "count": lambda: self.count[:, None]}


def valued_by_count(network: Any) -> None:
    """Make a network with one hidden unit and one input say that a state is worth its count."""
    with torch.no_grad():
        for layer in (network.actor_mlp[0], network.value):
            layer.weight.fill_(1.0)
            layer.bias.zero_()


def counting_agent(folder: Path, episode_steps: int, critic: bool, **config: Any) -> DexHandAgent:
    """Values are counts; with a critic of its own that one alone sees them."""
    groups = {"policy": ["joint_positions"], "critic": ["count"]} if critic else {"policy": ["count"]}
    weights = {"number": 1.0, "action_rate": 0.0, "success": 0.0}
    settings = task_config(weights, episode_length_steps=episode_steps, observations=groups)
    plain: Dict[str, Any] = {"normalize_value": False, "normalize_input": False, "gamma": GAMMA, "tau": 1.0, **config}
    mlp = {"units": [1], "activation": "None", "initializer": {"name": "default"}}
    if critic:
        plain["central_value_config"] = {
            **CRITIC,
            "normalize_input": False,
            "network": {**CRITIC["network"], "mlp": mlp},
        }
    chosen = params(horizon_length=HORIZON, minibatch_size=HORIZON * WORLDS, **plain)
    chosen["network"]["mlp"] = mlp
    seed_everything(0, 1, False)
    agent = DexHandAgent(chosen, build(Counting, settings, WORLDS, stagger=True), "Counting", 0, folder, CPU)
    valued_by_count(agent.central_value_net.model.a2c_network if critic else agent.model.a2c_network)
    return agent


def expected_returns(begun_at: List[int], counts: List[int], episode_steps: int) -> Tuple[torch.Tensor, int]:
    """Of a rollout's steps, (HORIZON, WORLDS), step by step with Python's own numbers; and how many episodes timed out.

    With lambda 1 a return is what the episode brings in the rollout and, where it is not over, what its last state is
    worth.
    """
    returns, time_outs = torch.zeros(HORIZON, WORLDS), 0
    for world, (late, count) in enumerate(zip(begun_at, counts)):
        ends: List[Any] = []  # what follows each step: None where the episode goes on
        for _ in range(HORIZON):
            count += 1
            if world == 0 and count == STEPS_TO_SUCCESS:
                ends.append(0.0)
            elif count + late >= episode_steps:
                ends.append(float(count))
                time_outs += 1
            else:
                ends.append(None)
            if ends[-1] is not None:
                count, late = 0, 0
        following = float(count)
        for step in reversed(range(HORIZON)):
            following = 1.0 + GAMMA * (following if ends[step] is None else ends[step])
            returns[step, world] = following
    return returns, time_outs


@pytest.mark.parametrize("critic", [False, True], ids=["policy and value", "a critic of its own"])
@pytest.mark.parametrize("episode_steps", [1, 2, 3, 5, HORIZON, HORIZON + 1, 100])
def test_a_return_ends_with_the_value_of_the_last_observation(tmp_path: Path, episode_steps: int, critic: bool) -> None:
    agent = counting_agent(tmp_path / "run", episode_steps, critic)
    agent.obs, found = agent.env_reset(), 0
    for _ in range(3 if episode_steps < 100 else 15):
        state = agent._env.get_state()  # lengths restart with each episode
        counts = agent._env.task.count.int().tolist()  # type: ignore[attr-defined]
        expected, time_outs = expected_returns(state["begun_at"].tolist(), counts, episode_steps)
        with torch.no_grad():
            batch = agent.play_steps()
        assert torch.equal(batch["returns"].view(WORLDS, HORIZON).T, expected)
        found += time_outs
    assert found > 0
    agent.writer.close()


def test_without_bootstrapping_a_time_limit_is_an_end(tmp_path: Path) -> None:
    agent = counting_agent(tmp_path / "run", 2, False, value_bootstrap=False)
    agent.obs = agent.env_reset()
    with torch.no_grad():
        agent.play_steps()
        returns = agent.play_steps()["returns"].view(WORLDS, HORIZON).T
    assert sorted(set(returns.flatten().tolist())) == [1.0, 1.5]
    agent.writer.close()


def test_shaped_rewards_are_bootstrapped_by_unshaped_values(tmp_path: Path) -> None:
    """Values are learned from shaped rewards, so they are in their scale already."""
    agent = counting_agent(tmp_path / "run", 1, False, reward_shaper={"scale_value": 4.0})
    agent.obs = agent.env_reset()
    with torch.no_grad():
        returns = agent.play_steps()["returns"]
    assert set(returns.flatten().tolist()) == {4.0 + GAMMA * 1.0}
    agent.writer.close()


@pytest.mark.parametrize(("horizon", "episode_steps"), [(1, 1), (7, 3), (16, 1), (16, 100), (9, 9)])
def test_each_time_out_gets_the_value_of_its_own_observation(horizon: int, episode_steps: int) -> None:
    """As often as a time limit allows, in worlds that are not in step; other observations are never looked at."""
    limits = TimeLimits(horizon, episode_steps, 5, 2, CPU)
    generator = torch.Generator().manual_seed(horizon)
    for _ in range(3):
        first = torch.randint(0, episode_steps, (5,), generator=generator)
        seen = torch.rand(horizon, 5, 2, generator=generator)
        timed_out = (torch.arange(horizon)[:, None] - first) % episode_steps == 0
        for step in range(horizon):
            alike = torch.where(timed_out[step][:, None], seen[step], torch.nan)
            limits.note(step, timed_out[step], alike if bool(timed_out[step].any()) else None)
        found = limits.values(lambda observations: observations.sum(dim=1, keepdim=True))
        assert torch.equal(found[..., 0], seen.sum(dim=2) * timed_out)


HARD = {"position_m": 1e-3, "rotation_rad": 1e-3, "finger_rad": 1e-3, "hold_steps": 1}


@pytest.mark.parametrize("make", [spec, critic_spec], ids=["policy and value", "a critic of its own"])
@pytest.mark.parametrize("episode_steps", [1, 5])
def test_two_and_two_iterations_are_four(tmp_path: Path, make: Callable[..., TrainingSpec], episode_steps: int) -> None:
    noisy = {"observation_noise": {"goal": 0.1}}
    observations = make().task.observations.dump()
    short = task(
        episode_length_steps=episode_steps, success=HARD, randomisation=noisy, observations=observations
    )  # every episode times out
    config = make().params["config"]
    chosen = params(max_epochs=4, **{key: config[key] for key in ("central_value_config",) if key in config})
    settings = spec(task=short, params=chosen)
    run_training(settings, tmp_path / "straight")
    nn, broken = tmp_path / "straight" / "nn", tmp_path / "broken"
    run_training(settings, broken, nn / checkpoint_name(2))
    for later in (3, 4):
        straight, resumed = (
            load_checkpoint(each / checkpoint_name(later), TRAINING_KEYS) for each in (nn, broken / "nn")
        )
        assert differences(straight, resumed) == []
