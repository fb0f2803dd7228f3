"""How much memory a training run takes, by the number of environments; computed before any of it is taken.

Sources of the terms: rl_games 1.6.5 (a2c_common.py, experience.py, datasets.py, central_value.py) for what is kept of a
rollout, its networks for what a pass keeps, the backend for its worlds. Everything is float32. What no source says was
measured (Linux, torch 2.13 for the CPU) and is named below; tests/rl/test_memory.py holds the sum against real runs.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, Dict, List, Mapping, Tuple

from dexhand_env.sim.contract import SimulationMemory

FLOAT = 4
# The kinds of memory that can run out; "memory of cuda:<index>" is another.
RAM, ADDRESS_SPACE = "memory", "address space (ulimit -v)"

# Measured: what a run of a few worlds and a tiny network takes once everything is imported.
PROCESS_BYTES = 62_000_000
# Measured: address space that is reserved and never used, 205 to 220 MB, and 148 to 160 MB for each further thread.
RESERVED_BYTES, RESERVED_THREAD_BYTES = 230_000_000, 160_000_000
# Libraries and kernels that a GPU loads when it is first used, beyond the context: measured together with the physics'
# own fixed part on an H200, 0.5 to 0.6 GB.
CUDA_BYTES = 500_000_000
# Measured, 1.0 to 1.2: allocators keep part of what was freed, so what is taken and given back again counts for more.
RETAINED = 1.25
# What is asked for beyond the sum of the terms, which real runs exceeded by up to 6 %.
RESERVE = 1.1
# A world's state in the hand and a task (control targets, actions, goals, counters), and what a step computes from it.
STATE_FLOATS, STEP_FLOATS = 100, 200


def memory_of(device: str) -> str:
    """The kind of memory that tensors on a device take."""
    return RAM if device == "cpu" else f"memory of {device}"


@dataclasses.dataclass(frozen=True)
class MemoryNeeds:
    """What decides how much memory a run takes.

    Attributes:
        physics: what the backend takes.
        observations, critic_observations, actions: number of values of each.
        params: rl_games' ``params``; minibatches shrink to the samples.
        sim_device, rl_device: ``cpu`` or ``cuda:<index>``.
        threads: of physics or of the learner, whichever are more.
    """

    physics: SimulationMemory
    observations: int
    critic_observations: int
    actions: int
    params: Mapping[str, Any]
    sim_device: str
    rl_device: str
    threads: int

    def total(self, num_envs: int) -> Dict[str, int]:
        """Bytes that a process takes to train in ``num_envs`` worlds, beyond its imports, by kind of memory."""
        ram, sim, learner = RAM, memory_of(self.sim_device), memory_of(self.rl_device)
        needed: Counter[str] = Counter({kind: CUDA_BYTES for kind in (sim, learner) if kind != ram})
        needed[ram] += PROCESS_BYTES
        needed[sim] += self.physics.fixed_bytes + num_envs * (self.physics.world_bytes + self._environment_bytes())
        needed[learner] += 4 * self._weight_bytes() + num_envs * self._rollout_bytes()  # gradients, Adam's two moments
        # An iteration learns from the rollout, then a checkpoint may be written, from RAM.
        learning, saving = self._learning_bytes(num_envs), self._saving_bytes(num_envs)
        if learner == ram:
            needed[ram] += max(learning, saving)
        else:
            needed[learner] += learning
            needed[ram] += saving
        needed = Counter({kind: int(RESERVE * amount) for kind, amount in needed.items()})
        needed[ADDRESS_SPACE] = needed[ram] + RESERVED_BYTES + (self.threads - 1) * RESERVED_THREAD_BYTES
        return dict(needed)

    @property
    def _critic(self) -> Any:
        """The configuration of a critic of its own, None where there is none."""
        return self.params["config"].get("central_value_config")

    @property
    def _states(self) -> int:
        """Number of values that a critic of its own sees."""
        return self.critic_observations or self.observations

    def _environment_bytes(self) -> int:
        """A world outside the physics: its state, and the observations of two steps and the parts they are made of."""
        return FLOAT * (STATE_FLOATS + STEP_FLOATS + 3 * (self.observations + self.critic_observations))

    def _weight_bytes(self) -> int:
        """The weights of all networks."""
        network = self.params["network"]
        heads = 1 + self.actions * (1 if network["space"]["continuous"]["fixed_sigma"] else 2)
        weights = network_weights(self.observations, heads, network)
        if self._critic is not None:
            weights += network_weights(self._states, 1, self._critic["network"])
        return FLOAT * weights

    def _sample_bytes(self) -> int:
        """Observations; action, mean, standard deviation; reward, value, log probability; done."""
        states = self._states if self._critic is not None else 0
        return FLOAT * (self.observations + states + 3 * self.actions + 3) + 1

    def _rollout_bytes(self) -> int:
        """A world's samples, which are there all the time."""
        kept = self._sample_bytes()
        if self._critic is not None:  # its dataset of the iteration before is let go only when the next one is there
            kept += FLOAT * (self._states + self.actions + 3)
        last = FLOAT * (self._states if self._critic is not None else self.observations)  # of an episode that times out
        return int(self.params["config"]["horizon_length"] * kept + last)

    def _learning_bytes(self, num_envs: int) -> int:
        """The samples' copy in the order of the minibatches, with returns and advantages; the largest pass."""
        config, network = self.params["config"], self.params["network"]
        samples = config["horizon_length"] * num_envs
        heads = 12 * (self.actions + 1)
        passes = [min(config["minibatch_size"], samples) * pass_floats(self.observations, heads, network)]
        if self._critic is not None:
            minibatch = min(self._critic["minibatch_size"], samples)
            passes.append(minibatch * pass_floats(self._states, 12, self._critic["network"]))
        # Choosing actions comes before the copy is made; what it took is in part retained.
        passes.append(num_envs * 3 * (self.observations + max(network["mlp"]["units"])))
        return int(samples * (self._sample_bytes() + 8 * FLOAT) + RETAINED * FLOAT * max(passes))

    def _saving_bytes(self, num_envs: int) -> int:
        """The checkpoint's copy of the worlds' state; weights, Adam's moments and that state in a buffer that grows."""
        state = num_envs * (self.physics.state_bytes + FLOAT * STATE_FLOATS)
        return state + 2 * (state + 3 * self._weight_bytes())


def hidden_layers(inputs: int, network: Mapping[str, Any]) -> List[Tuple[int, int]]:
    """(inputs, outputs) of every hidden layer that rl_games' ``A2CBuilder`` makes."""
    units = network["mlp"]["units"]
    repeated = inputs if network["mlp"].get("d2rl") else 0
    layers = [(before + repeated, after) for before, after in zip(units, units[1:])]
    return [(inputs, units[0]), *layers] * (2 if network.get("separate") else 1)


def network_weights(inputs: int, heads: int, network: Mapping[str, Any]) -> int:
    """Number of weights of a network with ``heads`` outputs."""
    hidden = sum((before + 1) * after for before, after in hidden_layers(inputs, network))
    return hidden + (network["mlp"]["units"][-1] + 1) * heads


def pass_floats(inputs: int, heads: int, network: Mapping[str, Any]) -> int:
    """Floats that a sample takes in a forward and backward pass.

    Kept for the backward pass: the normalised inputs, each layer's output before and after its activation (and its
    normalisation), with D2RL the joined inputs, and ``heads`` floats of distribution and losses. The backward pass adds
    the gradients of two layers.
    """
    layers = hidden_layers(inputs, network)
    kept = 3 if network.get("normalization") else 2
    joined = sum(before for before, _ in layers) if network["mlp"].get("d2rl") else 0
    return 2 * inputs + sum(kept * after for _, after in layers) + joined + heads + 2 * max(network["mlp"]["units"])
