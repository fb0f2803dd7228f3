"""What a watched environment gives and keeps: frames of its own states, at most as many as were asked for."""

from __future__ import annotations

import contextlib
import io
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import torch
import viser

from dexhand_env.config.physics import load_physics
from dexhand_env.config.registry import load_task
from dexhand_env.env.randomness import NumberedEpisodes, TrainingRandomness
from dexhand_env.env.vec_env import DexHandEnv
from dexhand_env.rl.training import run_training
from dexhand_env.tasks.registry import make_env, simulated_scene, task_class
from dexhand_env.viewer.drawing import Drawing
from dexhand_env.viewer.messages import Controls, Frame
from dexhand_env.viewer.poses import ScenePoses
from dexhand_env.viewer.tap import Tap

from ..contract.test_scripted_grasp import GRASPED, OPENED
from ..rl.runs import sha256, spec


def watched_env(tap: Tap, task: str = "BaseTask", num_envs: int = 4) -> DexHandEnv:
    config = load_task(task, {"sim": {"physics": "fast"}})
    randomness = TrainingRandomness(3, torch.device("cpu"))
    return make_env(config, load_physics("fast"), num_envs, randomness, watcher=tap)


def step(env: DexHandEnv, count: int = 1) -> None:
    for _ in range(count):
        env.step(torch.full((env.num_envs, env.num_actions), 0.3))


def received(connection: Connection) -> list[Frame]:
    frames = []
    while connection.poll():
        frames.append(connection.recv())
    return frames


@pytest.fixture
def pair() -> tuple[Connection, Tap]:
    browser, ours = Pipe()
    return browser, Tap(ours, listen_s=0.0)


def test_nothing_is_sent_unasked(pair: tuple[Connection, Tap]) -> None:
    browser, tap = pair
    step(watched_env(tap), 5)
    assert received(browser) == []


def test_as_many_frames_come_as_were_asked_for(pair: tuple[Connection, Tap]) -> None:
    browser, tap = pair
    env = watched_env(tap)
    browser.send(Controls(frames=3, worlds=(0, 2)))
    step(env, 8)
    frames = received(browser)
    assert [frame.steps for frame in frames] == [1, 2, 3]
    assert all(frame.joint_positions.shape == (2, 26) for frame in frames)


def test_a_request_is_not_lost_where_another_message_follows_it(pair: tuple[Connection, Tap]) -> None:
    browser, tap = pair
    env = watched_env(tap)
    browser.send(Controls(frames=1, worlds=(1,)))
    browser.send(Controls(worlds=(1,)))
    step(env, 2)
    assert len(received(browser)) == 1


@pytest.mark.parametrize("task", ["BaseTask", "DexGrasp"])
def test_a_frame_is_the_state_of_its_worlds(pair: tuple[Connection, Tap], task: str) -> None:
    browser, tap = pair
    env = watched_env(tap, task)
    step(env, 4)
    browser.send(Controls(frames=1, worlds=(3, 1)))
    step(env)
    (frame,) = received(browser)
    worlds = [3, 1]
    assert np.array_equal(frame.joint_positions, env.sim.joint_positions[worlds].numpy())
    assert np.array_equal(frame.objects[..., :3], env.sim.object_positions[worlds].numpy())
    assert (frame.goal_joints is None) == (task == "DexGrasp")
    assert (frame.targets is None) == (task == "BaseTask")
    assert frame.rewards.shape == (len(frame.terms), 2)
    poses = ScenePoses(task_class(task).scene(env.task.config), load_physics("fast")).of_frame(frame)
    assert np.allclose(poses.tips, env.hand.fingertip_positions[worlds].numpy(), atol=1e-5)


def test_forces_are_those_of_the_simulation() -> None:
    """A hand that is pressed onto the table."""
    browser, ours = Pipe()
    env = watched_env(Tap(ours, listen_s=0.0), num_envs=1)
    down = torch.zeros((1, env.num_actions))
    down[0, 2] = -1.0
    for _ in range(300):
        env.step(down)
        if float(env.hand.fingertip_forces.norm()) > 1.0:
            break
    browser.send(Controls(frames=1, worlds=(0,)))
    env.step(down)
    (frame,) = received(browser)
    scene = task_class("BaseTask").scene(env.task.config)
    forces = ScenePoses(scene, load_physics("fast")).of_frame(frame).forces
    expected = env.hand.fingertip_forces.numpy()
    assert float(np.linalg.norm(expected)) > 1.0
    assert np.allclose(forces, expected, atol=0.05 * float(np.abs(expected).max()))


def test_objects_are_drawn_and_felt_as_they_are_in_their_episode() -> None:
    """Objects of all shapes between thumb and fingers."""
    browser, ours = Pipe()
    drawn = {"object_shapes": ["cube", "sphere", "cylinder", "box"], "object_size_m": [0.05, 0.07]}
    start: Dict[str, Any] = {"hand_position_m": OPENED[:3].tolist(), "hand_rotation_rad": OPENED[3:6].tolist()}
    start |= {"hand_position_range_m": [0.0, 0.0, 0.0], "hand_rotation_range_rad": 0.0, "object_position_range_m": 0.0}
    start |= {"finger_positions_rad": OPENED[6:].tolist()}
    config: Any = load_task("DexGrasp", {"sim": {"physics": "fast"}, "start": start, "randomisation": drawn})
    randomness, tap = NumberedEpisodes(range(8), torch.device("cpu")), Tap(ours, listen_s=0.0)
    env = make_env(config, load_physics("fast"), 8, randomness, auto_reset=False, watcher=tap)
    browser.send(Controls(worlds=tuple(range(8))))
    for step_number in range(60):
        if step_number == 59:
            browser.send(Controls(frames=1, worlds=tuple(range(8))))
        closer = (GRASPED - env.hand.control_targets) / (torch.tensor(config.actions.velocity_limits) * 0.02)
        env.step(closer.clamp(-1.0, 1.0))
    (frame,) = received(browser)
    scene = simulated_scene(config)
    poses, expected = ScenePoses(scene, load_physics("fast")), env.hand.fingertip_forces.numpy()
    assert (np.linalg.norm(expected, axis=2).max(axis=1) > 1.0).all()
    apart = np.abs(poses.of_frame(frame).forces - expected).max(axis=(1, 2))
    # Without what warms it up the solver's five iterations may end elsewhere.
    assert (apart < 0.05).sum() >= 7
    (item,) = scene.objects
    with contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        drawing = Drawing(server.scene, scene, poses, 8)
        drawing.show(frame, forces=True, goals=True)
        nodes = [drawing._nodes[f"object/{item.geom_name(shape)}"] for shape in item.shapes]
        scales = np.stack([node.batched_scales for node in nodes])
        server.stop()
    visible = (scales > 1e-3).all(axis=2)
    assert np.array_equal(visible.argmax(axis=0), frame.object_shapes[:, 0])
    assert np.array_equal(visible.sum(axis=0), np.ones(8))
    drawn_m = np.array([0.05, 1.0, 1.0])[frame.object_shapes[:, 0]]  # the size of the mesh of each shape
    np.testing.assert_allclose(scales.max(axis=0) * drawn_m[:, None], frame.object_extents_m[:, 0], rtol=1e-5)


def held(env: DexHandEnv) -> threading.Thread:
    thread = threading.Thread(target=step, args=(env,), daemon=True)
    thread.start()
    return thread


def test_pause_holds_and_single_steps_pass(pair: tuple[Connection, Tap]) -> None:
    browser, tap = pair
    env = watched_env(tap)
    browser.send(Controls(paused=True))
    thread = held(env)
    thread.join(0.2)
    assert thread.is_alive()
    browser.send(Controls(paused=True, steps=1))
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("end", ["let go", "viewer ends"])
def test_nobody_stays_paused_for_ever(pair: tuple[Connection, Tap], end: str) -> None:
    browser, tap = pair
    browser.send(Controls(paused=True))
    thread = held(watched_env(tap))
    thread.join(0.2)
    assert thread.is_alive()
    if end == "let go":  # Ctrl-C
        tap.let_go()
    else:
        browser.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_tap_that_may_not_wait_ignores_pause(pair: tuple[Connection, Tap]) -> None:
    browser, ours = Pipe()
    env = watched_env(Tap(ours, may_wait=False, listen_s=0.0))
    browser.send(Controls(paused=True))
    step(env, 3)
    assert env.max_episode_steps > 3


def test_a_watched_training_gives_the_same_weights(tmp_path: Path) -> None:
    browser, ours = Pipe()
    watching = Watching(browser)
    run_training(spec(), tmp_path / "watched", watcher=Tap(ours, listen_s=0.0))
    browser.close()
    watching.join(10)
    run_training(spec(), tmp_path / "alone")
    checkpoint = Path("nn") / "checkpoint_6.pth"
    assert sha256(tmp_path / "watched" / checkpoint) == sha256(tmp_path / "alone" / checkpoint)
    assert watching.frames > 10
    assert {"iteration", "success_rate"} & set(watching.rows[-1])


class Watching(threading.Thread):
    """Asks for a frame whenever it has got one, of other worlds each time."""

    def __init__(self, browser: Connection) -> None:
        super().__init__(daemon=True)
        self.frames = 0
        self.rows: list[dict[str, Any]] = []
        self._browser = browser
        browser.send(Controls(frames=1, worlds=(0,)))
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.rows += self._browser.recv().rows
                self.frames += 1
                self._browser.send(Controls(frames=1, worlds=(self.frames % 8,)))
        except (EOFError, OSError):
            return
