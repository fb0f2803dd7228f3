"""The same scene in MJX-JAX, a peer of MuJoCo Warp: ``python -m benchmarks.mjx hand+cube default 8192`` prints JSON.

MJX 3.17 lacks the integrator ``discrete``, so it steps with ``implicitfast``, and contact sensors, which are left out.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.cube_task import SCENES
from dexhand_env.config.physics import Physics, load_physics
from dexhand_env.sim.scene import Scene, scene_mjcf

STEPS, ROUNDS = 10, 3


def _rate(scene: Scene, physics: Physics, worlds: int) -> tuple[float, float]:
    """Control steps of all worlds a second, and seconds of compilation."""
    import jax
    import mujoco
    from jax import numpy as jnp
    from mujoco import mjx

    spec = mujoco.MjSpec.from_string(scene_mjcf(scene, physics))
    for sensor in list(spec.sensors):
        spec.delete(sensor)
    model = spec.compile()
    mjx_model = mjx.put_model(model)
    single = mjx.make_data(mjx_model)
    data = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (worlds, *jnp.shape(leaf))), single)

    def control_step(data, targets):
        data = data.replace(ctrl=targets)
        return jax.lax.fori_loop(0, physics.substeps, lambda _, state: mjx.step(mjx_model, state), data)

    @jax.jit
    def rollout(data, targets):
        return jax.lax.scan(lambda state, each: (jax.vmap(control_step)(state, each), None), data, targets)[0]

    # Small random targets: each joint within 0.1 of zero.
    targets = 0.1 * (2.0 * jax.random.uniform(jax.random.key(0), (STEPS, worlds, model.nu)) - 1.0)
    begun = time.perf_counter()
    data = jax.block_until_ready(rollout(data, targets))
    compiled_s, seconds = time.perf_counter() - begun, []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        data = jax.block_until_ready(rollout(data, targets))
        seconds.append(time.perf_counter() - begun)
    return STEPS * worlds / min(seconds), compiled_s


def main(scene: str, preset: str, worlds: int) -> None:
    """Print the rates with both friction cones."""
    import jax

    physics = load_physics(preset).model_copy(update={"integrator": "implicitfast"})
    rows = []
    for cone in ("elliptic", "pyramidal"):
        rate, compiled_s = _rate(SCENES[scene], physics.model_copy(update={"cone": cone}), worlds)
        rows.append({"cone": cone, "worlds": worlds, "raw": rate, "compiled_s": compiled_s})
    print(json.dumps({"device": str(jax.devices()[0]), "jax": jax.__version__, "rates": rows}))


if __name__ == "__main__":
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
