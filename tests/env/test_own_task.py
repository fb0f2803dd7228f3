"""A user's own task, as the guide's example has it: the hand rewarded for its height."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict

import pytest
import torch

from dexhand_env.config.registry import find_task, load_task
from dexhand_env.config.task import TaskConfig
from dexhand_env.env.task import Task

from .scripted_task import build


class HeightTask(Task):
    """The guide's reward, word for word."""

    def compute_task_rewards(self) -> Dict[str, torch.Tensor]:
        # Example: reward for keeping hand at a certain height
        hand_height = self.hand_positions[:, 2]  # Z coordinate
        height_reward = torch.exp(-torch.abs(hand_height - 0.5))

        return {"height": height_reward}


@pytest.fixture
def config(tmp_path: Path) -> TaskConfig:
    path = tmp_path / "HeightTask.yaml"
    path.write_text(
        "task: HeightTask\nrewards: {height: 2.0}\nobservations: {policy: [hand_position]}\n", encoding="utf-8"
    )
    entry = replace(find_task("BaseTask"), name="HeightTask", config_class=TaskConfig, config_file=path)
    return load_task(entry)


def test_the_guides_example_runs(config: TaskConfig) -> None:
    env = build(HeightTask, config, num_envs=3)
    assert env.observe()["policy"].tolist() == [[0.0, 0.0, 0.5]] * 3
    first = env.step(torch.zeros(3, 18))
    torch.testing.assert_close(first.rewards, torch.full((3,), 2.0), rtol=0.0, atol=0.02)
    up = torch.zeros(3, 18)
    up[1, 2], up[2, 2] = 1.0, -1.0
    for _ in range(20):
        step = env.step(up)
    heights = step.observations["policy"][:, 2]
    assert heights[1] > 0.55
    assert heights[2] < 0.45
    torch.testing.assert_close(step.rewards, 2.0 * torch.exp(-(heights - 0.5).abs()))
    assert step.terms.raw.keys() == {"height"}


def test_it_never_succeeds_or_fails_and_ends_by_time(config: TaskConfig) -> None:
    env = build(HeightTask, config, num_envs=2)
    for _ in range(config.episode_length_steps):
        step = env.step(torch.zeros(2, 18))
    assert [env.outcome_names[index] for index in step.outcomes] == ["timeout", "timeout"]
    assert env.outcome_names == ("running", "success", "timeout", "nan")
