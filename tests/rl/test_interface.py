"""A checkpoint is gone on with and played by those alone whose observations and actions mean what its own mean."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Dict, List

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexhand_env.commands.released import POLICIES
from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint, save_checkpoint
from dexhand_env.rl.play import play_episodes
from dexhand_env.rl.policy import Policy
from dexhand_env.rl.training import TrainingSpec, check_resumable, run_training
from dexhand_env.tasks.registry import policy_interface

from .runs import critic_spec, differences, spec, task

CPU = torch.device("cpu")
SEEN = list(task().observations.policy)
SWAPPED = [SEEN[1], SEEN[0], *SEEN[2:]]
CRITICS = ["fingertip_positions", "hand_position"]
FIRST = "observation 1 of the policy: joint_positions (26); allowed: joint_velocities (26)"


def with_critic(keys: List[str]) -> TrainingSpec:
    made = critic_spec(max_epochs=1)
    return dataclasses.replace(made, task=task(observations={"policy": SEEN, "critic": keys}))


@pytest.fixture(scope="module")
def state(straight: Path) -> Dict[str, Any]:
    return load_checkpoint(straight / "nn" / "checkpoint_2.pth", TRAINING_KEYS)


@pytest.fixture(scope="module")
def asymmetric(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """A checkpoint with a critic of its own, which sees ``CRITICS``."""
    folder = tmp_path_factory.mktemp("critic") / "run"
    run_training(with_critic(CRITICS), folder)
    return load_checkpoint(folder / "nn" / "checkpoint_1.pth", TRAINING_KEYS)


def without_interface(state: Dict[str, Any]) -> Dict[str, Any]:
    """As checkpoints were before they kept it."""
    return {key: value for key, value in state.items() if key != "interface"}


OTHERS = [
    ({"observations": {"policy": SWAPPED}}, FIRST),
    ({"observations": {"policy": SEEN[:3]}}, "observation 4 of the policy: previous_actions (18); allowed: none"),
    ({"hand": {"side": "left"}}, "was trained with hand.side right; allowed: hand.side left"),
    (
        {"actions": {"mode": "position"}},
        "was trained with actions.mode position_delta; allowed: actions.mode position",
    ),
    (
        {"actions": {"base": {"policy": False}}},
        "was trained with actions of the base and the fingers; allowed: actions of the fingers",
    ),
]
NAMES = ["permuted", "shorter", "side", "mode", "parts"]


@pytest.mark.parametrize(("changes", "message"), OTHERS, ids=NAMES)
def test_it_is_not_gone_on_with(straight: Path, tmp_path: Path, changes: Dict[str, Any], message: str) -> None:
    path = straight / "nn" / "checkpoint_2.pth"
    with pytest.raises(UserError) as caught:
        run_training(spec(task=task(**changes)), tmp_path / "run", path)
    assert str(caught.value) == f"checkpoint {path}: {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("changes", "message"), OTHERS, ids=NAMES)
def test_it_is_not_played(state: Dict[str, Any], changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        play_episodes(task(**changes), load_physics("fast"), Policy(state, CPU, "checkpoint x.pth"), 5, 2)
    assert str(caught.value) == f"checkpoint x.pth: {message}"


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(SEEN))
def test_any_other_order_is_refused(state: Dict[str, Any], order: List[str]) -> None:
    wanted = spec(task=task(observations={"policy": order}))
    policy = Policy(state, CPU)
    if order == SEEN:
        check_resumable(state, wanted, "checkpoint x.pth")
        policy.check("BaseTask", policy_interface(wanted.task, wanted.physics))
        return
    place = next(index for index, pair in enumerate(zip(SEEN, order)) if pair[0] != pair[1])
    message = f"observation {place + 1} of the policy: {SEEN[place]} "
    with pytest.raises(UserError, match=message):
        check_resumable(state, wanted, "checkpoint x.pth")
    with pytest.raises(UserError, match=message):
        policy.check("BaseTask", policy_interface(wanted.task, wanted.physics))


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_no_released_policy_takes_its_observations_in_another_order(data: st.DataObject) -> None:
    """Those of equal length too, as target and object position."""
    name = data.draw(st.sampled_from(["DexGrasp", "DexGraspGentle", "DexGraspRandomised"]))
    listed = list(load_task("DexGrasp").observations.policy)
    first, second = sorted(data.draw(st.sets(st.integers(0, len(listed) - 1), min_size=2, max_size=2)))
    swapped = list(listed)
    swapped[first], swapped[second] = listed[second], listed[first]
    config = load_task("DexGrasp", {"observations": {"policy": swapped}})
    policy = Policy(load_checkpoint(POLICIES / f"{name}.pth"), CPU)
    policy.check("DexGrasp", policy_interface(load_task("DexGrasp"), load_physics("fast")))
    with pytest.raises(UserError, match=f"observation {first + 1} of the policy: {listed[first]} .*{listed[second]}"):
        policy.check("DexGrasp", policy_interface(config, load_physics("fast")))


def test_the_critics_observations_count_where_it_learns_and_not_where_the_policy_plays(
    asymmetric: Dict[str, Any],
) -> None:
    check_resumable(asymmetric, with_critic(CRITICS), "checkpoint x.pth")
    others = (
        (CRITICS[::-1], "observation 1 of the critic: fingertip_positions (15); allowed: hand_position (3)"),
        (CRITICS[:1], "observation 2 of the critic: hand_position (3); allowed: none"),
        ([*CRITICS, "goal"], "observation 3 of the critic: none; allowed: goal (18)"),
    )
    for keys, message in others:
        wanted = with_critic(keys)
        with pytest.raises(UserError) as caught:
            check_resumable(asymmetric, wanted, "checkpoint x.pth")
        assert str(caught.value) == f"checkpoint x.pth: {message}"
        Policy(asymmetric, CPU).check("BaseTask", policy_interface(wanted.task, wanted.physics))


def test_without_a_critic_of_its_own_what_a_critic_would_see_does_not_matter(
    state: Dict[str, Any], asymmetric: Dict[str, Any]
) -> None:
    listed = task(observations={"policy": SEEN, "critic": CRITICS})
    check_resumable(state, spec(task=listed), "checkpoint x.pth")
    with pytest.raises(UserError, match="was trained with a critic of its own"):
        check_resumable(asymmetric, spec(task=listed), "checkpoint x.pth")


def test_what_training_may_change_is_taken(state: Dict[str, Any]) -> None:
    changes = {
        "actions": {"lead_limit_s": 0.1, "base": {"linear_velocity_limit_m_per_s": 0.1}},
        "rewards": {"success": 9.0},
        "randomisation": {"action_noise": 0.1},
    }
    check_resumable(state, spec(task=task(**changes), physics=load_physics("reference")), "checkpoint x.pth")


@pytest.mark.parametrize("change", [{"control_dt_s": 0.01}, {"hand_side": "left"}, {"driven_parts": ["base"]}])
def test_what_a_file_says_of_itself_counts(state: Dict[str, Any], change: Dict[str, Any]) -> None:
    made = {**state, "interface": {**state["interface"], **change}}
    with pytest.raises(UserError, match=r"checkpoint x\.pth: was trained with .*; allowed: "):
        check_resumable(made, spec(), "checkpoint x.pth")
    with pytest.raises(UserError, match=r"checkpoint x\.pth: was trained with .*; allowed: "):
        play_episodes(task(), load_physics("fast"), Policy(made, CPU, "checkpoint x.pth"), 5, 1)


def test_what_a_file_says_of_itself_must_fit_its_network(state: Dict[str, Any]) -> None:
    shorter = {**state["interface"], "policy": [[key, 1] for key, _ in state["interface"]["policy"]]}
    wanted = policy_interface(task(), load_physics("fast"))
    wanted = wanted.model_copy(update={"policy": tuple((key, 1) for key, _ in wanted.policy)})
    with pytest.raises(UserError, match="was trained for BaseTask with 124 observations"):
        Policy({**state, "interface": shorter}, CPU).check("BaseTask", wanted)


def test_a_damaged_description_is_one_line(state: Dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_2.pth"
    save_checkpoint(path, {**state, "interface": {"policy": 3}})
    with pytest.raises(UserError, match=r"checkpoint_2\.pth: interface\.hand_side is damaged"):
        run_training(spec(), tmp_path / "run", path)
    with pytest.raises(UserError, match=r"checkpoint x\.pth: interface\.hand_side is damaged"):
        Policy(load_checkpoint(path), CPU, "checkpoint x.pth")


def test_an_older_file_is_compared_by_its_numbers(state: Dict[str, Any], tmp_path: Path) -> None:
    older = without_interface(state)
    check_resumable(older, spec(task=task(observations={"policy": SWAPPED})), "checkpoint x.pth")
    with pytest.raises(UserError, match="observation_size 124; allowed: observation_size 18"):
        check_resumable(older, spec(task=task(observations={"policy": ["goal"]})), "checkpoint x.pth")
    path = tmp_path / "checkpoint_2.pth"
    save_checkpoint(path, older)
    run_training(spec(), tmp_path / "run", path)
    last = load_checkpoint(tmp_path / "run" / "nn" / "checkpoint_6.pth", TRAINING_KEYS)
    assert differences(last["interface"], state["interface"]) == []  # from then on it is known
