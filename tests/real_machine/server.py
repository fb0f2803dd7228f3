"""Serves one simulation of the Python that has Isaac Gym to tests that run in another.

<that Python> server.py <socket>
"""

from __future__ import annotations

import isaacgym  # isort: skip  (before torch)

import sys
import time
import traceback
from multiprocessing.connection import Client
from typing import Any, Dict

import torch
from isaacgym import gymapi, gymtorch

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.sim.isaac_gym.simulation import IsaacGymSimulation, memory_needed
from dexhand_env.sim.isaac_gym.worlds import HAND_ACTOR
from dexhand_env.sim.scene import Scene
from tests.real_machine.wire import packed, unpacked


class Served:
    """The simulation, and what only this process can look at."""

    def __init__(self) -> None:
        self.sim: Any = None

    def make(self, scene: Scene, physics: Dict[str, Any], num_envs: int, device: str) -> Any:
        """Make the one simulation of this process."""
        self.device = device
        self.scene, self.physics = scene, Physics.model_validate(physics)
        self.sim = IsaacGymSimulation(scene, self.physics, num_envs, device)
        return self.sim.num_envs, str(self.sim.device), self.sim.control_dt_s, self.sim.object_shapes

    def get(self, name: str) -> Any:
        """A property."""
        return getattr(self.sim, name)

    def call(self, name: str, arguments: Any) -> Any:
        """A method."""
        return getattr(self.sim, name)(*arguments)

    def memory(self) -> Any:
        """What is predicted, and bytes of the GPU that are in use."""
        used = 0
        if self.device != "cpu":
            free, total = torch.cuda.mem_get_info(torch.device(self.device))
            used = total - free
        return memory_needed(self.scene, self.physics, self.device), used

    def importer(self) -> Any:
        """What Isaac Gym has read of the hand, in its order."""
        gym, env = self.sim._gym, self.sim._worlds.envs[0]
        return {
            "dofs": list(gym.get_actor_dof_names(env, HAND_ACTOR)),
            "bodies": list(gym.get_actor_rigid_body_names(env, HAND_ACTOR)),
            "shapes": [each.count for each in gym.get_actor_rigid_body_shape_indices(env, HAND_ACTOR)],
        }

    def body_states(self) -> Any:
        """Poses of Isaac Gym's own bodies after the last step, (bodies, num_envs, 7), and their names."""
        gym, sim = self.sim._gym, self.sim._sim
        state = gymtorch.wrap_tensor(gym.acquire_rigid_body_state_tensor(sim))
        gym.refresh_rigid_body_state_tensor(sim)
        poses = state.view(self.sim.num_envs, -1, 13)[..., :7].clone()
        poses[..., :3] -= self.sim._origins
        names = self.importer()["bodies"]
        return names, poses.transpose(0, 1)[: len(names)]

    def speed(self, steps: int) -> float:
        """Control steps of all worlds per second."""
        begun = time.perf_counter()
        for _ in range(steps):
            self.sim.step()
        if self.device != "cpu":
            torch.cuda.synchronize()
        return steps * self.sim.num_envs / (time.perf_counter() - begun)

    def versions(self) -> Dict[str, str]:
        """Of what decides results here."""
        card = "" if self.device == "cpu" else torch.cuda.get_device_name(torch.device(self.device))
        return {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "isaacgym": str(getattr(isaacgym, "__version__", "")) + " " + str(gymapi.__file__),
            "card": card,
        }


def main(address: str) -> None:
    """Answer until the other end closes."""
    served = Served()
    with Client(address) as connection:
        while True:
            try:
                method, arguments = connection.recv()
            except EOFError:
                return
            try:
                device = getattr(served, "device", "cpu")
                answer = "value", packed(getattr(served, method)(*unpacked(arguments, device)))
            except UserError as error:
                answer = "mistake", error.args
            except Exception as error:  # noqa: BLE001  it is raised again at the other end
                answer = "error", (type(error).__name__, str(error), traceback.format_exc())
            connection.send(answer)


if __name__ == "__main__":
    main(sys.argv[1])
