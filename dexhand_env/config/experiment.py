"""An experiment: what is trained, selected, tested and reported, and how; ``configs/<Experiment>.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from pydantic import Field, field_validator
from typing_extensions import Annotated

from dexhand_env.config.check import check
from dexhand_env.config.curriculum import without_curriculum
from dexhand_env.config.layers import Layer, Stack, contains, differences, merge
from dexhand_env.config.physics import Physics, load_physics, physics_names
from dexhand_env.config.ppo import PPOFile, PPOParams, fit_minibatch
from dexhand_env.config.registry import TaskEntry, default_task, find_task, load_task
from dexhand_env.config.schema import FROM_LIST, Section, choices, problem, shown
from dexhand_env.config.seeds import EXPERIMENTS_FILE, EpisodeRange, check_disjoint, check_name, load_seeds
from dexhand_env.config.task import TaskConfig
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError
from dexhand_env.intervals import wilson_interval

SECTIONS = ("train", "selection", "evaluation", "report")
TRAINING = "training"  # the condition that means the physics of training


class Train(Section):
    """How the policy is trained."""

    num_envs: int = Field(ge=1, le=1_000_000, description="environments that run side by side, on all GPUs together")
    max_iterations: int = Field(ge=1, le=10**9, description="iterations of training")
    params: Dict[str, Any] = Field(
        default_factory=dict, description="overrides of the `params` in the task's PPO file, nested as there"
    )


class Evaluation(EpisodeRange):
    """How the chosen policy is tested."""

    conditions: Annotated[Tuple[str, ...], FROM_LIST] = Field(
        min_length=1,
        description="physics it is tested under: training (that of env.sim.physics) and presets of cfg/physics.yaml",
    )
    variants: Dict[str, Dict[str, Any]] = Field(
        default_factory=dict,
        description="further tests under the training physics, each a name with overrides of the task's configuration, "
        "as `heavy: {object: {mass_kg: 0.3}}`",
    )

    @field_validator("conditions")
    @classmethod
    def _are_known(cls, conditions: Tuple[str, ...]) -> Tuple[str, ...]:
        known = (TRAINING, *physics_names())
        for index, name in enumerate(conditions):
            if name not in known:
                raise problem(f"found {shown(name)}", choices(known, name), (index,))
            if name in conditions[:index]:
                raise problem(f"{name} is listed twice", "each condition once", (index,))
        if TRAINING not in conditions:
            raise problem(f"{TRAINING} is missing", f"a list with {TRAINING}, which the report is about")
        return conditions

    @field_validator("variants")
    @classmethod
    def _have_names_of_their_own(cls, variants: Dict[str, Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
        for name in variants:
            if name in (TRAINING, *physics_names()):
                raise problem("is the name of a condition", "another name", (name,))
            if not name.isprintable() or len(name) > 40:
                raise problem("no good name", "a name of at most 40 printing characters", (name,))
        return variants


class Report(Section):
    """What the report judges by."""

    success_goal: float = Field(
        ge=0,
        lt=1,
        description="the success rate that the policy should reach, as a fraction; the lower bound of each seed's 95 % "
        "interval is compared with it",
    )
    allowed_drop: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="how much of the success rate, as a fraction, any seed may lose from the training to the reference "
        "physics, 0.1 if left out; where one loses more, the last check after the report fails",
    )


class ExperimentFile(Section):
    """A whole experiment file."""

    task: str = Field(description="the task: its name, or path/to/file.py:Name")
    env: Dict[str, Any] = Field(
        default_factory=dict, description="overrides of the task's configuration, nested as there"
    )
    train: Train = Field(description="how the policy is trained")
    selection: EpisodeRange = Field(description="the held-out episodes by which the best checkpoint is chosen")
    evaluation: Evaluation = Field(description="the fresh episodes on which the chosen checkpoint is tested")
    report: Report = Field(description="what the report judges by")


@dataclass(frozen=True)
class Experiment:
    """An experiment, resolved and checked.

    Args:
        name: its name, also that of its file and of its results' folder.
        seeds: the training seeds.
        entry: the task's class and files.
        task: the whole task configuration.
        params: the whole PPO configuration; ``max_epochs`` is ``max_iterations`` and the minibatch fits.
        num_envs, max_iterations: as in the file.
        variants: the whole task configuration of each variant of the evaluation.
        differences: what differs from the defaults in cfg/task and cfg/train, as ``{"key", "default", "value"}``.
        notices: lines for the user, e.g. about a shrunk minibatch.
    """

    name: str
    seeds: Tuple[int, ...]
    entry: TaskEntry
    task: TaskConfig
    params: PPOParams
    num_envs: int
    max_iterations: int
    selection: EpisodeRange
    evaluation: Evaluation
    variants: Dict[str, TaskConfig]
    report: Report
    differences: List[Dict[str, Any]]
    notices: List[str]

    @property
    def conditions(self) -> Dict[str, Physics]:
        """Each condition of the evaluation with its physics."""
        names = {name: self.task.sim.physics if name == TRAINING else name for name in self.evaluation.conditions}
        return {name: load_physics(preset) for name, preset in names.items()}

    def section(self, name: str) -> Dict[str, Any]:
        """The JSON document of one section (one of ``SECTIONS``), complete for its stage.

        Raises:
            UserError: an unknown section.
        """
        documents = {
            "train": self._train,
            "selection": self._selection,
            "evaluation": self._evaluation,
            "report": self._report,
        }
        if name not in documents:
            raise UserError("section", f"found {shown(name)}", choices(SECTIONS, name))
        return {"experiment": self.name, "task": self.entry.reference, **documents[name]()}

    def _env(self, task: TaskConfig) -> Dict[str, Any]:
        return {"env": task.dump(), "physics": load_physics(task.sim.physics).dump()}

    @property
    def _tested(self) -> TaskConfig:
        """The task of selection and evaluation, which are at the curriculum's end."""
        return without_curriculum(self.task)

    def _train_settings(self) -> Dict[str, Any]:
        return {"num_envs": self.num_envs, "max_iterations": self.max_iterations, "params": self.params.dump()}

    def _train(self) -> Dict[str, Any]:
        return {**self._env(self.task), "train": self._train_settings()}

    def _selection(self) -> Dict[str, Any]:
        return {**self._env(self._tested), "selection": self.selection.dump()}

    def _evaluation(self) -> Dict[str, Any]:
        conditions = {name: physics.dump() for name, physics in self.conditions.items()}
        env = self._tested.dump()
        variants = {
            name: {"env": values, "changes": differences(env, values, "env")}
            for name, values in ((name, task.dump()) for name, task in self.variants.items())
        }
        evaluation = {**self.evaluation.dump(), "conditions": conditions, "variants": variants}
        return {"env": env, "evaluation": evaluation}

    def _report(self) -> Dict[str, Any]:
        config = {
            "task": self.task.task,
            "env": self.task.dump(),
            "train": self._train_settings(),
            "selection": self.selection.dump(),
            "evaluation": self.evaluation.dump(),
            "report": self.report.dump(),
        }
        return {
            "summary": self.task.SUMMARY,
            "seeds": list(self.seeds),
            "report": config["report"],
            "config": config,
            "differences": self.differences,
        }


def load_experiment(name: str, root: Path = Path(".")) -> Experiment:
    """Load ``<root>/configs/<name>.yaml`` over its task's defaults and check the whole of it.

    Raises:
        UserError: the first problem, in whichever file it is.
    """
    configs = root / "configs"
    check_name(name, "experiment")
    seeds = load_seeds(configs)
    if name not in seeds:
        raise UserError(str(configs / EXPERIMENTS_FILE), f"no experiment {name}", choices(seeds, name))
    layer = read_yaml(configs / f"{name}.yaml")
    stack = Stack([layer])
    file = check(ExperimentFile, stack)
    entry = find_task(file.task, stack.where(("task",)))
    _refuse_double_settings(file, stack)
    env = Layer(layer.source, file.env, layer.section("env").marks, ("env",))
    task = load_task(entry, env)
    check_disjoint(seeds[name], file.selection, file.evaluation, stack)
    params, default_params, notice = _load_params(entry, file, layer)
    return Experiment(
        name=name,
        seeds=seeds[name],
        entry=entry,
        task=task,
        params=params,
        num_envs=file.train.num_envs,
        max_iterations=file.train.max_iterations,
        selection=file.selection,
        evaluation=file.evaluation,
        variants={name: _variant(name, entry, file, layer, task) for name in file.evaluation.variants},
        report=file.report,
        differences=differences(default_task(entry), task.dump(), "env")
        + differences(default_params.dump(), params.dump(), "train.params"),
        notices=[text for text in (notice, _unreachable_goal(file)) if text],
    )


def _unreachable_goal(file: ExperimentFile) -> Optional[str]:
    """A notice where the goal would be missed even if all episodes succeeded."""
    goal, episodes = file.report.success_goal, file.evaluation.episodes
    highest, _ = wilson_interval(episodes, episodes)
    if goal <= highest:
        return None
    return f"report.success_goal {goal:g} cannot be met: {episodes} successes in {episodes} episodes show {highest:.3f}"


def _variant(name: str, entry: TaskEntry, file: ExperimentFile, layer: Layer, trained: TaskConfig) -> TaskConfig:
    """The task as one variant of the evaluation has it, played by the same policy."""
    path = ("evaluation", "variants", name)
    overrides = file.evaluation.variants[name]
    stack = Stack([Layer(layer.source, overrides, layer.section(*path).marks, path)])
    for key in ("task", "sim", "actions", "observations", "curriculum"):
        if key in overrides:
            raise UserError(stack.where((key,)), "this key is not taken: the policy was trained with it")
    # Whatever a policy was trained under, MuJoCo tests it (stages/devices.py), so the limits of another do not count.
    values = merge(file.env, {**overrides, "curriculum": None, "sim": {"backend": "mujoco"}})
    task = load_task(entry, Layer(layer.source, values, layer.section(*path).marks, path))
    task = task.model_copy(update={"sim": trained.sim})
    if task.hand.side != trained.hand.side:
        raise UserError(stack.where(("hand", "side")), "this key is not taken: the policy was trained with it")
    if task == without_curriculum(trained):
        raise UserError(stack.where(()), "changes nothing", "overrides of the task's configuration")
    _refuse_what_is_drawn(overrides, task, stack)
    return task


def _refuse_what_is_drawn(overrides: Dict[str, Any], task: TaskConfig, stack: Stack) -> None:
    """A variant that changes what episodes draw would be tested as if it had not, under its own name."""
    for key, drawn in task.DRAWN_INSTEAD.items():
        path = tuple(key.split("."))
        if contains(overrides, path) and getattr(task.randomisation, drawn) is not None:
            found = f"does nothing, since randomisation.{drawn} is drawn"
            raise UserError(stack.where(path), found, f"randomisation.{drawn}, null or a range")


def _refuse_double_settings(file: ExperimentFile, stack: Stack) -> None:
    """Settings that an experiment already has elsewhere."""
    elsewhere: Mapping[Tuple[str, ...], str] = {
        ("env", "task"): "the task is named by the key task",
        ("train", "params", "seed"): f"the training seeds stand in {EXPERIMENTS_FILE}",
        ("train", "params", "config", "max_epochs"): "set train.max_iterations",
    }
    values = {"env": file.env, "train": {"params": file.train.params}}
    for path, reason in elsewhere.items():
        if contains(values, path):
            raise UserError(stack.where(path), f"this key is not taken: {reason}")


def _load_params(entry: TaskEntry, file: ExperimentFile, layer: Layer) -> Tuple[PPOParams, PPOParams, Optional[str]]:
    """The experiment's PPO parameters, the defaults, and a notice where the minibatch shrank."""
    defaults = read_yaml(entry.train_file)
    overrides = Layer(layer.source, {"params": file.train.params}, layer.section("train").marks, ("train",))
    stack = Stack([defaults, overrides])
    params = check(PPOFile, stack).params
    train = file.train
    if params.config.save_frequency > train.max_iterations:
        raise UserError(
            stack.where(("params", "config", "save_frequency")),
            f"{params.config.save_frequency} is above train.max_iterations, so no checkpoint would be saved",
            f"at most {train.max_iterations}",
        )
    config = params.config.model_copy(update={"max_epochs": train.max_iterations})
    params = params.model_copy(update={"config": config})
    where = stack.where(("params", "config", "minibatch_size"))
    fitted, notice = fit_minibatch(params, train.num_envs, where)
    return fitted, check(PPOFile, Stack([defaults])).params, notice
