"""The prediction of memory against real runs, and what follows from it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cube_task import SCENES
from dexhand_env.config.layers import merge
from dexhand_env.config.physics import load_physics
from dexhand_env.config.ppo import PPOParams, fit_minibatch, load_ppo, train_file
from dexhand_env.errors import UserError
from dexhand_env.rl.free_memory import cgroup_free_bytes, free_memory, used_memory
from dexhand_env.rl.memory import ADDRESS_SPACE, RAM, MemoryNeeds, memory_of
from dexhand_env.rl.memory_check import check_memory, fitting_num_envs, memory_needs, ran_out, room_after_failure
from dexhand_env.sim.backends import warp_installed
from dexhand_env.sim.contract import SimulationMemory
from dexhand_env.sim.factory import simulation_memory

from .runs import CRITIC as SMALL_CRITIC
from .runs import in_subprocess, params, spec, task

CRITIC = merge(
    SMALL_CRITIC,
    {"minibatch_size": 4096, "mini_epochs": 1, "lr_schedule": "constant", "network": {"mlp": {"units": [256, 128]}}},
)
# What the growth of a real run's memory is held against.
RUNS: Dict[str, Dict[str, Any]] = {
    "64 worlds, large network": {
        "num_envs": 64,
        "units": [1024, 1024, 512],
        "config": {"horizon_length": 16, "minibatch_size": 1024},
    },
    "512 worlds, the default network": {
        "num_envs": 512,
        "units": [512, 256, 128],
        "config": {"horizon_length": 16, "minibatch_size": 8192},
    },
    "2048 worlds, small network": {
        "num_envs": 2048,
        "units": [32, 16],
        "config": {"horizon_length": 16, "minibatch_size": 1024},
    },
    "512 worlds, a critic of its own": {
        "num_envs": 512,
        "units": [128, 64],
        "critic": ["fingertip_positions", "fingertip_forces"],
        "config": {"horizon_length": 16, "minibatch_size": 4096, "central_value_config": CRITIC},
    },
}
MEASURE = """
import json, re, sys, tempfile
from pathlib import Path
from dexhand_env.rl.free_memory import used_memory
from dexhand_env.rl.memory import RAM
from dexhand_env.rl.training import run_training
from tests.rl.test_memory import run_spec
spec = run_spec(json.loads(sys.argv[1]))
before = used_memory(["cpu"])[RAM]
with tempfile.TemporaryDirectory() as folder:
    run_training(spec, Path(folder) / "run")
# getrusage would count the process that this one was started from, before it became this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(int(peak.group(1)) * 1024 - before)
"""


def run_spec(run: Dict[str, Any]) -> Any:
    """The specification of an entry of ``RUNS``: two iterations, a checkpoint after each."""
    values = params(max_epochs=2, mini_epochs=1, **run["config"])
    values["network"]["mlp"]["units"] = run["units"]
    observations = {"policy": list(task().observations.policy), "critic": run.get("critic", [])}
    return spec(task=task(observations=observations), params=values, num_envs=run["num_envs"])


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_the_prediction_is_near_what_a_run_takes(run: Dict[str, Any]) -> None:
    """Measured: 1.0 to 1.3 times the growth of the resident set from after the imports to its peak."""
    result = in_subprocess(MEASURE, json.dumps(run))
    assert result.returncode == 0, result.stderr
    measured = int(result.stdout)
    predicted = memory_needs(run_spec(run)).total(run["num_envs"])[RAM]
    assert 0.8 * measured <= predicted <= 1.5 * measured, f"{predicted / measured:.2f} of {measured / 1e6:.0f} MB"


# docs/benchmarks_gpu.md: gigabytes that a training took of an H200 beyond the context, by scene and number of worlds.
GPU = "cuda:0"
ON_A_GPU = {("hand+cube", 1024): 1.12, ("hand+cube", 8192): 3.71, ("hand+cube", 16384): 6.32, ("hand", 8192): 2.11}


@pytest.mark.parametrize(("scene", "num_envs"), ON_A_GPU)
def test_the_prediction_is_above_what_was_measured_on_a_gpu(scene: str, num_envs: int) -> None:
    if not warp_installed():
        pytest.skip("no Warp")
    config = {"minibatch_size": 32768, "mini_epochs": 5}
    values = fit_minibatch(load_ppo(train_file("BaseTask"), {"params": {"config": config}}), num_envs)[0].dump()
    physics = simulation_memory(SCENES[scene], load_physics("default"), "mujoco_warp", "cpu", 1)
    needed = dataclasses.replace(memory_needs(spec(params=values)), physics=physics, sim_device=GPU, rl_device=GPU)
    predicted, measured = needed.total(num_envs)[memory_of(GPU)] / 1e9, ON_A_GPU[scene, num_envs]
    assert measured <= predicted <= 1.25 * measured, f"{predicted / measured:.2f}"


def needs(draw: Any) -> MemoryNeeds:
    """Any run that a configuration can ask for."""
    values = load_ppo(train_file("BaseTask")).dump()
    values["network"]["separate"] = draw(st.booleans())
    values["network"]["mlp"]["units"] = draw(st.lists(st.integers(1, 2048), min_size=1, max_size=4))
    values["network"]["mlp"]["d2rl"] = draw(st.booleans())
    values["network"]["space"]["continuous"]["fixed_sigma"] = draw(st.booleans())
    values["config"]["horizon_length"] = draw(st.integers(1, 128))
    values["config"]["minibatch_size"] = draw(st.integers(1, 2**16))
    if draw(st.booleans()):
        values["config"]["central_value_config"] = {**CRITIC, "minibatch_size": draw(st.integers(1, 2**16))}
    device = st.sampled_from(["cpu", "cuda:0", "cuda:1"])
    return MemoryNeeds(
        physics=SimulationMemory(*(draw(st.integers(0, 10**7)) for _ in range(3))),
        observations=draw(st.integers(1, 1000)),
        critic_observations=draw(st.integers(0, 1000)),
        actions=draw(st.integers(1, 30)),
        params=values,
        sim_device=draw(device),
        rl_device=draw(device),
        threads=draw(st.integers(1, 64)),
    )


some_needs = st.composite(needs)()


@given(some_needs, st.integers(1, 2**20), st.integers(1, 2**20))
def test_more_worlds_never_take_less(needed: MemoryNeeds, first: int, second: int) -> None:
    fewer, more = (needed.total(num_envs) for num_envs in sorted((first, second)))
    assert fewer.keys() == more.keys()
    assert all(fewer[kind] <= more[kind] for kind in fewer)
    assert min(fewer.values()) > 0


ARGUMENTS = (
    *("physics", "observations", "critic_observations", "actions", "threads"),
    *("horizon_length", "minibatch_size", "units", "layer", "separate", "d2rl", "normalization"),
)


@given(some_needs, st.integers(1, 2**16), st.data())
def test_more_of_anything_never_takes_less(needed: MemoryNeeds, num_envs: int, data: st.DataObject) -> None:
    what = data.draw(st.sampled_from(ARGUMENTS))
    values = json.loads(json.dumps(needed.params))
    mlp, more = values["network"]["mlp"], data.draw(st.integers(1, 1000))
    changes: Dict[str, Any] = {"params": values}
    if what == "physics":
        changes["physics"] = SimulationMemory(*(part + more for part in dataclasses.astuple(needed.physics)))
    elif what == "critic_observations":  # none means that a critic of its own sees the policy's
        changes[what] = (needed.critic_observations or needed.observations) + more
    elif what in ("observations", "actions", "threads"):
        changes[what] = getattr(needed, what) + more
    elif what in ("horizon_length", "minibatch_size"):
        values["config"][what] += more
    elif what == "units":
        mlp["units"] = [unit + more for unit in mlp["units"]]
    elif what == "layer":
        mlp["units"] = [mlp["units"][0], *mlp["units"]]
    elif what == "d2rl":
        mlp["d2rl"] = True
    else:
        values["network"][what] = "layer_norm" if what == "normalization" else True
    before, after = needed.total(num_envs), dataclasses.replace(needed, **changes).total(num_envs)
    assert all(before[kind] <= after[kind] for kind in before)


def fits(needed: MemoryNeeds, num_envs: int, room: Dict[str, float]) -> bool:
    return all(amount <= room.get(kind, amount) for kind, amount in needed.total(num_envs).items())


def whole_minibatches(needed: MemoryNeeds, num_envs: int) -> bool:
    try:
        fit_minibatch(PPOParams.model_validate(needed.params), num_envs)
    except UserError:
        return False
    return True


@settings(deadline=None, max_examples=50)
@given(some_needs, st.integers(2, 3000), st.floats(0.3, 1.2), st.data())
def test_the_suggested_number_fits_and_the_next_one_does_not(
    needed: MemoryNeeds, num_envs: int, share: float, data: st.DataObject
) -> None:
    total = needed.total(num_envs)
    limited = data.draw(st.sets(st.sampled_from(sorted(total)), min_size=1))
    room = {kind: share * total[kind] for kind in limited}
    suggested = fitting_num_envs(needed, room, num_envs)
    assert 0 <= suggested < num_envs
    if suggested:
        assert fits(needed, suggested, room)
        assert whole_minibatches(needed, suggested)
    larger = (n for n in range(suggested + 1, num_envs) if whole_minibatches(needed, n))
    following = next(larger, None)
    assert following is None or not fits(needed, following, room)


def test_a_run_that_does_not_fit_is_refused_in_one_line() -> None:
    # 8 steps, minibatches of 32: every multiple of four gives whole ones.
    with pytest.raises(UserError) as caught:
        check_memory(spec(num_envs=2**34), "here")
    message = (
        r"here: 17179869184 environments need about [\d.]+ GB of memory, [\d.]+ GB are free; allowed: at most (\d+)"
    )
    match = re.fullmatch(message, str(caught.value))
    assert match is not None, caught.value
    allowed, free = int(match[1]), free_memory({"cpu"})[RAM]
    assert allowed % 4 == 0
    # What is free changes by what else runs on the machine.
    assert memory_needs(spec()).total(allowed)[RAM] == pytest.approx(free, rel=0.3)


def test_processes_share_the_memory() -> None:
    free = free_memory({"cpu"})[RAM]
    needed = memory_needs(spec())
    half = fitting_num_envs(needed, {RAM: free / 2}, 2**34)
    check_memory(spec(num_envs=half // 2))
    with pytest.raises(UserError, match=f"{half} environments need about"):
        check_memory(spec(num_envs=half), processes=4)


def test_a_run_that_fits_is_not_refused() -> None:
    check_memory(spec())


def test_where_nothing_fits_the_message_says_so() -> None:
    needed = memory_needs(spec())
    assert fitting_num_envs(needed, {RAM: 1e6}, 100) == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        ValueError("std::bad_alloc"),
        RuntimeError("Failed to allocate 1024 bytes on device 'cuda:0'"),
        RuntimeError("mj_makeData: could not allocate mjData"),
    ],
    ids=["Python", "CUDA", "mujoco.batch", "Warp", "MuJoCo"],
)
def test_the_ways_in_which_memory_runs_out_are_known(error: Exception) -> None:
    assert ran_out(error)


def test_real_failures_are_known_also_as_the_cause_of_another() -> None:
    with pytest.raises(RuntimeError) as on_torch:
        torch.empty(2**57, dtype=torch.float32)
    with pytest.raises(MemoryError) as in_numpy:
        np.empty(2**57, dtype=np.float32)
    assert ran_out(on_torch.value)
    assert ran_out(in_numpy.value)
    later = RuntimeError("can't start new thread")
    later.__context__ = on_torch.value
    assert ran_out(later)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("normal expects all elements of std >= 0.0"), ValueError("6 != 7"), UserError("--seed", "found -2")],
    ids=str,
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not ran_out(error)


def test_what_was_short_limits_the_next_attempt() -> None:
    needed = {RAM: 100, ADDRESS_SPACE: 200}
    assert room_after_failure(needed, {RAM: 150, ADDRESS_SPACE: 120}) == {ADDRESS_SPACE: 120}
    # Predicted to fit, and did not: the prediction was too low.
    assert room_after_failure(needed, {RAM: 150, ADDRESS_SPACE: 250}) == {RAM: 80, ADDRESS_SPACE: 160}


def test_memory_is_measured_here() -> None:
    free, used = free_memory({"cpu"}), used_memory({"cpu"})
    assert free[RAM] > 0
    assert used[ADDRESS_SPACE] > used[RAM] > 50e6


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def write_v2(root: Path, group: str, limit: str, used: int, cache: int = 0) -> None:
    folder = f"sys/fs/cgroup/{group}"
    write(root, f"{folder}/memory.max", f"{limit}\n")
    write(root, f"{folder}/memory.current", f"{used}\n")
    write(root, f"{folder}/memory.stat", f"anon 7\ninactive_file {cache}\n")


def test_a_control_groups_limit_and_those_above_it_count(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/user/job\n")
    write_v2(tmp_path, "user/job", "1000", 600, cache=100)
    write_v2(tmp_path, "user", "2000", 1900)
    assert list(cgroup_free_bytes(tmp_path)) == [500, 100]
    write_v2(tmp_path, "user", "max", 1900)
    assert list(cgroup_free_bytes(tmp_path)) == [500]
    write_v2(tmp_path, "user/job", "1000", 1200)
    assert list(cgroup_free_bytes(tmp_path)) == [0]


def test_a_container_sees_its_own_group_only(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/docker/1234\n")
    write_v2(tmp_path, "", "1000", 400)
    assert list(cgroup_free_bytes(tmp_path)) == [600]


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "8:pids:/job\n4:memory:/job\n0::/job\n")
    folder = "sys/fs/cgroup/memory/job"
    write(tmp_path, f"{folder}/memory.limit_in_bytes", "1000\n")
    write(tmp_path, f"{folder}/memory.usage_in_bytes", "300\n")
    write(tmp_path, f"{folder}/memory.stat", "total_inactive_file 50\n")
    assert list(cgroup_free_bytes(tmp_path)) == [750]


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert list(cgroup_free_bytes(tmp_path)) == []
