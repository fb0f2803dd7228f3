"""Trainings that diverge for real: each stops, says why, and the checkpoint that it names is good."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.env.actions import HandControls
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.robot_hand import RobotHand
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.checkpoint import (
    BEST,
    TRAINING_KEYS,
    checkpoint_name,
    last_good_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from dexhand_env.rl.divergence import TrainingDiverged, divergence_message, first_in_rollout
from dexhand_env.rl.training import run_training, seed_everything
from dexhand_env.sim.factory import make_simulation
from dexhand_env.tasks.base_task import BaseTask

from .runs import params, spec, task
from .test_checkpoint import STATE

CPU = torch.device("cpu")
CONSTANT = {"lr_schedule": "constant"}


def assert_good(path: Path) -> None:
    """Training can go on from it."""
    state = load_checkpoint(path, TRAINING_KEYS)
    assert all(bool(torch.isfinite(values).all()) for values in state["model"].values())
    for moments in state["optimizer"]["state"].values():
        assert all(bool(torch.isfinite(values).all()) for values in moments.values())


def assert_all_good(folder: Path) -> None:
    for path in (folder / "nn").glob("*.pth"):
        assert_good(path)


def test_a_learning_rate_of_one_stops_in_the_first_iteration(tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged) as caught:
        run_training(spec(params=params(learning_rate=1.0, **CONSTANT)), tmp_path / "run")
    assert caught.value.iteration == 1
    assert "the update moved the policy by" in str(caught.value)
    message = divergence_message(caught.value, tmp_path / "run", None)
    assert message.endswith(" in iteration 1; no good checkpoint had been written before")
    assert list((tmp_path / "run" / "nn").iterdir()) == []


def test_a_learning_rate_that_jumps_stops_with_the_checkpoint_before_it(tmp_path: Path) -> None:
    def jump(row: Dict[str, float], agent: DexHandAgent) -> None:
        if row["iteration"] == 3:
            for group in agent.optimizer.param_groups:
                group["lr"] = agent.last_lr = 1.0

    folder = tmp_path / "run"
    with pytest.raises(TrainingDiverged) as caught:
        run_training(spec(params=params(save_best_after=100, **CONSTANT)), folder, on_iteration=jump)
    assert caught.value.iteration == 4
    good = folder / "nn" / checkpoint_name(3)
    assert divergence_message(caught.value, folder, None).endswith(f"; last good checkpoint: {good}")
    assert not (folder / "nn" / checkpoint_name(4)).exists()
    assert_all_good(folder)


def test_values_alone_can_explode(tmp_path: Path) -> None:
    """A critic with layers of its own: the policy stays where it was."""

    def jump(row: Dict[str, float], agent: DexHandAgent) -> None:
        if row["iteration"] == 2:
            agent.model.a2c_network.value.bias.data.fill_(1e6)

    values = params(learning_rate=1e-6, **CONSTANT)
    values["network"]["separate"] = True
    with pytest.raises(TrainingDiverged, match=r"the mean square of the values is 1\.0e\+12 .*in iteration 3"):
        run_training(spec(params=values), tmp_path / "run", on_iteration=jump)
    assert_all_good(tmp_path / "run")


class BreakingTask(BaseTask):
    """BaseTask until ``breaks_at`` steps were taken; then ``broken`` stands in a reward or observation of a world."""

    breaks_at = 0
    broken = 0.0
    where = "reward"
    steps = 0

    def update(self, worlds: torch.Tensor) -> None:
        super().update(worlds)
        self.steps += 1

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        terms = super().compute_task_rewards()
        if self.where == "reward" and self.steps > self.breaks_at:
            terms["finger_progress"] = terms["finger_progress"].clone()
            terms["finger_progress"][5] = self.broken
        return terms

    def observations(self) -> Dict[str, Callable[[], torch.Tensor]]:
        known = super().observations()
        goal = known["goal"]

        def broken_goal() -> torch.Tensor:
            values = goal().clone()
            if self.where == "observation" and self.steps > self.breaks_at:
                values[5, 3] = self.broken
            return values

        return {**known, "goal": broken_goal}


def breaking_agent(
    folder: Path,
    where: str,
    broken: float,
    breaks_at: int = 20,
    mlp: Optional[Dict[str, Any]] = None,
    rewards: Optional[Dict[str, float]] = None,
    **config: Any,
) -> DexHandAgent:
    """An agent in eight worlds of the task, which breaks in the third iteration of 8 steps unless told otherwise."""
    cls: Any = type("Breaking", (BreakingTask,), {"where": where, "broken": broken, "breaks_at": breaks_at})
    values = params(**config)
    values["network"]["mlp"].update(mlp or {})
    seed_everything(1, 1, False)
    settings, physics = task(), load_physics("fast")
    settings = settings.model_copy(update={"rewards": {**settings.rewards, **(rewards or {})}})
    sim = make_simulation(cls.scene(settings), physics, 8, "auto", "cpu", 1)
    hand = RobotHand(sim, HandControls(settings.actions, physics.control_dt_s, CPU), "right")
    env = DexHandEnv(settings, sim, hand, cls(settings, hand, sim), TrainingRandomness(1, CPU), stagger=True)
    return DexHandAgent(values, env, "BaseTask", 1, folder, CPU)


@pytest.mark.parametrize(
    ("where", "broken", "config", "says"),
    [
        ("reward", float("nan"), {}, r"a reward is not finite \(step 4, world 5\) in iteration 3"),
        ("reward", float("inf"), {}, r"a reward is not finite \(step 4, world 5\) in iteration 3"),
        ("reward", 1e30, {}, "is (nan|inf|not finite) in iteration 3"),
        ("observation", float("nan"), {}, "an observation is not finite in iteration 3"),
        ("observation", float("-inf"), {}, r"an observation is not finite( \(step 5, world 5\))? in iteration 3"),
        ("observation", 3e38, {"normalize_input": False}, "policy_loss is nan in iteration 3"),
    ],
)
def test_a_task_that_breaks_stops_training(
    tmp_path: Path, where: str, broken: float, config: Dict[str, Any], says: str
) -> None:
    folder = tmp_path / "run"
    agent = breaking_agent(folder, where, broken, **config)
    with pytest.raises(TrainingDiverged, match=says) as caught:
        agent.train()
    good = last_good_checkpoint(folder / "nn", caught.value.iteration)
    assert good == folder / "nn" / checkpoint_name(2)
    assert_all_good(folder)
    assert not (folder / "nn" / checkpoint_name(3)).exists()


def test_the_terms_that_broke_are_named(tmp_path: Path) -> None:
    agent = breaking_agent(tmp_path / "run", "reward", float("nan"))
    said = r"^the term finger_progress: a reward is not finite \(step 4, world 5\) in iteration 3$"
    with pytest.raises(TrainingDiverged, match=said):
        agent.train()


def test_a_term_of_weight_0_may_break(tmp_path: Path) -> None:
    """It is no part of what is learned; the history shows what it is."""
    rows: List[Dict[str, float]] = []
    agent = breaking_agent(tmp_path / "run", "reward", float("nan"), rewards={"finger_progress": 0.0}, max_epochs=4)

    def keep(row: Dict[str, float]) -> bool:
        rows.append(row)
        return False

    agent.train(keep)
    assert agent.epoch_num == 4
    assert math.isnan(rows[-1]["raw_reward/finger_progress"])
    assert all(row["reward/finger_progress"] == 0.0 for row in rows)
    assert all(math.isfinite(row["policy_loss"]) for row in rows)
    assert_all_good(tmp_path / "run")


def test_a_distribution_that_is_none_is_divergence_too(tmp_path: Path) -> None:
    """Observation and weights are finite, their product is not: torch refuses the standard deviation."""
    weights = {"initializer": {"name": "const_initializer", "val": 10.0}}
    agent = breaking_agent(tmp_path / "run", "observation", 3e38, breaks_at=2, mlp=weights, normalize_input=False)
    with pytest.raises(TrainingDiverged, match="the standard deviation of an action is not finite in iteration 1"):
        agent.train()


def test_weights_that_are_none_are_named(straight: Path, tmp_path: Path) -> None:
    """A checkpoint from elsewhere with a NaN in it: torch refuses the standard deviation here as well."""
    state = load_checkpoint(straight / "nn" / checkpoint_name(2), TRAINING_KEYS)
    state["model"]["a2c_network.mu.bias"][0] = float("nan")
    save_checkpoint(tmp_path / checkpoint_name(2), state)
    with pytest.raises(TrainingDiverged, match=r"a2c_network\.mu\.bias is not finite in iteration 3") as caught:
        run_training(spec(), tmp_path / "run", tmp_path / checkpoint_name(2))
    message = divergence_message(caught.value, tmp_path / "run", tmp_path / checkpoint_name(2))
    assert message.endswith("; no good checkpoint had been written before")


@pytest.mark.parametrize("config", [{}, {"normalize_value": False}], ids=["normalised", "not normalised"])
def test_a_reward_that_jumps_is_no_divergence(tmp_path: Path, config: Dict[str, Any]) -> None:
    """Ten thousand times what the rewards were before."""
    agent = breaking_agent(tmp_path / "run", "reward", 1e4, max_epochs=12, **config)
    agent.train()
    assert agent.epoch_num == 12


@pytest.mark.parametrize("learning_rate", [1e-2, 3e-2])
def test_a_learning_rate_that_is_only_too_high_is_no_divergence(tmp_path: Path, learning_rate: float) -> None:
    values = params(learning_rate=learning_rate, max_epochs=20, mini_epochs=4, **CONSTANT)
    assert run_training(spec(params=values), tmp_path / "run").iterations == 20


def test_other_errors_in_training_stay_what_they_are(tmp_path: Path) -> None:
    agent = breaking_agent(tmp_path / "run", "reward", 0.0)

    class Refused(RuntimeError):
        """Not torch's."""

    def fail(*arguments: Any) -> None:
        raise Refused("no more steps")

    agent.algo_observer.process_infos = fail
    with pytest.raises(Refused, match="no more steps"):
        agent.train()


def rollout(**broken: tuple[int, int]) -> Dict[str, torch.Tensor]:
    """Four steps of three worlds, with a NaN at (step, world) of the tensors named."""
    sizes = {"obses": 5, "mus": 2, "sigmas": 2, "actions": 2, "rewards": 1}
    tensors = {name: torch.zeros(4, 3, size) for name, size in sizes.items()}
    for name, (step, world) in broken.items():
        tensors[name][step, world, -1] = float("nan")
    return tensors


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        ({}, None),
        ({"rewards": (2, 1)}, "a reward is not finite (step 2, world 1)"),
        ({"rewards": (2, 1), "obses": (3, 1)}, "a reward is not finite (step 2, world 1)"),
        ({"actions": (1, 2), "rewards": (1, 2)}, "an action is not finite (step 1, world 2)"),
        ({"rewards": (1, 0), "obses": (1, 2)}, "an observation is not finite (step 1, world 2)"),
    ],
)
def test_the_cause_is_what_broke_first(broken: Dict[str, tuple[int, int]], found: Optional[str]) -> None:
    assert first_in_rollout(rollout(**broken)) == found


def stored(path: Path, iteration: int, weight: float = 1.0) -> None:
    save_checkpoint(path, {**STATE, "iteration": iteration, "model": {"weight": torch.tensor([weight])}})


def test_the_last_good_checkpoint_loads_and_is_finite(tmp_path: Path) -> None:
    assert last_good_checkpoint(tmp_path, 100) is None
    stored(tmp_path / checkpoint_name(5), 5)
    stored(tmp_path / checkpoint_name(10), 10)
    stored(tmp_path / BEST, 8)
    assert last_good_checkpoint(tmp_path, 100) == tmp_path / checkpoint_name(10)
    assert last_good_checkpoint(tmp_path, 10) == tmp_path / BEST
    assert last_good_checkpoint(tmp_path, 8) == tmp_path / checkpoint_name(5)
    assert last_good_checkpoint(tmp_path, 5) is None
    stored(tmp_path / checkpoint_name(10), 10, float("nan"))
    assert last_good_checkpoint(tmp_path, 100) == tmp_path / BEST
    (tmp_path / BEST).write_bytes(b"cut off")
    assert last_good_checkpoint(tmp_path, 100) == tmp_path / checkpoint_name(5)


def test_a_run_that_went_on_names_where_it_began(tmp_path: Path) -> None:
    error, began = TrainingDiverged("policy_loss is nan", 7), tmp_path / checkpoint_name(6)
    stored(began, 6)
    message = f"training diverged: policy_loss is nan in iteration 7; last good checkpoint: {began}"
    assert divergence_message(error, tmp_path / "run", began) == message


def test_processes_can_tell_each_other() -> None:
    error = pickle.loads(pickle.dumps(TrainingDiverged("kl is inf", 3)))  # noqa: S301
    assert (str(error), error.iteration) == ("kl is inf in iteration 3", 3)
