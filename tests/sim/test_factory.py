from __future__ import annotations

import pytest

from dexhand_env.config.physics import load_physics
from dexhand_env.errors import UserError
from dexhand_env.sim.factory import make_simulation
from dexhand_env.sim.scene import Scene


@pytest.mark.parametrize("backend", ["auto", "mujoco"])
def test_the_cpu_backend_is_there(backend: str) -> None:
    sim = make_simulation(Scene(), load_physics("fast"), 2, backend, "cpu", 1)
    assert (sim.num_envs, sim.device.type, sim.control_dt_s) == (2, "cpu", 0.02)


@pytest.mark.parametrize(
    ("backend", "device", "where"),
    [("bullet", "cpu", "sim.backend"), ("mujoco", "cuda:0", "--sim-device"), ("auto", "cuda:7", "--sim-device")],
)
def test_what_cannot_run_here_is_refused_in_one_line(backend: str, device: str, where: str) -> None:
    with pytest.raises(UserError, match=where) as caught:
        make_simulation(Scene(), load_physics("default"), 10**9, backend, device, 1)  # refused before memory is taken
    message = str(caught.value)
    assert "\n" not in message
    assert "allowed: " in message
