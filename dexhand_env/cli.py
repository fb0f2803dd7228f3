"""``dexhand train|view|validate|select|evaluate|report|check|compare|video|tasks|doctor``, and ``train.py``.

Nothing heavy is imported before options are checked, so that help and mistakes answer at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.exceptions import TyperException

from dexhand_env.errors import MISTAKE, UserError
from dexhand_env.rl.distributed import ALONE, Processes, ProcessLost, join_processes

PACKAGE = Path(__file__).resolve().parent
ENVIRONMENT, TRAINING, LOGGING = "Environment arguments", "Training arguments", "Logging arguments"

app = typer.Typer(
    name="dexhand",
    help="Train, select, test and report policies for the DexHand021.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Experiment = Annotated[str, typer.Argument(help="Its name: configs/<Experiment>.yaml.")]
Seed = Annotated[int, typer.Argument(help="The training seed.", min=0)]


def _in_panel(panel: str, text: str, *names: str, **options: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **options)


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter stood on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


ViewerPort = Annotated[
    Optional[int],
    _in_panel(
        ENVIRONMENT,
        "Port of the viewer on this machine; 0 takes any.",
        min=0,
        max=65535,
        show_default="8080, or the next one that is free",
    ),
]


@app.command()
def train(
    context: typer.Context,
    overrides: Annotated[
        Optional[list[str]],
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Any value of the task's YAML by its dotted name, or of the training configuration, whose names "
            "begin with params: rewards.success=2 params.config.gamma=0.95",
        ),
    ] = None,
    task: Annotated[str, _in_panel(ENVIRONMENT, "Task to train on: its name, or path/to/file.py:Name.")] = "BaseTask",
    num_envs: Annotated[int, _in_panel(ENVIRONMENT, "Number of parallel environments.", min=1)] = 1024,
    sim_device: Annotated[
        str, _in_panel(ENVIRONMENT, "Device for physics: auto, cpu or cuda:<index>. auto: a GPU if it can be used.")
    ] = "auto",
    rl_device: Annotated[
        str, _in_panel(ENVIRONMENT, "Device for the RL algorithm: auto, cpu or cuda:<index>.")
    ] = "auto",
    graphics_device_id: Annotated[int, _in_panel(ENVIRONMENT, "Graphics device ID.", min=0)] = 0,
    headless: Annotated[bool, _in_panel(ENVIRONMENT, "Run without visualization.", "--headless")] = False,
    viewer_port: ViewerPort = None,
    threads: Annotated[
        int, _in_panel(ENVIRONMENT, "CPU threads; 0 uses DEXHAND_THREADS, else all.", min=0, max=4096)
    ] = 0,
    train_config: Annotated[
        Optional[str],
        _in_panel(TRAINING, "Training configuration file.", show_default="dexhand_env/cfg/train/<Task>PPO.yaml"),
    ] = None,
    seed: Annotated[int, _in_panel(TRAINING, "Random seed; -1 draws one and records it.", min=-1, max=2**31 - 1)] = 42,
    torch_deterministic: Annotated[
        bool, _in_panel(TRAINING, "Use deterministic algorithms.", "--torch-deterministic")
    ] = False,
    checkpoint: Annotated[Optional[str], _in_panel(TRAINING, "Checkpoint to resume from, or to test.")] = None,
    test: Annotated[bool, _in_panel(TRAINING, "Test mode: play the checkpoint, no training.", "--test")] = False,
    episodes: Annotated[int, _in_panel(TRAINING, "Episodes that --test plays.", min=1)] = 100,
    max_iterations: Annotated[
        Optional[int], _in_panel(TRAINING, "Maximum training iterations in total.", min=1, show_default="10000")
    ] = None,
    experiment_name: Annotated[
        Optional[str], _in_panel(LOGGING, "Name of the run folder.", show_default="<Task>_<date>_<time>")
    ] = None,
    log_interval: Annotated[int, _in_panel(LOGGING, "Finished episodes between log lines.", min=1)] = 10,
    local_rank: Annotated[  # torch.distributed.launch gives it; the environment says the same
        int, typer.Option("--local-rank", "--local_rank", hidden=True, min=0)
    ] = 0,
) -> None:
    """Train a policy, go on training one, or test one."""
    from dexhand_env.commands.options import TrainOptions
    from dexhand_env.commands.train import train_or_test

    options = TrainOptions(
        task=task,
        num_envs=num_envs,
        sim_device=sim_device,
        rl_device=rl_device,
        graphics_device_id=graphics_device_id,
        headless=headless,
        train_config=train_config,
        seed=seed,
        torch_deterministic=torch_deterministic,
        checkpoint=checkpoint,
        test=test,
        episodes=episodes,
        max_iterations=max_iterations,
        experiment_name=experiment_name,
        log_interval=log_interval,
        threads=threads,
        viewer_port=viewer_port,
        overrides=tuple(overrides or ()),
        typed=frozenset(name for name in context.params if _is_typed(context, name)),
    )
    raise typer.Exit(train_or_test(options, context.obj, str(context.find_root().info_name)))


@app.command()
def view(
    context: typer.Context,
    overrides: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="[KEY=VALUE]...", help="Any value of the task's YAML by its dotted name."),
    ] = None,
    task: Annotated[str, _in_panel(ENVIRONMENT, "The task: its name, or path/to/file.py:Name.")] = "BaseTask",
    checkpoint: Annotated[
        Optional[str],
        _in_panel(
            ENVIRONMENT,
            "The policy: a checkpoint, a run folder or latest; newer ones are taken as they come. "
            "Without it sliders move the hand.",
        ),
    ] = None,
    policy: Annotated[
        Optional[str], _in_panel(ENVIRONMENT, "The policy: one that comes with the package, in its own task.")
    ] = None,
    num_envs: Annotated[int, _in_panel(ENVIRONMENT, "Number of worlds.", min=1, max=16)] = 4,
    seed: Annotated[int, _in_panel(ENVIRONMENT, "Draws the episodes; -1 draws it.", min=-1, max=2**31 - 1)] = 42,
    viewer_port: ViewerPort = None,
    threads: Annotated[int, _in_panel(ENVIRONMENT, "CPU threads.", min=1)] = 1,
) -> None:
    """Watch a policy in the browser, or move the hand by sliders."""
    from dexhand_env.commands.options import TrainOptions
    from dexhand_env.commands.view import view as run

    typed = {name for name in context.params if _is_typed(context, name)}
    options = TrainOptions(
        task=task,
        num_envs=num_envs,
        sim_device="cpu",
        rl_device="cpu",
        graphics_device_id=0,
        headless=False,
        train_config=None,
        seed=seed,
        torch_deterministic=False,
        checkpoint=checkpoint,
        test=checkpoint is not None,
        episodes=1,
        max_iterations=None,
        experiment_name=None,
        log_interval=1,
        threads=threads,
        viewer_port=viewer_port,
        overrides=tuple(overrides or ()),
        typed=frozenset(typed),
    )
    if policy is not None:
        from dexhand_env.commands.released import released_run

        others = sorted({"task", "checkpoint"} & typed)
        if others:
            raise UserError("view", f"found --policy {policy} and --{others[0]}", "one of them")
        options = released_run(policy, options)
    raise typer.Exit(run(options))


@app.command()
def validate(experiment: Experiment) -> None:
    """Check an experiment and write its resolved configuration to results/<Experiment>/config/."""
    from dexhand_env.config.experiment import SECTIONS
    from dexhand_env.stages.validate import validate as run

    for section in SECTIONS:
        typer.echo(run(experiment, section))


@app.command()
def select(experiment: Experiment, seed: Seed) -> None:
    """Choose a seed's best checkpoint on held-out episodes."""
    from dexhand_env.stages.select import select as run

    run(experiment, seed)


@app.command()
def evaluate(
    context: typer.Context,
    experiment: Annotated[Optional[str], typer.Argument(help="Its name: configs/<Experiment>.yaml.")] = None,
    seed: Annotated[Optional[int], typer.Argument(help="The training seed.", min=0)] = None,
    policy: Annotated[
        Optional[str],
        typer.Option(
            help="Test a policy that comes with the package, as DexGrasp, DexGraspGentle, DexGraspRandomised."
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(help="Episodes that it plays.", min=1)] = 256,
    physics: Annotated[
        Optional[str], typer.Option(help="Physics that it plays under.", show_default="that of its training")
    ] = None,
) -> None:
    """Test a seed's chosen policy on fresh episodes, or a released policy here and now."""
    if policy is not None:
        from dexhand_env.commands.released import evaluate_released

        if experiment is not None:
            raise UserError("evaluate", f"found {experiment} and --policy {policy}", "one of them")
        evaluate_released(policy, episodes, physics)
        return
    typed = [f"--{name}" for name in ("episodes", "physics") if _is_typed(context, name)]
    if typed:
        raise UserError(typed[0], "belongs to --policy", "an experiment's own evaluation section")
    if experiment is None or seed is None:
        raise UserError("evaluate", "an experiment and a seed are missing", "<Experiment> <seed>, or --policy DexGrasp")
    from dexhand_env.stages.evaluate import evaluate as run

    run(experiment, seed)


@app.command()
def report(experiment: Experiment) -> None:
    """Write results/<Experiment>/report.html and evaluation.json; exit code 1 where files are missing."""
    from dexhand_env.stages.report import experiment_folder, report_stage

    raise typer.Exit(0 if report_stage(experiment_folder(experiment)) else 1)


@app.command()
def check(experiment: Experiment) -> None:
    """Say how much success is lost in the reference physics; exit code 1 where that is more than allowed."""
    from dexhand_env.stages.check import check as run

    raise typer.Exit(0 if run(experiment) else 1)


@app.command()
def compare(experiments: Annotated[list[str], typer.Argument(help="Their names, as folders of results/.")]) -> None:
    """Put several experiments side by side: results/comparison.html."""
    from dexhand_env.stages.compare import compare as run

    typer.echo(run(experiments))


@app.command()
def video(
    experiment: Experiment,
    seed: Seed,
    replay: Annotated[str, typer.Option(help="Which replay: best, median, worst, failure_timeout, ...")] = "best",
    output: Annotated[
        Optional[Path], typer.Option(help="The mp4.", show_default="results/<Experiment>/seed<k>/<replay>.mp4")
    ] = None,
) -> None:
    """Draw a recorded episode into an mp4; needs no display and no GPU."""
    from dexhand_env.commands.video import video as run

    typer.echo(run(experiment, seed, replay, output))


@app.command()
def tasks() -> None:
    """List the tasks with their observations and reward terms."""
    from dexhand_env.config.registrations import installed_tasks
    from dexhand_env.config.registry import find_task, package_tasks

    for name in package_tasks():
        config = find_task(name).config_class
        typer.echo(f"{name}: {config.SUMMARY}" if config.SUMMARY else name)
        typer.echo("  observations: " + ", ".join(config.OBSERVATION_KEYS or ("the task's code says",)))
        typer.echo("  reward terms: " + ", ".join(config.REWARD_NAMES or ("the task's code says",)))
    for name, value in installed_tasks().items():
        typer.echo(f"{name}\n  installed: {value}")


@app.command()
def doctor() -> None:
    """Say what this machine has for training and what is missing."""
    from dexhand_env.commands.doctor import doctor as run

    raise typer.Exit(run())


def _run(commands: typer.Typer, program: str, in_several: bool = False) -> int:
    """Run a command line, in one of several processes if a launcher started this one and ``in_several`` are allowed.

    A mistake of the user's is one line and exit code 2; a process that was lost is one line of each of the others.
    """
    try:
        with join_processes() if in_several else ALONE as processes:
            return _answer(commands, program, processes)
    except (UserError, ProcessLost) as error:  # in joining the others
        print(f"{program}: {error}", file=sys.stderr)
        return MISTAKE if isinstance(error, UserError) else 1


def _answer(commands: typer.Typer, program: str, processes: Processes) -> int:
    here = Path("dexhand_env")
    if program == "dexhand" and processes.is_first and (here / "__init__.py").is_file() and here.resolve() != PACKAGE:
        mend = "`make install` here and .venv/bin/dexhand run that"
        print(f"dexhand: runs the code of {PACKAGE.parent}, not that of this folder; {mend}", file=sys.stderr)
    try:
        result = commands(prog_name=program, standalone_mode=False, obj=processes)
    except (UserError, TyperException) as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if message and processes.is_first:  # empty where the help was printed instead
            print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
        return MISTAKE
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script ``dexhand``."""
    sys.exit(_run(app, "dexhand", in_several=sys.argv[1:2] == ["train"]))


def train_program() -> typer.Typer:
    """``dexhand train`` as a program of its own."""
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(train)
    return program


def train_main() -> None:
    """``train.py``."""
    sys.exit(_run(train_program(), "train.py", in_several=True))
