"""A trained policy, loaded from a checkpoint and played without noise."""

from __future__ import annotations

import contextlib
import io
from typing import Any, Dict

import torch

from dexhand_env.env.interface import PolicyInterface, first_difference
from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import stored_interface
from dexhand_env.rl.rows import align, in_blocks


class Policy:
    """The mean action of a trained network; input normalisation is part of the network.

    On the CPU an action depends on its observation alone, to the bit: not on how many others there are.

    Args:
        state: what ``load_checkpoint`` gave.
        device: where it runs.
        where: names the checkpoint in errors.

    Raises:
        UserError: weights that do not fit the network stored beside them, or a damaged description of its interface.
    """

    def __init__(self, state: Dict[str, Any], device: torch.device, where: str = "checkpoint") -> None:
        # rl_games takes seconds to import, so only what plays a policy pays for it.
        from rl_games.algos_torch.model_builder import ModelBuilder

        self._where = where
        self._interface = stored_interface(state, where)
        self.task: str = state["task"]
        self.num_actions: int = state["num_actions"]
        self.observation_size: int = state["observation_size"]
        sizes = {
            "actions_num": self.num_actions,
            "input_shape": (self.observation_size,),
            "num_seqs": 1,
            "value_size": 1,
            "normalize_value": state["normalize_value"],
            "normalize_input": state["normalize_input"],
        }
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints as it builds
                self._model = ModelBuilder().load(state["network"]).build(sizes)
            self._model.load_state_dict(state["model"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(where, f"its weights do not fit its network ({type(error).__name__})") from error
        self._model.to(device).eval()
        if device.type == "cpu":
            align(self._model)

    @torch.no_grad()
    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions in [-1, 1], (n, num_actions), for observations (n, observation_size)."""
        seen = self._model.norm_obs(observations)
        means = self._means(seen) if seen.is_cuda else in_blocks(self._means, seen)
        return torch.clamp(means, -1.0, 1.0)

    def _means(self, seen: torch.Tensor) -> torch.Tensor:
        """What the network alone gives: rl_games' model would draw actions, and use up random numbers by that."""
        means: torch.Tensor = self._model.a2c_network({"obs": seen, "is_train": False})[0]
        return means

    def check(self, task: str, wanted: PolicyInterface) -> None:
        """Refuse to play in an environment that the policy was not trained for; what its critic saw does not matter.

        Raises:
            UserError: another task, or other observations or actions: the first difference. A checkpoint that does not
                know its own is refused by their numbers.
        """
        if self.task == task and self._interface is not None:
            difference = first_difference(self._interface.without_critic(), wanted.without_critic())
            if difference is not None:
                raise UserError(self._where, *difference)
        found = (self.task, self.observation_size, self.num_actions)
        needed = (task, wanted.observation_size, wanted.num_actions)
        if found != needed:
            said = "{} with {} observations and {} actions"
            raise UserError(self._where, f"was trained for {said.format(*found)}", said.format(*needed))
