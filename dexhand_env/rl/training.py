"""One training run, from a complete specification to a folder of checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import random
import signal
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

import numpy as np
import torch

from dexhand_env.config.imports import imported_files
from dexhand_env.config.physics import Physics
from dexhand_env.config.registrations import PACKAGE, loaded_with
from dexhand_env.config.registry import data_files, registration
from dexhand_env.env.interface import PolicyInterface, first_difference
from dexhand_env.env.randomness import TrainingRandomness
from dexhand_env.env.vec_env import Watcher
from dexhand_env.errors import UserError
from dexhand_env.files import needing_space
from dexhand_env.rl.agent import DexHandAgent
from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint, stored_interface
from dexhand_env.rl.curriculum import CurriculumProgress
from dexhand_env.rl.distributed import ALONE, Processes
from dexhand_env.rl.events import write_events_at_once
from dexhand_env.rl.history import History
from dexhand_env.rl.run_folder import HISTORY, run_lock, set_aside
from dexhand_env.rl.seeding import make_cublas_deterministic, process_seed
from dexhand_env.tasks.registry import make_env, policy_interface


@dataclasses.dataclass(frozen=True)
class TrainingSpec:
    """What decides a training run.

    Attributes:
        task: the task's configuration, that of the last level where it has a curriculum.
        physics: time step, substeps, solver.
        params: rl_games' ``params``, complete and checked.
        num_envs: number of worlds, of each process where there are several.
        seed: of weights, exploration and episodes; each process but the first explores and plays by one of its own
            (see :func:`dexhand_env.rl.seeding.process_seed`).
        sim_device, rl_device: ``cpu`` or ``cuda:<index>``.
        threads: CPU threads of physics, which change nothing but the speed.
        learner_threads: CPU threads of the learner. Weights depend on them in their last bits, since sums are split.
        deterministic: use deterministic algorithms only.
    """

    task: Any
    physics: Physics
    params: Dict[str, Any]
    num_envs: int
    seed: int
    sim_device: str = "cpu"
    rl_device: str = "cpu"
    threads: int = 1
    learner_threads: int = 1
    deterministic: bool = False

    @property
    def returns_digest(self) -> str:
        """A digest of what decides an episode's return: the task's configuration, its code, and physics."""
        task = {key: value for key, value in self.task.record().items() if key != "sim"}
        digest = hashlib.sha256(json.dumps([task, self.physics.record()], sort_keys=True).encode())
        entry = registration(self.task.task)
        imported = imported_files([entry.source], PACKAGE.rglob("*.py"))
        own = {file for file in (*imported, *loaded_with(entry.module)) if PACKAGE not in file.parents}
        for file in (entry.source, *sorted(own), *data_files(entry.config_class, entry.source)):
            digest.update(file.read_bytes())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a run ended: iterations and frames done in total, seconds spent in them, and whether it was interrupted."""

    iterations: int
    frames: int
    seconds: float
    cpu_seconds: float
    interrupted: bool


def seed_everything(seed: int, threads: int, deterministic: bool) -> None:
    """Seed every generator that training may use, before the environment or the network is made."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    if deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False


@contextlib.contextmanager
def interruptible(on_signal: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C, SIGTERM or SIGHUP has come; the iteration is finished first."""
    received = []
    previous = {}

    def note(*_: Any) -> None:
        received.append(True)
        on_signal()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        ignored = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN  # nohup
        if not ignored:
            previous[number] = signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def make_agent(
    spec: TrainingSpec, folder: Path, processes: Processes = ALONE, watcher: Optional[Watcher] = None
) -> DexHandAgent:
    """The agent and its environment, seeded; one of several, if there are several processes."""
    device, seed = torch.device(spec.rl_device), process_seed(spec.seed, processes.rank)
    if spec.deterministic and "cuda" in spec.rl_device + spec.sim_device:
        make_cublas_deterministic()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # NCCL and PyTorch's generators go by the current device
    seed_everything(seed, spec.learner_threads, spec.deterministic)
    randomness = TrainingRandomness(seed, torch.device(spec.sim_device))
    curriculum = (
        None if spec.task.curriculum is None else CurriculumProgress(spec.task, spec.params["config"]["horizon_length"])
    )
    config = spec.task if curriculum is None else curriculum.config
    env = make_env(config, spec.physics, spec.num_envs, randomness, spec.sim_device, spec.threads, watcher=watcher)
    return DexHandAgent(
        spec.params, env, spec.task.task, spec.seed, folder, device, processes, curriculum, spec.returns_digest
    )


def check_resumable(state: Dict[str, Any], spec: TrainingSpec, where: str, processes: int = 1) -> None:
    """Refuse a checkpoint of another task, network, number of worlds or of processes, before training begins.

    Raises:
        UserError: naming the first difference.
    """
    params = spec.params
    interface = policy_interface(spec.task, spec.physics)
    _check_interface(state, spec, interface, where)
    wanted = {
        "task": spec.task.task,
        "observation_size": interface.observation_size,
        "num_actions": interface.num_actions,
        "network": {key: params[key] for key in ("algo", "model", "network")},
        "normalize_input": params["config"]["normalize_input"],
        "normalize_value": params["config"]["normalize_value"],
    }
    for key, value in wanted.items():
        if state[key] != value:
            found, allowed = (
                ("another network", "the network of the training configuration")
                if key == "network"
                else (f"{key} {state[key]}", f"{key} {value}")
            )
            raise UserError(where, found, allowed)
    critic = params["config"].get("central_value_config")
    has_critic = critic is not None
    if ("critic" in state) != has_critic:
        found, allowed = ("without", "with") if has_critic else ("with", "without")
        raise UserError(where, f"was trained {found} a critic of its own", f"a checkpoint {allowed} one")
    if has_critic and state.get("critic_network", critic["network"]) != critic["network"]:
        raise UserError(where, "another network of the critic", "the network of the training configuration's critic")
    has_curriculum = spec.task.curriculum is not None
    if ("curriculum" in state) != has_curriculum:
        found, allowed = ("without", "with") if has_curriculum else ("with", "without")
        raise UserError(where, f"was trained {found} a curriculum", f"a checkpoint {allowed} one")
    began_with, rate = state.get("first_learning_rate"), params["config"]["learning_rate"]
    if began_with not in (None, rate) and params["config"]["lr_schedule"] == "adaptive":
        found = f"{rate}, but lr_schedule adaptive goes on from the checkpoint's {state['learning_rate']:.3g}"
        raise UserError(
            "params.config.learning_rate", found, f"{began_with}, which it began with, or lr_schedule constant"
        )
    worlds = len(state["env_state"].get("lengths", ()))
    if worlds != spec.num_envs:
        raise UserError(where, f"was written with --num-envs {worlds}", f"--num-envs {worlds} to go on from it")
    wrote = 1 + len(state.get("other_processes", ()))
    if wrote != processes:
        found = f"was written by {wrote} process{'es' * (wrote > 1)}, and this is {processes}"
        raise UserError(where, found, f"torchrun --nproc_per_node={wrote} to go on from it")


def _check_interface(state: Dict[str, Any], spec: TrainingSpec, wanted: PolicyInterface, where: str) -> None:
    """Refuse observations or actions that mean something else, where the checkpoint says what its own mean."""
    found = stored_interface(state, where)
    if found is None or state["task"] != spec.task.task:
        return
    if "critic" not in state or spec.params["config"].get("central_value_config") is None:
        found, wanted = found.without_critic(), wanted.without_critic()
    difference = first_difference(found, wanted)
    if difference is not None:
        raise UserError(where, *difference)


def run_training(
    spec: TrainingSpec,
    folder: Path,
    resume_from: Optional[Path] = None,
    on_iteration: Callable[[Dict[str, float], DexHandAgent], None] = lambda row, agent: None,
    processes: Processes = ALONE,
    watcher: Optional[Watcher] = None,
    on_start: Callable[[], None] = lambda: None,
    on_save: Callable[[], None] = lambda: None,
    changed: bool = False,
) -> TrainingResult:
    """Train in ``folder`` until ``max_epochs`` iterations are done in total.

    Nothing is written before the folder is locked and the checkpoint restored; nothing that an earlier training left
    is changed before the first checkpoint is written.

    Args:
        spec: what to train.
        folder: the run folder; gets ``nn/``, ``summaries/`` and ``history.csv``.
        resume_from: a checkpoint to go on from, exactly as if there had been no break (CPU).
        on_iteration: called after each iteration with its row of the history, before its checkpoint is written.
        processes: those that train together; each calls this function, and the first one writes.
        watcher: is shown every step and every iteration of this process, and changes neither.
        on_start: called when training begins, the first time that anything may be written.
        on_save: called before each checkpoint is written.
        changed: whether settings are not those that ``resume_from`` was trained with.

    Raises:
        UserError: a checkpoint that does not fit, another program that trains in the folder, or a full disk.
        TrainingDiverged: see :mod:`dexhand_env.rl.divergence`.
        ProcessLost: another of the processes has ended or hangs.
    """
    where = f"checkpoint {resume_from}"
    with contextlib.ExitStack() as lock, needing_space(folder):

        def prepare() -> DexHandAgent:
            state = load_checkpoint(resume_from, TRAINING_KEYS) if resume_from else None
            if state is not None:
                check_resumable(state, spec, where, processes.size)
            if processes.is_first:
                lock.enter_context(run_lock(folder))
            agent = make_agent(spec, folder, processes, watcher)
            if state is not None:
                _restore(agent, state, where)
            return agent

        agent = processes.agree(prepare)
        processes.agree(lambda: _open(agent, folder, on_start))
        in_a_run = resume_from is not None and resume_from.resolve().parent.name == "nn"
        earlier = resume_from.resolve().parent.with_name(HISTORY) if resume_from is not None and in_a_run else None

        history = History(folder / HISTORY, agent.epoch_num, earlier)

        def before_save(is_first: bool) -> None:
            if processes.is_first:
                if is_first:
                    set_aside(folder, begun_at, agent.same_returns, changed)
                on_save()
                history.write()

        begun_at = agent.epoch_num
        return _run(agent, history, on_iteration, before_save, processes, watcher or Watcher())


def _open(agent: DexHandAgent, folder: Path, on_start: Callable[[], None]) -> None:
    try:
        agent.open_folder()
        on_start()
    except (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        where = str(error.filename or folder)
        raise UserError(where, f"is in the way ({error.strerror})", "a run folder as train.py makes it") from error


def _restore(agent: DexHandAgent, state: Dict[str, Any], where: str) -> None:
    try:
        agent.set_full_state_weights(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(where, f"does not fit: {type(error).__name__} {reason}", "an undamaged checkpoint") from error


def _run(
    agent: DexHandAgent,
    history: History,
    on_iteration: Callable[[Dict[str, float], DexHandAgent], None],
    before_save: Callable[[bool], None],
    processes: Processes,
    watcher: Watcher,
) -> TrainingResult:
    """Train; ``before_save`` is told whether it is the first checkpoint."""
    write_events_at_once(agent.writer)
    agent.training_seconds, agent.training_cpu_seconds = history.latest("seconds"), history.latest("cpu_seconds")
    starts_from_nothing, saved = agent.epoch_num == 0, False

    def save() -> None:
        nonlocal saved
        before_save(not saved)
        saved = True

    with interruptible(watcher.let_go) as interrupted, processes.watch():

        def after_iteration(row: Dict[str, float]) -> bool:
            history.append(row)
            on_iteration(row, agent)
            watcher.after_iteration(row)
            return processes.any(interrupted())

        try:
            stopped = agent.train(after_iteration, save) and agent.epoch_num < agent.max_epochs
        finally:
            if processes.is_first and (saved or starts_from_nothing):
                history.write()
        agent.end_learning()
        # After a failure TensorBoard's writer closes as the process ends: it would start a thread, which waits for ever
        # where memory for it has run out.
        agent.writer.close()
    return TrainingResult(agent.epoch_num, agent.frame, agent.training_seconds, agent.training_cpu_seconds, stopped)
