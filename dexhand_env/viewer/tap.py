"""What the viewer has in the process that steps: copies of states, and the waiting that somebody asks for."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

import torch

from dexhand_env.env.vec_env import SUCCESS, DexHandEnv, Step, Watcher
from dexhand_env.viewer.messages import FRAME_S, Controls, Frame

LISTEN_S = 0.005  # a look at the connection is a system call
NAP_S = 0.005
OBJECT_PARAMETERS = ("object_shapes", "object_extents_m", "object_masses_kg", "object_frictions")


class HostCopy:
    """Tensors on their way to the CPU. A GPU is not waited for: its copies are fetched in a later step.

    Args:
        tensors: by name; copied as they are now.
    """

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._copies = {
            name: values.to("cpu", non_blocking=True) if values.is_cuda else values.clone()
            for name, values in tensors.items()
        }
        self._event: Any = None
        if any(values.is_cuda for values in tensors.values()):
            self._event = torch.cuda.Event()
            self._event.record()

    @property
    def is_ready(self) -> bool:
        """Whether all copies have arrived."""
        return self._event is None or bool(self._event.query())

    def arrays(self) -> dict[str, Any]:
        """The copies as numpy arrays."""
        return {name: values.numpy() for name, values in self._copies.items()}


class Tap(Watcher):
    """Answers the drawing process between two control steps, never more than it asks and never waiting for it.

    It reads only states that physics has anyway, so that a watched training gives the weights of one that is not; poses
    and contact forces are the drawing process's own work.

    Args:
        connection: to the drawing process.
        may_wait: whether pause and speed hold up the steps; not where other processes would wait too.
        speed: simulated over real time until the browser says otherwise; None is as fast as it goes.
        listen_s: time between looks at the connection.
    """

    def __init__(
        self,
        connection: Connection,
        may_wait: bool = True,
        speed: float | None = None,
        listen_s: float = LISTEN_S,
    ) -> None:
        self.note = ""
        self.is_open = True
        self.controls = Controls(speed=speed)
        self._connection = connection
        self._may_wait = may_wait
        self._listen_s = listen_s
        self._wanted = 0
        self._shown_at = 0.0
        self._pending: HostCopy | None = None
        self._rows: list[dict[str, float]] = []
        self._steps = 0
        self._single_steps = 0
        self._listen_at = 0.0
        self._due_at = 0.0
        self._episodes: torch.Tensor | None = None
        self._ids: tuple[tuple[int, ...], torch.Tensor] = ((), torch.zeros(0, dtype=torch.int64))

    def after_iteration(self, row: dict[str, float]) -> None:
        if self.is_open:
            self._rows.append(dict(row))

    def let_go(self) -> None:
        self.is_open = False

    def after_step(self, env: DexHandEnv, step: Step) -> None:
        self._steps += 1
        ended = torch.stack((step.dones.sum(), (step.outcomes == SUCCESS).sum()))
        self._episodes = ended if self._episodes is None else self._episodes + ended
        if not self.is_open:
            return
        self._answer(env, step)
        if self._may_wait:
            self._wait(env, step)

    def _wait(self, env: DexHandEnv, step: Step) -> None:
        """Return when the next step is due."""
        while self.is_open:
            if self.controls.paused:
                if self.controls.steps > self._single_steps:
                    self._single_steps += 1
                    return
            else:
                self._single_steps = self.controls.steps
                if self.controls.speed is None:
                    return
                rest = self._due_at - time.monotonic()
                if rest <= 0.0:
                    period = env.sim.control_dt_s / self.controls.speed
                    # After a pause or a slow step no steps are made up for.
                    self._due_at += period if rest > -period else period - rest
                    return
            time.sleep(NAP_S)
            if time.monotonic() >= self._shown_at + FRAME_S:  # the same state again, for worlds newly chosen
                self._answer(env, step)

    def _answer(self, env: DexHandEnv, step: Step) -> None:
        """Take in what the browser says; copy or send a frame where one is wanted."""
        try:
            if time.monotonic() >= self._listen_at:
                self._listen_at = time.monotonic() + self._listen_s
                while self._connection.poll():
                    self.controls = self._connection.recv()
                    self._wanted += self.controls.frames
            if self._wanted and self._pending is None:
                self._pending = HostCopy(self._state(env, step))
            if self._pending is not None and self._pending.is_ready:
                self._send(step, self._pending.arrays())
        except (EOFError, OSError):
            self.is_open = False
            print("the viewer has ended; going on without it", flush=True)

    def _send(self, step: Step, arrays: dict[str, Any]) -> None:
        finished, successes = arrays.pop("episodes").tolist()
        arrays.setdefault("goal_joints", None)
        arrays.setdefault("targets", None)
        frame = Frame(
            **arrays,
            terms=tuple(step.terms.weighted),
            steps=self._steps,
            seconds=time.monotonic(),
            finished=finished,
            successes=successes,
            rows=tuple(self._rows),
            note=self.note,
        )
        self._connection.send(frame)
        self._pending = None
        self._wanted -= 1
        self._shown_at = frame.seconds
        self._rows.clear()

    def _state(self, env: DexHandEnv, step: Step) -> dict[str, torch.Tensor]:
        """What a frame shows, of the worlds that are wanted."""
        sim, task, worlds = env.sim, env.task, self._worlds(env)
        assert self._episodes is not None
        state = {
            "joint_positions": sim.joint_positions[worlds],
            "joint_velocities": sim.joint_velocities[worlds],
            "joint_targets": sim.joint_targets[worlds],
            "objects": torch.cat((sim.object_positions, sim.object_quaternions), dim=-1)[worlds],
            "object_velocities": sim.object_velocities[worlds],
            "rewards": torch.stack(tuple(step.terms.weighted.values()))[:, worlds],
            "episodes": self._episodes,
        }
        for name in OBJECT_PARAMETERS:
            state[name] = getattr(sim.parameters, name)[worlds]
        goal, target = task.goal_controls().get("controls"), task.target_positions()
        if goal is not None:
            state["goal_joints"] = env.hand.controls.to_joints(goal[worlds])
        if target is not None:
            state["targets"] = target[worlds]
        return state

    def _worlds(self, env: DexHandEnv) -> torch.Tensor:
        if self._ids[0] != self.controls.worlds or self._ids[1].device != env.device:
            self._ids = (self.controls.worlds, torch.tensor(self.controls.worlds, device=env.device))
        return self._ids[1]
