"""Expand workflow/stages.yaml for every experiment of configs/experiments.yaml into dvc.yaml.

DVC's own templates can neither run down a list inside a list (``BaseTask: [42, 43]`` is one experiment with two
trainings) nor put a list of files into ``deps``, so the expansion happens here and its result is committed.

    python -m workflow.plan          rewrite dvc.yaml where it is out of date
    python -m workflow.plan run-new  the same, then run the stages that are new (the pipeline's first stage)
    python -m workflow.plan check    the same, then stop where that changed anything
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import yaml

from dexhand_env.config.experiment import load_experiment
from dexhand_env.config.registry import PACKAGE, TaskEntry
from dexhand_env.config.seeds import load_seeds
from dexhand_env.config.yaml_files import parse_yaml, read_yaml
from dexhand_env.errors import UserError
from dexhand_env.files import write_text

EXPERIMENTS = "configs/experiments.yaml"
STAGES = "workflow/stages.yaml"
DVC_FILE = "dvc.yaml"
HEADER = f"""\
# Written by workflow/plan.py from {STAGES} and {EXPERIMENTS}: edit those, then run `python -m workflow.plan`.
# docs/pipeline.md says why. `dvc repro` and `snakemake` rewrite this file by themselves when it is out of date.
"""

Stage = dict[str, Any]
Plan = dict[str, Any]


class _Dumper(yaml.CSafeDumper):
    """YAML without anchors: a list used twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@dataclass(frozen=True)
class Variant:
    """An experiment as far as its stages depend on it.

    Args:
        name: its name.
        task: its task.
        backend: what steps its training's physics.
        seeds: its training seeds.
        keys: the keys at the top of its config.
    """

    name: str
    task: TaskEntry
    backend: str
    seeds: tuple[int, ...]
    keys: frozenset[str]

    @property
    def gpus(self) -> int:
        """How many GPUs its training asks for where nothing else is said."""
        return int(self.backend in ("mujoco_warp", "isaac_gym"))

    @property
    def placeholders(self) -> dict[str, str]:
        """The values of the table's placeholders."""
        files = ("source", "schema", "config_file", "train_file")
        return {
            "experiment": self.name,
            "backend": self.backend,
            **{f"task_{file}": _listed(getattr(self.task, file)) for file in files},
        }


@dataclass(frozen=True)
class Difference:
    """How a fresh expansion differs from the dvc.yaml on disk: names of stages."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def read_variants(root: Path) -> list[Variant]:
    """Every experiment of configs/experiments.yaml, checked.

    Raises:
        UserError: the first problem of the map or of a config; both tools say it in these words before a stage starts.
    """
    variants = []
    for name, seeds in load_seeds(root / "configs").items():
        experiment = load_experiment(name, root)
        backend = experiment.task.sim.backend
        backend = "mujoco" if backend == "auto" else backend  # as dexhand_env/stages/devices.py
        keys = frozenset(read_yaml(root / f"configs/{name}.yaml").values)
        variants.append(Variant(name, experiment.entry, backend, seeds, keys))
    return variants


def _listed(file: Path) -> str:
    """A task's file as dvc.yaml names it: relative to the repository, if it lies there."""
    for folder, prefix in ((PACKAGE, PACKAGE.name), (Path.cwd(), "")):
        if file.is_relative_to(folder):
            return (prefix / file.relative_to(folder)).as_posix()
    return str(file)


def expand(table: Mapping[str, Any], variants: Sequence[Variant]) -> Plan:
    """The content of dvc.yaml: every stage of every experiment, those that write a file before those that read it.

    Those of the table's ``checks`` come last of all: DVC stops where one fails.
    """
    groups = table["groups"]
    plan: Plan = {"stages": {}, "plots": []}
    for name, entry in table["stages"].items():
        if "{experiment}" not in name:
            plan["stages"][name] = _stage(groups, entry, {}, None)
    for variant in variants:
        names, groups = variant.placeholders, {**table["groups"], **_task_groups(table, variant.task)}
        own = {name: entry for name, entry in table["stages"].items() if "{experiment}" in name}
        for name, entry in own.items():
            for seed in variant.seeds if "{seed}" in name else [None]:
                values = names if seed is None else {**names, "seed": str(seed)}
                plan["stages"][_fill(name, values)] = _stage(groups, entry, values, variant)
        for title, axes in table["plots"].items():
            files = {path: column for file, column in axes["y"].items() for path in _paths([file], names, variant)}
            plan["plots"].append({_fill(title, names): {"x": axes["x"], "y": files}})
    for variant in variants:
        for name, entry in table["checks"].items():
            values = variant.placeholders
            plan["stages"][_fill(name, values)] = _stage(groups, entry, values, variant)
    return plan


def _task_groups(table: Mapping[str, Any], task: TaskEntry) -> dict[str, list[str]]:
    """The groups of files that no table can name: what the task's own files import and read.

    ``task-imports`` are all of them, ``task-files`` those that stand nowhere in the table.

    Raises:
        UserError: a file that the task says it reads is not there.
    """
    stages = [*table["stages"].values(), *table["checks"].values()]
    named = {*itertools.chain(*table["groups"].values(), *(stage.get("deps", []) for stage in stages))}
    known = {PACKAGE.parent / name for name in named if name.startswith(f"{PACKAGE.name}/")}
    used = task.used_files(known)
    imports, files = ([_plain(_listed(file)) for file in some] for some in (used, [f for f in used if f not in known]))
    return {"task-imports": imports, "task-files": files}


def _plain(name: str) -> str:
    """A file's name as a template that stands for itself."""
    return name.replace("{", "{{").replace("}", "}}")


def _stage(
    groups: Mapping[str, list[str]], entry: Stage, values: Mapping[str, str], variant: Optional[Variant]
) -> Stage:
    """One stage as DVC wants it."""
    cmd = entry["cmd"]
    code = [file for group in entry.get("code", []) for file in groups[_fill(group, values)]]
    stage: Stage = {"cmd": _fill(cmd, values) if isinstance(cmd, str) else [_fill(line, values) for line in cmd]}
    deps = _paths(entry.get("deps", []), values, variant)
    stage["deps"] = list(dict.fromkeys(sorted(_paths(code, values, variant)) + deps))
    params: list[Any] = []
    for file, keys in entry.get("params", {}).items():
        filled: Any = [_fill(key, values) for key in keys]
        if variant and file == "configs/{experiment}.yaml" and not variant.keys.issuperset(filled):
            filled = []
        params.append({_fill(file, values): filled or None})
    if params:
        stage["params"] = params
    for kind in ("outs", "metrics"):
        if kind in entry:
            stage[kind] = _paths(entry[kind], values, variant)
    return stage


def _paths(templates: Sequence[str], values: Mapping[str, str], variant: Optional[Variant]) -> list[str]:
    """Fill templates; one that names {seed} where the stage has no seed of its own stands for all seeds."""
    paths: list[str] = []
    for template in templates:
        if variant and "{seed}" in template and "seed" not in values:
            paths += [_fill(template, {**values, "seed": str(seed)}) for seed in variant.seeds]
        else:
            paths.append(_fill(template, values))
    return list(dict.fromkeys(paths))


def _fill(template: str, values: Mapping[str, str]) -> str:
    return template.format_map(values)


def render(plan: Plan) -> str:
    """The text of dvc.yaml."""
    return HEADER + yaml.dump(plan, Dumper=_Dumper, sort_keys=False, width=200, allow_unicode=True)


def update(root: Path, variants: Sequence[Variant]) -> tuple[Plan, Difference]:
    """Rewrite dvc.yaml where it is out of date; return the plan and what was different.

    Raises:
        UserError: workflow/stages.yaml cannot be read; nothing is written then.
    """
    plan = expand(read_yaml(root / STAGES).values, variants)
    text = render(plan)
    path = root / DVC_FILE
    old_text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text == old_text:
        return plan, Difference((), (), ())
    try:
        old = parse_yaml(old_text, DVC_FILE).values.get("stages")
    except UserError:
        old = None
    write_text(path, text)
    stages, old = plan["stages"], old if isinstance(old, dict) else {}
    return plan, Difference(
        new=tuple(name for name in stages if name not in old),
        changed=tuple(name for name in stages if name in old and stages[name] != old[name]),
        removed=tuple(name for name in old if name not in stages),
    )


def _stop_if_any(outdated: tuple[str, ...]) -> None:
    """DVC read dvc.yaml before it was rewritten and would go on with the old stages: end its run here."""
    if outdated:
        raise UserError(DVC_FILE, f"was out of date ({', '.join(outdated)}) and has been rewritten; run it again")


def main(arguments: list[str]) -> int:
    """The command line described at the top; 2 for a user's mistake, else the exit code of what ran."""
    root = Path.cwd()
    try:
        _, difference = update(root, read_variants(root))
        if arguments == ["check"]:
            _stop_if_any(difference.new + difference.changed + difference.removed)
        elif arguments == ["run-new"]:
            _stop_if_any(difference.changed + difference.removed)
            if difference.new:
                print(f"New in {DVC_FILE}: {', '.join(difference.new)}", flush=True)
                return subprocess.run(
                    [sys.executable, "-m", "dexhand_env.commands.dvc", "repro", *difference.new], check=False
                ).returncode
        elif arguments:
            raise UserError("workflow.plan", " ".join(arguments), "nothing, `run-new` or `check`")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
