"""A control step never makes the CPU wait for the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Dict

import pytest
import torch

from dexhand_env.config.physics import load_physics
from dexhand_env.config.randomisation import Randomisation
from dexhand_env.config.registrations import package_tasks
from dexhand_env.config.registry import find_task, load_task
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.statistics import TrainingStatistics
from dexhand_env.sim.backends import find_driver, warp_installed, why_no_warp
from dexhand_env.sim.contract import WorldParameters
from dexhand_env.tasks.registry import make_env

WORLDS, STEPS = 64, 30


@pytest.fixture(scope="module", params=package_tasks())
def env(request: pytest.FixtureRequest) -> Iterator[DexHandEnv]:
    """Every task with every observation, on the first GPU; short episodes, so that some end in every step."""
    if why_no_warp(find_driver(), 0, warp_installed()) is not None:
        pytest.skip("no CUDA")
    keys = find_task(request.param).config_class.OBSERVATION_KEYS
    assert keys is not None
    short = {"episode_length_steps": 10, "success": {"hold_steps": 5}}
    config = load_task(request.param, {**short, "observations": {"policy": list(keys), "critic": []}})
    device = torch.device("cuda:0")
    env = make_env(config, load_physics("fast"), WORLDS, TrainingRandomness(0, device), "cuda:0")
    for _ in range(3):  # what is copied to the GPU once has been
        env.step(torch.zeros(WORLDS, env.num_actions, device=device))
    torch.cuda.synchronize()
    yield env
    torch.cuda.set_sync_debug_mode("default")


def test_torch_waits_for_nothing(env: DexHandEnv) -> None:
    statistics = TrainingStatistics(env.num_envs, env.outcome_names, env.device)
    actions = torch.rand(STEPS, WORLDS, env.num_actions, device=env.device) * 2.0 - 1.0
    torch.cuda.set_sync_debug_mode("error")
    try:
        for each in actions:
            statistics.add(env.step(each))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert statistics.finish_iteration()["episode_length"] > 0


def test_randomised_episodes_wait_for_nothing(env: DexHandEnv) -> None:
    randomisation: Dict[str, Any] = {
        "gain_factor": [0.7, 1.4],
        "damping_factor": [0.7, 1.4],
        "action_delay_steps": [0, 2],
        "action_noise": 0.1,
        "observation_noise": {"joint_positions": 0.01},
        "pushes": {"every_s": [0.06, 0.2], "base_m_per_s": 0.2},
    }
    if env.task.config.HAS_OBJECTS:
        randomisation.update(object_friction=[0.3, 1.2], object_mass_kg=[0.05, 0.3], object_size_m=[0.04, 0.07])
        randomisation.update(object_shapes=["cube", "sphere", "cylinder", "box"])
    changes = {"randomisation": Randomisation.model_validate(randomisation)}
    config = env.task.config.model_copy(update=changes)
    random = make_env(config, load_physics("fast"), WORLDS, TrainingRandomness(0, env.device), "cuda:0")
    actions = torch.zeros(WORLDS, env.num_actions, device=env.device)
    for _ in range(3):
        random.step(actions)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(STEPS):
            random.step(actions)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_putting_back_what_is_not_drawn_any_more_waits_for_nothing(env: DexHandEnv) -> None:
    """In a training that goes on without the randomisation of the one before."""
    changes = {"randomisation": Randomisation.model_validate({"gain_factor": [0.7, 1.4], "damping_factor": [0.7, 1.4]})}
    randomness = TrainingRandomness(0, env.device)
    config = env.task.config.model_copy(update=changes)
    before = make_env(config, load_physics("fast"), WORLDS, randomness, "cuda:0")
    after = make_env(env.task.config, load_physics("fast"), WORLDS, randomness, "cuda:0")
    after.set_state(before.get_state())
    actions = torch.zeros(WORLDS, env.num_actions, device=env.device)
    for _ in range(3):
        after.step(actions)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(STEPS):
            after.step(actions)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    gains = after.sim.parameters.gain_factors
    assert gains is not None
    assert torch.equal(gains, torch.ones_like(gains))


def test_other_parameters_in_some_worlds_wait_for_nothing_either(env: DexHandEnv) -> None:
    """After their first change, which prepares for it."""
    worlds = torch.rand(WORLDS, device=env.device) < 0.3
    factors = torch.rand(WORLDS, 26, device=env.device) + 0.5
    parameters = WorldParameters(gain_factors=factors, damping_factors=factors)
    env.sim.set_parameters(worlds, parameters)
    torch.cuda.set_sync_debug_mode("error")
    try:
        env.sim.set_parameters(~worlds, parameters)
        env.step(torch.zeros(WORLDS, env.num_actions, device=env.device))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    changed = env.sim.parameters.gain_factors
    assert changed is not None
    assert torch.equal(changed, factors)


def test_cuda_waits_for_nothing_either(env: DexHandEnv) -> None:
    """torch's own check sees torch alone; a trace of CUDA sees Warp too."""
    actions = torch.rand(STEPS, WORLDS, env.num_actions, device=env.device) * 2.0 - 1.0
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        with torch.profiler.record_function("control steps"):
            for each in actions:
                env.step(each)
        torch.cuda.synchronize()
    events = [(event.name.lower(), event.time_range) for event in profile.events()]
    span = min((time for name, time in events if name == "control steps"), key=lambda time: time.start)
    calls = {name for name, time in events if span.start < time.start < span.end}
    assert any("graphlaunch" in name for name in calls)  # the trace does see Warp's calls
    assert not [name for name in calls if "synchronize" in name]
    assert not [name for name, _ in events if "dtoh" in name]
