"""Episode bookkeeping, on a task whose successes and failures the test decides."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dexhand_env.env.vec_env import NAN, RUNNING, SUCCESS, TIMEOUT, DexHandEnv, Step
from dexhand_env.errors import UserError

from .environments import assert_equal, base_task, numbered_env, play, random_actions, training_env
from .scripted_task import ScriptedTask, build, script, task_config

LENGTH = 6
REWARDS = {"number": 1.0, "constant": 0.0, "success": 10.0}


def scripted(num_envs: int = 3, rewards: Any = None, **options: Any) -> DexHandEnv:
    weights = REWARDS if rewards is None else rewards
    return build(ScriptedTask, task_config(weights, episode_length_steps=LENGTH), num_envs, **options)


def still(env: DexHandEnv) -> Step:
    return env.step(torch.zeros(env.num_envs, env.num_actions))


def break_world(env: DexHandEnv, world: int) -> None:
    state = env.sim.get_state()
    state["qpos"][world, 3] = float("nan")
    env.sim.set_state(state)


def mark(values: torch.Tensor, *worlds: int) -> None:
    values.zero_()
    values[list(worlds)] = True


def test_episodes_time_out_and_returns_add_up() -> None:
    env = scripted()
    for round_ in range(2):
        for count in range(1, LENGTH + 1):
            step = still(env)
            assert step.episode_lengths.tolist() == [count] * 3
            assert step.episode_returns.tolist() == [count * 1.0, count * 2.0, count * 3.0]
            assert step.dones.tolist() == [count == LENGTH] * 3, round_
            assert step.outcomes.tolist() == [TIMEOUT if count == LENGTH else RUNNING] * 3
            assert step.whole_episodes.all()


def test_one_world_begins_anew_and_the_others_go_on() -> None:
    env = scripted()
    still(env)
    mark(script(env).succeed, 1)
    step = still(env)
    assert step.outcomes.tolist() == [RUNNING, SUCCESS, RUNNING]
    assert step.rewards.tolist() == [1.0, 12.0, 3.0]
    assert step.episode_returns.tolist() == [2.0, 14.0, 6.0]
    assert step.episode_lengths.tolist() == [2, 2, 2]
    assert script(env).begun == [[0, 1, 2], [1]]
    mark(script(env).succeed)
    step = still(env)
    assert step.episode_lengths.tolist() == [3, 1, 3]
    assert step.episode_returns.tolist() == [3.0, 2.0, 9.0]


def test_observations_after_an_end_are_of_the_next_episode() -> None:
    env = scripted()
    before = env.observe()["policy"].clone()
    for _ in range(3):
        env.step(torch.ones(3, env.num_actions))
    mark(script(env).succeed, 2)
    step = env.step(torch.ones(3, env.num_actions))
    assert torch.equal(step.observations["policy"][2], before[2])
    assert not torch.equal(step.observations["policy"][1], before[1])
    assert not env.hand.actions[2].any()
    assert not env.hand.control_targets[2].any()
    assert env.hand.control_targets[1].any()


@pytest.mark.parametrize("noise", [{}, {"observation_noise": {"joint_positions": 0.1}}], ids=["exact", "noisy"])
def test_an_episode_that_times_out_is_observed_before_the_next_begins(noise: Any) -> None:
    """As it is where it may take longer: in both groups, with its noise, and without a random number more."""
    groups = {"policy": ["joint_positions", "goal_errors"], "critic": ["fingertip_positions", "joint_velocities"]}
    settings = {"observations": groups, "stagger_first_episodes": False, "randomisation": noise}
    success = {"hold_steps": LENGTH}
    short, long = (
        training_env(3, config=base_task(episode_length_steps=length, success=success, **settings))
        for length in (LENGTH, LENGTH + 1)
    )
    actions = random_actions(short, 2, LENGTH + 1)
    for each in actions[: LENGTH - 1]:
        step, same = short.step(each), long.step(each)
        assert step.final_observations is None
        assert_equal(step.observations, same.observations)
    step, same = short.step(actions[LENGTH - 1]), long.step(actions[LENGTH - 1])
    assert step.outcomes.tolist() == [TIMEOUT] * 3
    assert step.final_observations is not None
    assert_equal(step.final_observations, same.observations)
    assert not torch.equal(step.observations["policy"], same.observations["policy"])
    assert short.step(actions[LENGTH]).final_observations is None


def test_no_other_end_is_observed_twice() -> None:
    """What follows a success is worth nothing, and of tests nothing follows."""
    env = scripted()
    mark(script(env).succeed, 0, 1, 2)
    assert still(env).final_observations is None
    once = scripted(auto_reset=False)
    steps = [still(once) for _ in range(LENGTH)]
    assert steps[-1].outcomes.tolist() == [TIMEOUT] * 3
    assert [step.final_observations for step in steps] == [None] * LENGTH


def test_of_several_outcomes_the_gravest_counts() -> None:
    env = scripted(num_envs=6)
    for _ in range(LENGTH - 1):
        still(env)
    mark(script(env).succeed, 0, 1, 2)
    mark(script(env).dropped, 0, 2, 3)
    mark(script(env).lost, 4)
    break_world(env, 0)
    names = [env.outcome_names[index] for index in still(env).outcomes.tolist()]
    assert names == ["nan", "success", "success", "dropped", "lost", "timeout"]


def test_outcome_names_are_the_tasks_too() -> None:
    assert scripted().outcome_names == ("running", "success", "timeout", "nan", "dropped", "lost")


@pytest.mark.parametrize("auto_reset", [True, False])
def test_a_broken_world_ends_without_reward_and_poisons_nothing(auto_reset: bool) -> None:
    env = scripted(auto_reset=auto_reset)
    still(env)
    break_world(env, 1)
    step = still(env)
    assert step.outcomes.tolist() == [RUNNING, NAN, RUNNING]
    assert step.rewards.tolist() == [1.0, 0.0, 3.0]
    assert step.episode_returns.tolist() == [2.0, 2.0, 6.0]
    assert torch.isfinite(step.observations["policy"]).all()
    assert env.sim.counters().nan_resets == 1
    step = still(env)
    assert step.outcomes.tolist() == [RUNNING] * 3
    assert step.episode_lengths.tolist() == ([3, 1, 3] if auto_reset else [3, 2, 3])


def test_without_auto_reset_a_world_that_ended_stands_still() -> None:
    env = scripted(auto_reset=False)
    actions = torch.ones(3, env.num_actions)
    env.step(actions)
    mark(script(env).dropped, 0)
    ended = env.step(actions)
    assert env.active.tolist() == [False, True, True]
    mark(script(env).dropped)
    mark(script(env).succeed, 0)  # too late
    joints = env.sim.joint_positions[0].clone()
    for _ in range(3):
        step = env.step(actions)
        assert step.outcomes.tolist() == [RUNNING] * 3
        assert torch.equal(env.sim.joint_positions[0], joints)
    assert step.rewards.tolist() == [0.0, 2.0, 3.0]
    assert step.episode_returns[0] == ended.episode_returns[0]
    assert step.episode_lengths.tolist() == [2, 5, 5]
    assert script(env).updated[-1] == [False, True, True]
    step = env.step(actions)
    assert [env.outcome_names[index] for index in step.outcomes] == ["running", "timeout", "timeout"]
    assert not env.active.any()
    assert script(env).begun == [[0, 1, 2]]
    env.reset()
    assert env.active.all()
    assert still(env).episode_lengths.tolist() == [1, 1, 1]


def test_metrics_are_of_the_last_step_where_episodes_are_played_once() -> None:
    env = scripted(auto_reset=False)
    step = env.step(torch.ones(3, env.num_actions))
    assert torch.equal(step.metrics["base_height_m"], env.sim.joint_positions[:, 2])
    assert scripted().step(torch.ones(3, env.num_actions)).metrics == {}


def test_staggered_first_episodes_are_short_and_marked() -> None:
    env = scripted(num_envs=64, stagger=True)
    first_lengths: dict[int, int] = {}
    for _ in range(3 * LENGTH):
        step = still(env)
        for world in step.dones.nonzero()[:, 0].tolist():
            length = int(step.episode_lengths[world])
            if world in first_lengths:
                assert length == LENGTH
                assert step.whole_episodes[world]
            else:
                first_lengths[world] = length
                assert bool(step.whole_episodes[world]) == (length == LENGTH)
    assert set(first_lengths.values()) == set(range(1, LENGTH + 1))
    assert len(first_lengths) == 64


def test_episodes_are_staggered_only_where_the_configuration_says_so() -> None:
    for wanted in (True, False):
        env = training_env(num_envs=32, config=base_task(stagger_first_episodes=wanted))
        step = env.step(torch.zeros(32, 18))
        assert bool(step.whole_episodes.all()) != wanted
    assert numbered_env(range(4)).step(torch.zeros(4, 18)).whole_episodes.all()


@pytest.mark.parametrize("mode", ["position", "position_delta"])
@pytest.mark.parametrize("part", ["both", "base", "fingers"])
def test_hundreds_of_random_steps_stay_finite(mode: str, part: str) -> None:
    shipped = base_task().dump()["actions"]
    actions = {**shipped, "mode": mode}
    for name in ("base", "fingers"):
        actions[name] = {**shipped[name], "policy": part in ("both", name)}
    keys = [key for key in base_task().OBSERVATION_KEYS if key != "goal"]
    env = training_env(num_envs=4, config=base_task(actions=actions, observations={"policy": keys, "critic": ["goal"]}))
    joints = []
    for each in random_actions(env, seed=1, steps=200):
        step = env.step(each)
        assert all(torch.isfinite(values).all() for values in step.observations.values())
        assert torch.isfinite(step.rewards).all()
        joints.append(env.sim.joint_positions.clone())
    assert env.sim.counters().nan_resets == env.sim.counters().contact_overflows == 0
    moved = torch.stack(joints).abs().amax(dim=(0, 1))
    assert (moved[:6].max() > 0.05) == (part != "fingers")
    assert (moved[6:].max() > 0.05) == (part != "base")
    assert env.num_actions == {"both": 18, "base": 6, "fingers": 12}[part]


def test_a_part_that_is_not_the_policys_is_held_at_its_fixed_targets() -> None:
    shipped = base_task().dump()["actions"]
    targets = [0.1, -0.05, 0.1, 0.2, 0.0, -0.2]
    base = {**shipped["base"], "policy": False, "fixed_targets": targets}
    env = training_env(num_envs=2, config=base_task(actions={**shipped, "base": base}))
    for each in random_actions(env, seed=2, steps=60):
        env.step(each)
        found = env.sim.joint_positions[:, :6]
        torch.testing.assert_close(found, torch.tensor(targets).expand(2, 6), rtol=0.0, atol=0.02)


def test_observations_have_the_order_and_lengths_of_the_configuration() -> None:
    policy = ["goal", "hand_quaternion", "previous_actions", "joint_velocities", "fingertip_positions"]
    critic = ["fingertip_forces", "hand_position"]
    config = base_task(observations={"policy": policy, "critic": critic})
    env = training_env(num_envs=3, config=config)
    for each in random_actions(env, seed=3, steps=5):
        observations = env.step(each).observations
    known = env.task.observations()
    for group, names in (("policy", policy), ("critic", critic)):
        assert observations[group].shape == (3, config.observation_length(group))
        begin = 0
        for name in names:
            values = known[name]()
            assert torch.equal(observations[group][:, begin : begin + values.shape[1]], values), name
            begin += values.shape[1]
    assert env.observation_sizes == {"policy": 18 + 4 + 18 + 26 + 15, "critic": 18}
    assert "critic" not in training_env().observe()


def test_every_observation_key_exists_with_its_documented_length() -> None:
    config = base_task()
    env = training_env(num_envs=2, config=config)
    known = env.task.observations()
    assert set(known) == set(config.OBSERVATION_KEYS)
    for name, (_, length) in config.OBSERVATION_KEYS.items():
        values = known[name]()
        assert values.shape == (2, env.num_actions if length is None else length), name
        assert values.dtype == torch.float32, name


def test_observations_say_what_their_names_say() -> None:
    env = training_env(num_envs=2)
    for each in random_actions(env, seed=4, steps=4):
        env.step(each)
    known = {name: read() for name, read in env.task.observations().items()}
    spawn = torch.tensor([0.0, 0.0, 0.5])
    torch.testing.assert_close(known["hand_position"], known["joint_positions"][:, :3] + spawn)
    assert torch.equal(known["previous_actions"], each)
    torch.testing.assert_close(known["goal_errors"], known["goal"] - env.hand.control_positions)
    torch.testing.assert_close(known["target_errors"], env.hand.control_targets - env.hand.control_positions)


def test_an_unknown_observation_is_refused() -> None:
    config = task_config(REWARDS)
    unknown = config.observations.model_copy(update={"policy": ("joint_positions", "joint_positons")})
    with pytest.raises(UserError, match=r"observations.policy: joint_positons is not an observation; allowed: .*goal"):
        training_env(config=base_task().model_copy(update={"observations": unknown}))


def test_actions_beyond_one_are_clipped() -> None:
    clipped, plain = training_env(), training_env()
    actions = random_actions(plain, seed=5, steps=10) * 3.0
    found, expected = play(clipped, actions), play(plain, torch.clamp(actions, -1.0, 1.0))
    for one, other in zip(found, expected):
        assert_equal(one, other)


@pytest.mark.parametrize("threads", [1, 2])
def test_one_seed_gives_one_history(threads: int) -> None:
    first, second, other = training_env(seed=1), training_env(seed=1, threads=threads), training_env(seed=2)
    actions = random_actions(first, seed=6, steps=150)
    expected = play(first, actions)
    for found, wanted in zip(play(second, actions), expected):
        assert_equal(found, wanted)
    assert not torch.equal(other.observe()["policy"], training_env(seed=1).observe()["policy"])


def test_a_restored_state_goes_on_bit_for_bit() -> None:
    env = training_env(num_envs=6)
    actions = random_actions(env, seed=7, steps=200)
    play(env, actions[:70])
    state = env.get_state()
    observed = env.observe()["policy"]
    expected = play(env, actions[70:])
    assert any(step["dones"].any() for step in expected)
    for other in (env, training_env(num_envs=6, seed=99)):
        other.set_state(state)
        assert torch.equal(other.observe()["policy"], observed)
        for found, wanted in zip(play(other, actions[70:]), expected):
            assert_equal(found, wanted)
    # The first of the two runs must not have written into the state that the second started from.
    third = training_env(num_envs=6, seed=3)
    third.set_state(state)
    third.reset()
    third.set_state(state)
    assert_equal(play(third, actions[70:71])[0], expected[0])


def test_a_state_is_plain_tensors() -> None:
    def leaves(value: Any) -> list[Any]:
        return [leaf for part in value.values() for leaf in leaves(part)] if isinstance(value, dict) else [value]

    found = leaves(training_env().get_state())
    assert len(found) > 8
    assert all(isinstance(leaf, torch.Tensor) for leaf in found)
