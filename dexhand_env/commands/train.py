"""Trains or tests as the resolved options say; what ``train.py`` does once they are checked."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from dexhand_env.commands.hints import slow_setup, steps_on_gpu
from dexhand_env.commands.isaac_gym import go_on
from dexhand_env.commands.options import ResolvedRun, TrainOptions, resolve
from dexhand_env.commands.recorded_run import RunArguments, write_run_files
from dexhand_env.commands.repeat import began_from, kept_start, repeating_command
from dexhand_env.commands.watching import watcher
from dexhand_env.errors import UserError
from dexhand_env.files import write_bytes
from dexhand_env.rl.distributed import ALONE, Processes
from dexhand_env.rl.run_folder import holds_a_run, new_folder
from dexhand_env.sim.backends import resumption_notice
from dexhand_env.stages.record import available_cores, given_threads

if TYPE_CHECKING:
    from dexhand_env.rl.agent import DexHandAgent
    from dexhand_env.rl.training import TrainingSpec

INTERRUPTED = 130
# Far from the seeds of training, selection and evaluation.
TEST_FIRST_SEED = 3_000_000


def train_or_test(options: TrainOptions, processes: Processes = ALONE, program: str = "train.py") -> int:
    """Run the program; returns the exit code: 0, or 130 after Ctrl-C.

    With Isaac Gym it goes on in the Python that has it.

    Args:
        options: as they were parsed.
        processes: those that train together.
        program: what says so in errors.

    Raises:
        UserError: a mistake in options or files; nothing has been written then.
        ProcessLost: another of the processes that train together has ended or hangs.
    """
    run = processes.agree(lambda: resolve(options, processes, lambda task: go_on(task, options, processes, program)))
    folder, seed = processes.gather((run.folder, run.seed))[0]  # one clock and one draw for all
    run = dataclasses.replace(run, folder=folder, seed=seed)
    return _test(run) if options.test else _train(run, processes)


def _threads(run: ResolvedRun, processes: Processes = ALONE) -> int:
    return run.options.threads or given_threads(processes.local_size)


def run_arguments(run: ResolvedRun, processes: int) -> RunArguments:
    """What args.yaml says of the run."""
    options = dataclasses.asdict(run.options)
    values = {name: options[name] for name in RunArguments.model_fields if name in options}
    values.update(
        processes=processes,
        seed=run.seed,
        checkpoint=None if run.checkpoint is None else str(run.checkpoint),
        used_sim_device=run.sim_device,
        used_rl_device=run.rl_device,
        task_config=run.task.record(),
    )
    start = began_from(run, values)
    values["began_from"] = None if start is None else str(kept_start(run.folder, start))
    return RunArguments(command=repeating_command(run, values), **values)


def _print(notices: tuple[str, ...]) -> None:
    for notice in notices:
        print(notice, flush=True)


def _check_resumption(run: ResolvedRun, spec: TrainingSpec, processes: Processes) -> int:
    """Refuse a checkpoint that training cannot go on from; returns the seed that it was trained with."""
    from dexhand_env.rl.checkpoint import TRAINING_KEYS, load_checkpoint
    from dexhand_env.rl.training import check_resumable

    assert run.checkpoint is not None
    state = load_checkpoint(run.checkpoint, TRAINING_KEYS)
    check_resumable(state, spec, f"checkpoint {run.checkpoint}", processes.size)
    done, wanted = state["iteration"], run.params.config.max_epochs
    if done >= wanted:
        raise UserError("--max-iterations", f"{wanted}, of which the checkpoint has done {done}", f"{done + 1} or more")
    return int(state["seed"])


def _hints(run: ResolvedRun, threads: int, processes: int) -> tuple[str, ...]:
    import torch

    return slow_setup(
        run.options.num_envs,
        run.sim_device,
        run.rl_device,
        threads,
        available_cores(),
        processes,
        gpu=torch.cuda.is_available(),
        gpu_physics=steps_on_gpu(run.task.sim.backend),
    )


def _train(run: ResolvedRun, processes: Processes) -> int:
    from dexhand_env.rl.memory_check import check_memory

    spec = _spec(run, processes)
    notices = run.notices
    if run.checkpoint is not None:
        inexactly = resumption_notice(run.task.sim.backend)
        notices += () if inexactly is None else (inexactly,)
        seed = processes.agree(lambda: _check_resumption(run, spec, processes))
        if seed != run.seed:
            notices += (f"going on with the random numbers of seed {seed}, the checkpoint's",)
            run, spec = dataclasses.replace(run, seed=seed), dataclasses.replace(spec, seed=seed)
    processes.agree(lambda: check_memory(spec, processes=processes.local_size))
    if processes.is_first:
        _print(notices + _hints(run, spec.threads, processes.local_size))
    with contextlib.ExitStack() as around:
        folder = run.folder
        if run.earlier is None and run.options.experiment_name is None:  # one name for each run of the same second
            made = processes.agree(lambda: around.enter_context(new_folder(folder)) if processes.is_first else folder)
            folder = processes.gather(made)[0]
        return _train_in_folder(dataclasses.replace(run, folder=folder), spec, processes)


def _spec(run: ResolvedRun, processes: Processes) -> TrainingSpec:
    from dexhand_env.rl.training import TrainingSpec

    return TrainingSpec(
        task=run.task,
        physics=run.physics,
        params=run.params.dump(),
        num_envs=run.options.num_envs,
        seed=run.seed,
        sim_device=run.sim_device,
        rl_device=run.rl_device,
        threads=_threads(run, processes),
        learner_threads=_threads(run, processes),
        deterministic=run.options.torch_deterministic,
    )


def _train_in_folder(run: ResolvedRun, spec: TrainingSpec, processes: Processes) -> int:
    from dexhand_env.rl.console import ConsoleLog
    from dexhand_env.rl.divergence import TrainingDiverged, divergence_message
    from dexhand_env.rl.memory_check import running_out_is_a_mistake
    from dexhand_env.rl.training import run_training

    arguments = run_arguments(run, processes.size)
    log, quiet = run.folder / "train.log", not processes.is_first
    records = _Records(run, arguments, write=processes.is_first)
    with contextlib.ExitStack() as around:
        watching = around.enter_context(watcher(run, "training", may_wait=processes.size == 1))
        console = around.enter_context(ConsoleLog(log, run.params.config.max_epochs, run.options.log_interval, quiet))
        around.callback(records.close)

        def start() -> None:
            records.open()
            console.open_file()
            logger.info(f"training {run.task.task} in {run.folder}, seed {run.seed}")

        def after_iteration(row: dict[str, float], agent: DexHandAgent) -> None:
            if not records.in_place:
                records.write()
            console.after_iteration(row, agent)

        try:
            with running_out_is_a_mistake(spec):
                result = run_training(
                    spec,
                    run.folder,
                    run.checkpoint,
                    after_iteration,
                    processes,
                    watching,
                    on_start=start,
                    on_save=records.write,
                    changed=records.changed,
                )
        except TrainingDiverged as error:
            logger.error(divergence_message(error, run.folder, run.checkpoint))
            return 1
        logger.info(f"{result.iterations} iterations, {result.frames} frames, {result.seconds:.1f} s")
        if result.interrupted:
            logger.info(f"stopped; go on with --checkpoint {run.folder}")
    return INTERRUPTED if result.interrupted else 0


class _Records:
    """args.yaml, train_config.yaml and the copy of the checkpoint that the run began from.

    A run that fails early replaces no other one's records: a new run writes them after its first iteration, one that is
    resumed in place before its first checkpoint, for until then the folder holds the checkpoints of the old settings.
    """

    def __init__(self, run: ResolvedRun, arguments: RunArguments, write: bool) -> None:
        self._run, self._arguments = run, arguments
        self._due = write
        self._copy: Path | None = None
        self.in_place = run.earlier is not None and run.earlier.folder.resolve() == run.folder.resolve()
        self._start = began_from(run, arguments.record())
        self.changed = run.checkpoint is not None and self._start == run.checkpoint

    def open(self) -> None:
        """Keep the checkpoint before training can replace it; the folder is locked.

        Raises:
            UserError: another program has trained in this new folder meanwhile.
        """
        if not self._due:
            return
        if not self.in_place and holds_a_run(self._run.folder):
            raise UserError(str(self._run.folder), "has been made by another program meanwhile", "another name")
        kept = self._arguments.began_from
        if self._start is not None and kept is not None and not Path(kept).is_file():
            self._copy = Path(kept)
            write_bytes(kept, self._start.read_bytes())

    def write(self) -> None:
        """Write them, unless that has been done."""
        if self._due:
            write_run_files(self._run.folder, self._arguments, self._run.params.dump())
            self._due = False

    def close(self) -> None:
        """Remove the copy where nothing refers to it."""
        if self._due and self._copy is not None:
            self._copy.unlink(missing_ok=True)


def _test(run: ResolvedRun) -> int:
    import torch

    from dexhand_env.rl.checkpoint import load_checkpoint
    from dexhand_env.rl.play import play_episodes
    from dexhand_env.rl.policy import Policy

    threads = _threads(run)
    torch.set_num_threads(threads)
    assert isinstance(run.checkpoint, Path)
    policy = Policy(load_checkpoint(run.checkpoint), torch.device(run.sim_device), f"checkpoint {run.checkpoint}")
    _print(run.notices)
    episodes, worlds, device = run.options.episodes, run.options.num_envs, run.sim_device
    with watcher(run, "playing") as watching:
        table, _ = play_episodes(
            run.task, run.physics, policy, TEST_FIRST_SEED, episodes, threads, False, worlds, device, watching
        )
    for index in range(table.episodes):
        metrics = "".join(f", {name} {values[index]:.4f}" for name, values in table.metrics.items())
        reward, length = table.returns[index], table.lengths[index]
        print(f"episode {index}: {table.outcomes[index]}, reward {reward:.3f}, length {length}{metrics}")
    low, high = table.interval
    print(
        f"success {table.successes} of {table.episodes} = {table.success_rate:.4f}, "
        f"95 % interval [{low:.4f}, {high:.4f}]; "
        f"average reward {table.returns.mean():.3f}, episode length {table.lengths.mean():.1f}"
    )
    return 0
