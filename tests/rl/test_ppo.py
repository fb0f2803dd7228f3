"""Our rollout and our step on a minibatch against rl_games' own, both for real."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable, Dict, List, Type

import pytest
import torch
from rl_games.algos_torch.a2c_continuous import A2CAgent

from dexhand_env.config.registry import load_task
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.training import TrainingSpec, run_training, seed_everything
from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp
from dexhand_env.tasks.registry import make_env

from .runs import critic_spec, differences, params, spec

CPU = torch.device("cpu")
ITERATIONS = 4
# With this threshold the schedule changes the rate often: the first steps are too long, later ones too short.
ADAPTIVE = {"kl_threshold": 2e-3, "learning_rate": 1e-3}
SCHEDULES: Dict[str, Dict[str, Any]] = {
    "adaptive": ADAPTIVE,
    "adaptive after a pass": {**ADAPTIVE, "schedule_type": "standard"},
    "adaptive, ever less": {**ADAPTIVE, "kl_threshold_last": 1e-6, "max_epochs": ITERATIONS},
    "linear": {"lr_schedule": "linear"},
    "constant": {"lr_schedule": "constant"},
}
TRAININGS: Dict[str, Callable[..., TrainingSpec]] = {
    "policy and value": lambda **config: spec(params=params(**config)),
    "a critic of its own": critic_spec,
}


class Stock(DexHandAgent):
    """With rl_games' rollout and update; the value of a last observation is found as soon as an episode times out."""

    def play_steps(self) -> Dict[str, Any]:
        self._owed: List[torch.Tensor] = []
        self.value_bootstrap = False  # which would take the value before the last step
        return dict(A2CAgent.play_steps(self))

    def env_step(self, actions: torch.Tensor) -> Any:
        observations, rewards, dones, infos = super().env_step(actions)
        owed = torch.zeros_like(rewards)
        if infos["final_observations"] is not None:
            with torch.random.fork_rng():
                values = A2CAgent.get_values(self, infos["final_observations"])
            owed = self.gamma * values * infos["time_outs"].unsqueeze(1).float()
        self._owed.append(owed)
        return observations, rewards, dones, infos

    def discount_values(self, *known: torch.Tensor) -> torch.Tensor:
        *others, rewards = known
        advantages: torch.Tensor = super().discount_values(*others, rewards.add_(torch.stack(self._owed)))
        return advantages

    get_action_values = A2CAgent.get_action_values
    get_values = A2CAgent.get_values
    train_actor_critic = A2CAgent.train_actor_critic


class OnDevice(DexHandAgent):
    """Learns as on a GPU, but without a graph."""

    def _choose_device_learning(self) -> None:
        self.learn_on_device(captured=False)


def agent_of(cls: Type[DexHandAgent], settings: TrainingSpec, folder: Path) -> DexHandAgent:
    device = torch.device(settings.rl_device)
    seed_everything(settings.seed, 1, False)
    randomness = TrainingRandomness(settings.seed, device)
    env = make_env(settings.task, settings.physics, settings.num_envs, randomness, settings.sim_device)
    return cls(settings.params, env, "BaseTask", settings.seed, folder, device)


def trained(cls: Type[DexHandAgent], settings: TrainingSpec, folder: Path) -> Dict[str, List[Any]]:
    """The state and the history's row after each iteration."""
    agent = agent_of(cls, settings, folder)
    states: List[Any] = []
    rows: List[Any] = []

    def note(row: Dict[str, float]) -> bool:
        states.append(agent.get_full_state_weights())
        rows.append({name: value for name, value in row.items() if "second" not in name})
        return len(rows) == ITERATIONS

    agent.train(note)
    agent.writer.close()
    return {"states": states, "rows": rows}


@pytest.mark.parametrize("make", TRAININGS.values(), ids=TRAININGS.keys())
def test_a_rollout_is_that_of_rl_games(tmp_path: Path, make: Callable[..., TrainingSpec]) -> None:
    """Every bit of rollouts, some of whose episodes time out, and of the random numbers left after them."""
    found: List[Any] = []
    rollouts, settings = 6, make()
    defaults: Any = load_task("BaseTask")
    hard = settings.task.model_copy(update={"success": defaults.success})
    settings = dataclasses.replace(settings, task=hard)
    for cls in (DexHandAgent, Stock):
        agent = agent_of(cls, settings, tmp_path / cls.__name__)
        agent.obs = agent.env_reset()
        for _ in range(rollouts):
            batch = agent.play_steps()
            batch.pop("step_time")
            counted = agent.statistics.finish_iteration()
            found.append([batch, agent.obs, agent.dones, counted, torch.get_rng_state()])
    assert any(counted.get("termination/timeout", 0.0) > 0.0 for _, _, _, counted, _ in found)
    assert differences(found[:rollouts], found[rollouts:]) == []


@pytest.mark.parametrize("make", TRAININGS.values(), ids=TRAININGS.keys())
def test_a_training_is_that_of_rl_games(tmp_path: Path, make: Callable[..., TrainingSpec]) -> None:
    """On the CPU: every bit of the checkpoints and of the history."""
    ours, theirs = (trained(cls, make(), tmp_path / cls.__name__) for cls in (DexHandAgent, Stock))
    assert differences(ours, theirs) == []


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("make", TRAININGS.values(), ids=TRAININGS.keys())
def test_a_rate_on_the_device_trains_as_rl_games_does(
    tmp_path: Path, make: Callable[..., TrainingSpec], schedule: Dict[str, Any]
) -> None:
    """But for rounding: the rate is of single precision there."""
    ours, theirs = (trained(cls, make(**schedule), tmp_path / cls.__name__) for cls in (OnDevice, Stock))
    rates = [state["learning_rate"] for state in ours["states"]]
    if schedule.get("lr_schedule") != "constant":
        assert len(set(rates)) > 1
    for mine, other in zip(ours["states"], theirs["states"]):
        assert mine["learning_rate"] == pytest.approx(other["learning_rate"], rel=1e-6)
        torch.testing.assert_close(mine["model"], other["model"], rtol=1e-5, atol=1e-6)
    for row, other_row in zip(ours["rows"], theirs["rows"]):
        assert row == pytest.approx(other_row, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("cls", [DexHandAgent, OnDevice], ids=["on the CPU", "on the device"])
def test_the_kl_threshold_falls_in_the_second_half(tmp_path: Path, cls: Type[DexHandAgent]) -> None:
    agent = agent_of(cls, spec(params=params(kl_threshold=0.04, kl_threshold_last=0.01, max_epochs=6)), tmp_path)
    aims: List[float] = []

    def note(row: Dict[str, float]) -> bool:
        device_rate = agent.device_rate
        aims.append(agent.scheduler.kl_threshold if device_rate is None else float(device_rate.kl_threshold))
        return False

    agent.train(note)
    agent.writer.close()
    assert aims == pytest.approx([0.04, 0.04, 0.04, 0.03, 0.02, 0.01])


@pytest.mark.parametrize("cls", [DexHandAgent, OnDevice], ids=["on the CPU", "on the device"])
def test_the_deviation_is_kept_below_a_bound_that_falls(tmp_path: Path, cls: Type[DexHandAgent]) -> None:
    agent = agent_of(cls, spec(params=params(sigma_last=0.125, max_epochs=6, lr_schedule="constant")), tmp_path)
    acted_with: List[float] = []

    def note(row: Dict[str, float]) -> bool:
        acted_with.append(float(agent.experience_buffer.tensor_dict["sigmas"].amax()))
        return False

    agent.train(note)
    agent.writer.close()
    assert acted_with[3:] == pytest.approx([0.5, 0.25, 0.125])
    assert min(acted_with[:3]) > 0.5


def test_a_checkpoint_does_not_tell_where_the_rate_was(tmp_path: Path) -> None:
    """So that a training can go on anywhere."""
    settings = spec(params=params(**ADAPTIVE))
    state = trained(OnDevice, settings, tmp_path / "run")["states"][-1]
    assert state["optimizer"]["param_groups"][0]["lr"] == state["learning_rate"]
    kept = trained(Stock, settings, tmp_path / "stock")["states"][-1]["optimizer"]["param_groups"][0]
    assert {**state["optimizer"]["param_groups"][0], "lr": kept["lr"]} == kept
    for cls in (DexHandAgent, OnDevice):
        agent = agent_of(cls, settings, tmp_path / cls.__name__)
        agent.set_full_state_weights(state)
        assert float(agent.optimizer.param_groups[0]["lr"]) == pytest.approx(state["learning_rate"], rel=1e-6)
        assert agent.train(lambda row: True)
        agent.writer.close()


# On a GPU


@pytest.fixture
def gpu() -> str:
    """The first one."""
    if why_no_warp(find_driver(), 0, warp_installed()) is not None:
        pytest.skip("no CUDA")
    return "cuda:0"


def on(device: str, **config: Any) -> TrainingSpec:
    settings = params(max_epochs=ITERATIONS, **config)
    return spec(params=settings, num_envs=64, sim_device=device, rl_device=device)


def test_a_gpu_waits_for_nothing_in_an_iteration(tmp_path: Path, gpu: str) -> None:
    """From the second on, when what is made once has been; torch raises an error where it would wait."""
    agent = agent_of(DexHandAgent, on(gpu), tmp_path / "run")
    agent.obs = agent.env_reset()
    agent.train_epoch()
    try:
        torch.cuda.set_sync_debug_mode("error")
        agent.set_eval()
        with torch.no_grad():
            batch = agent.play_steps()
        agent.set_train()
        agent.prepare_dataset(batch)
        losses = [agent.train_actor_critic(agent.dataset[index]) for index in range(len(agent.dataset))]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(bool(torch.isfinite(each[0])) for each in losses)
    agent.writer.close()


def test_a_captured_step_is_the_step(tmp_path: Path, gpu: str) -> None:
    """From one state, on the same minibatches: weights, normalisers, learning rate and losses, but for rounding."""
    settings = on(gpu, **ADAPTIVE)
    eager, captured = (agent_of(cls, settings, tmp_path / cls.__name__) for cls in (OnDevice, DexHandAgent))
    captured.model.load_state_dict(eager.model.state_dict())
    eager.obs = eager.env_reset()
    for _ in range(ITERATIONS):
        with torch.no_grad():
            batch = eager.play_steps()
        results = []
        for agent in (eager, captured):
            agent.set_train()
            agent.prepare_dataset(dict(batch))
            each = [agent.train_actor_critic(agent.dataset[index])[:5] for index in range(len(agent.dataset))]
            results.append(torch.tensor(each))
        torch.testing.assert_close(results[1], results[0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(captured.model.state_dict(), eager.model.state_dict(), rtol=1e-4, atol=1e-5)
    for agent in (eager, captured):
        agent.writer.close()


def test_a_training_on_a_gpu_goes_on_there(tmp_path: Path, gpu: str) -> None:
    folder = tmp_path / "run"
    run_training(on(gpu), folder)
    last = folder / "nn" / f"checkpoint_{ITERATIONS}.pth"
    settings = on(gpu)
    settings.params["config"]["max_epochs"] = ITERATIONS + 2
    result = run_training(settings, folder, last)
    assert result.iterations == ITERATIONS + 2
