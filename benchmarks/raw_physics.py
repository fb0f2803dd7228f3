"""MuJoCo and MuJoCo Warp alone, replaying joint targets: what the environment's speed is measured against."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import torch

from dexhand_env.config.physics import Physics
from dexhand_env.sim.mujoco_model import compile_scene
from dexhand_env.sim.scene import Scene

FIELDS = ("time", "qpos", "qvel", "ctrl", "qacc_warmstart")
State = dict[str, torch.Tensor]


def raw_physics(
    scene: Scene, physics: Physics, worlds: int, device: str, threads: int
) -> tuple[Callable[[State], None], Callable[[torch.Tensor], None]]:
    """Two functions: one puts all worlds into a state of a simulation, one takes a control step to joint targets."""
    model = compile_scene(scene, physics)
    if device == "cpu":
        return _on_cpu(model, physics.substeps, worlds, threads)
    return _on_gpu(model, physics.substeps, worlds, device)


def _on_cpu(
    model: mujoco.MjModel, substeps: int, worlds: int, threads: int
) -> tuple[Callable[[State], None], Callable[[torch.Tensor], None]]:
    from mujoco import batch

    raw = batch.Batch(model, worlds, nthread=threads)
    fields = {name: raw.bind(name) for name in FIELDS}

    def restore(state: State) -> None:
        for name, values in fields.items():
            values[...] = state[name].numpy()

    def step(targets: torch.Tensor) -> None:
        fields["ctrl"][...] = targets.numpy()
        raw.step(nstep=substeps)

    return restore, step


def _on_gpu(
    model: mujoco.MjModel, substeps: int, worlds: int, device: str
) -> tuple[Callable[[State], None], Callable[[torch.Tensor], None]]:
    import mujoco_warp
    import warp

    from dexhand_env.sim.mujoco_warp import CONSTRAINTS, CONTACTS

    with warp.ScopedDevice(device):
        warp_model = mujoco_warp.put_model(model)
        warp_model.opt.warn_overflow = 0
        data = mujoco_warp.make_data(model, worlds, nconmax=CONTACTS, njmax=CONSTRAINTS)
        mujoco_warp.step(warp_model, data)
        with warp.ScopedCapture() as capture:
            for _ in range(substeps):
                mujoco_warp.step(warp_model, data)
        stream = warp.stream_from_torch(torch.cuda.current_stream(device))
    fields = {name: warp.to_torch(getattr(data, name)) for name in FIELDS}
    kept = (warp_model, data)  # the graph reads and writes their arrays

    def restore(state: State) -> None:
        for name, values in fields.items():
            values.copy_(state[name])

    def step(targets: torch.Tensor) -> None:
        assert kept
        fields["ctrl"].copy_(targets)
        warp.capture_launch(capture.graph, stream)

    return restore, step
