from __future__ import annotations

import pytest

from dexhand_env.config.registry import package_tasks
from dexhand_env.env.task import Task
from dexhand_env.errors import UserError
from dexhand_env.tasks.registry import task_class
from tests.env.environments import base_task, training_env


def test_every_configured_task_has_its_class() -> None:
    for name in package_tasks():
        assert issubclass(task_class(name), Task)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UserError, match=r"task: 'BasTask' is not a task; allowed: BaseTask"):
        task_class("BasTask")


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_configuration_decides_the_scene(side: str) -> None:
    env = training_env(num_envs=1, config=base_task(hand={"side": side, "spawn_height_m": 0.8}))
    assert env.task.hand_positions.tolist() == [pytest.approx([0.0, 0.0, 0.8])]
    thumb = float(env.task.fingertip_positions[0, 0, 1])
    assert (thumb > 0.0) == (side == "right")


def test_a_backend_of_another_version_is_refused() -> None:
    with pytest.raises(UserError, match=r"sim\.backend: found 'newton'; allowed: auto, mujoco"):
        training_env(config=base_task(sim={"backend": "newton", "physics": "fast"}))
