from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dexhand_env.config.physics import load_physics
from dexhand_env.errors import UserError
from dexhand_env.sim.backends import (
    NEEDED_CUDA,
    NO_DEVICE,
    Driver,
    check_backend,
    chosen_device,
    find_driver,
    warp_installed,
    why_no_warp,
)
from dexhand_env.sim.factory import make_simulation
from dexhand_env.sim.scene import Scene, SceneObject


@pytest.mark.parametrize("backend", ["auto", "mujoco"])
def test_the_cpu_backend_is_there(backend: str) -> None:
    sim = make_simulation(Scene(), load_physics("fast"), 2, backend, "cpu", 1)
    assert type(sim).__name__ == "MujocoCpuSimulation"
    assert (sim.num_envs, sim.device.type, sim.control_dt_s) == (2, "cpu", 0.02)


@pytest.mark.parametrize(
    ("backend", "device", "where"),
    [
        ("bullet", "cpu", "sim.backend"),
        ("mujoco", "cuda:0", "--sim-device"),
        ("auto", "cuda:99", "--sim-device"),
        ("mujoco_warp", "cuda:99", "--sim-device"),
        ("mujoco_warp", "gpu", "--sim-device"),
        ("auto", "cuda:", "--sim-device"),
    ],
)
def test_what_cannot_run_here_is_refused_in_one_line(backend: str, device: str, where: str) -> None:
    with pytest.raises(UserError, match=where) as caught:
        make_simulation(Scene(), load_physics("default"), 10**9, backend, device, 1)  # refused before memory is taken
    message = str(caught.value)
    assert "\n" not in message
    assert "allowed: " in message


@pytest.mark.parametrize(
    ("driver", "installed", "says"),
    [
        (Driver(NEEDED_CUDA, 1), False, "MuJoCo Warp is not installed (pip install 'dexhand-env[gpu]')"),
        (Driver(), True, "no NVIDIA driver here"),
        (Driver((12, 4), 8), True, "the NVIDIA driver is too old: it supports CUDA 12.4, MuJoCo Warp needs 13.0"),
        (Driver((13, 1), 0, NO_DEVICE), True, "0 GPUs are visible"),
        (Driver((13, 1), 0, 802), True, "the NVIDIA driver does not start (CUDA error 802)"),
        (Driver((13, 1), 2), True, "2 GPUs are visible"),
    ],
)
def test_why_there_is_no_physics_on_a_gpu(driver: Driver, installed: bool, says: str) -> None:
    assert says in str(why_no_warp(driver, 2, installed))


def test_a_new_driver_with_enough_gpus_will_do() -> None:
    assert why_no_warp(Driver((14, 0), 1), 0, True) is None
    assert why_no_warp(Driver(NEEDED_CUDA, 3), 2, True) is None


def test_named_devices_are_taken_as_they_are() -> None:
    assert chosen_device("cpu", "auto") == ("cpu", None)
    assert chosen_device("auto", "mujoco") == ("cpu", None)


HIDDEN = """
from dexhand_env.errors import UserError
from dexhand_env.sim.backends import chosen_device
print(chosen_device("auto", "auto")[0])
for device, backend in (("cuda", "auto"), ("auto", "mujoco_warp"), ("cuda:0", "mujoco_warp")):
    try:
        print(chosen_device(device, backend))
    except UserError as error:
        print(error)
"""


def test_with_cuda_hidden_auto_is_the_cpu_and_a_gpu_is_refused() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", HIDDEN]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, *refusals = result.stdout.splitlines()
    assert first == "cpu"
    assert len(refusals) == 3
    assert all(line.startswith("--sim-device: cuda:0: ") and "; allowed: cpu" in line for line in refusals)


def test_auto_is_the_gpu_where_there_is_one() -> None:
    if why_no_warp(find_driver(), 0, warp_installed()) is not None:
        pytest.skip("no CUDA")
    assert chosen_device("auto", "auto") == ("cuda:0", None)
    sim = make_simulation(Scene(), load_physics("fast"), 2, "auto", "cuda:0", 1)
    assert type(sim).__name__ == "MujocoWarpSimulation"


def test_a_scene_that_warp_does_not_support_is_refused_with_its_reason() -> None:
    if not warp_installed():
        pytest.skip("no Warp")
    check_backend("mujoco_warp", "cpu")
    scene = Scene(objects=tuple(SceneObject(f"ball{i}", "sphere", (0.02,), 0.05) for i in range(6)))
    with pytest.raises(UserError, match=r"sim.backend: mujoco_warp does not support this scene: .*nv = 62.*allowed"):
        make_simulation(scene, load_physics("fast"), 1, "mujoco_warp", "cpu", 1)
