"""dvc.yaml as workflow/plan.py writes it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dexhand_env.config.registry import PACKAGE, find_task
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError
from workflow.plan import STAGES, Plan, Variant, expand, read_variants, render, update

ROOT = Path(__file__).resolve().parents[2]
TINY = (ROOT / "tests/pipeline/tiny.yaml").read_text(encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the table of stages and one experiment with two seeds."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "workflow").mkdir()
    shutil.copy(ROOT / "workflow/stages.yaml", tmp_path / "workflow/stages.yaml")
    (tmp_path / "configs/experiments.yaml").write_text("Tiny: [1, 2]\n")
    (tmp_path / "configs/Tiny.yaml").write_text(TINY)
    return tmp_path


def planned(root: Path) -> Plan:
    """The fresh content of dvc.yaml."""
    return expand(read_yaml(root / STAGES).values, read_variants(root))


def test_the_committed_file_is_up_to_date() -> None:
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == render(planned(ROOT)), "run: python -m workflow.plan"


def test_a_seed_is_a_training_a_selection_and_a_test_and_the_report_reads_them_all(root: Path) -> None:
    stages = planned(root)["stages"]
    assert {name for name in stages if name[-1].isdigit()} == {
        f"{stage}-Tiny-{seed}" for stage in ("train", "select", "evaluate") for seed in (1, 2)
    }
    results = {f"results/Tiny/seed{seed}/evaluation.json" for seed in (1, 2)}
    assert results <= set(stages["report-Tiny"]["deps"])
    assert results.isdisjoint(stages["evaluate-Tiny-1"]["deps"])


def test_what_a_stage_reads_is_written_by_an_earlier_one(root: Path) -> None:
    written: set[str] = set()
    for name, stage in planned(root)["stages"].items():
        assert {dep for dep in stage["deps"] if dep.startswith("results/")} <= written, name
        outs = [*stage.get("outs", []), *stage.get("metrics", [])]
        assert written.isdisjoint(outs), name
        written.update(outs)


def test_a_section_is_checked_with_its_own_keys_only(root: Path) -> None:
    stages = planned(root)["stages"]
    assert {"configs/Tiny.yaml": ["task", "env", "evaluation"]} in stages["validate-Tiny-evaluation"]["params"]
    assert {"configs/Tiny.yaml": None} in stages["validate-Tiny-report"]["params"]


def test_a_config_without_a_key_is_tracked_as_a_whole(root: Path) -> None:
    (root / "configs/Tiny.yaml").write_text(re.sub("^env: .*\n", "", TINY, flags=re.MULTILINE))
    assert {"configs/Tiny.yaml": None} in planned(root)["stages"]["validate-Tiny-train"]["params"]


def test_files_of_another_task_are_no_dependency() -> None:
    keys = frozenset(["task", "env", "train", "selection", "evaluation", "report"])
    base = find_task("BaseTask")
    grasp = replace(
        base,
        source=PACKAGE / "tasks/dex_grasp_task.py",
        schema=PACKAGE / "config/dex_grasp_task.py",
        config_file=PACKAGE / "cfg/task/DexGraspTask.yaml",
    )
    variants = [Variant("Tiny", base, "mujoco", (1,), keys), Variant("Grasp", grasp, "mujoco", (1,), keys)]
    stages = expand(read_yaml(ROOT / STAGES).values, variants)["stages"]
    assert "dexhand_env/tasks/base_task.py" in stages["train-Tiny-1"]["deps"]
    assert "dexhand_env/tasks/dex_grasp_task.py" in stages["train-Grasp-1"]["deps"]
    assert "dexhand_env/tasks/base_task.py" not in stages["train-Grasp-1"]["deps"]
    assert "dexhand_env/config/base_task.py" not in stages["train-Grasp-1"]["deps"]
    assert {"dexhand_env/cfg/task/DexGraspTask.yaml": None} in stages["validate-Grasp-train"]["params"]


def test_files_of_the_gpus_physics_are_dependencies_of_a_training_there_alone(root: Path) -> None:
    warp = {f"dexhand_env/sim/{name}.py" for name in ("mujoco_warp", "warp_kernels", "warp_peaks")}
    for backend, training in (("auto", set()), ("mujoco", set()), ("mujoco_warp", warp)):
        text = re.sub("^env: .*\n", f"env: {{sim: {{backend: {backend}}}}}\n", TINY, flags=re.MULTILINE)
        (root / "configs/Tiny.yaml").write_text(text)
        stages = planned(root)["stages"]
        assert warp & set(stages["train-Tiny-1"]["deps"]) == training
        assert not warp & {*stages["select-Tiny-1"]["deps"], *stages["evaluate-Tiny-1"]["deps"]}


def test_the_files_of_a_task_from_outside_are_dependencies(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    (root / "mine").mkdir()
    source = "from dexhand_env.env.task import Task, register_task\n\n\n@register_task\nclass Planned(Task):\n"
    (root / "mine/task.py").write_text(f"{source}    def compute_task_rewards(self):\n        return {{}}\n")
    (root / "mine/Planned.yaml").write_text("task: Planned\nrewards: {height: 1}\n")
    (root / "configs/Tiny.yaml").write_text(TINY.replace("task: BaseTask", "task: mine/task.py:Planned"))
    stages = planned(root)["stages"]
    for name in ("validate-Tiny-train", "train-Tiny-1", "select-Tiny-1", "evaluate-Tiny-1"):
        assert stages[name]["deps"].count("mine/task.py") == 1
    assert {"mine/Planned.yaml": None} in stages["validate-Tiny-train"]["params"]
    assert {"dexhand_env/cfg/train/BaseTaskPPO.yaml": None} in stages["validate-Tiny-train"]["params"]
    (root / "mine/PlannedPPO.yaml").write_text((PACKAGE / "cfg/train/BaseTaskPPO.yaml").read_text())
    assert {"mine/PlannedPPO.yaml": None} in planned(root)["stages"]["validate-Tiny-train"]["params"]


def own_task(root: Path, name: str, imports: str, files: str = "()") -> None:
    """A task in mine/ that Tiny is about, with its YAML."""
    (root / "mine").mkdir(exist_ok=True)
    source = (
        "from dexhand_env.config.task import TaskConfig\nfrom dexhand_env.env.task import Task, register_task\n"
        f"{imports}\n\n\nclass Config(TaskConfig):\n    FILES = {files}\n\n\n@register_task(config_class=Config)\n"
        f"class {name}(Task):\n    def compute_task_rewards(self):\n        import lazy\n        return {{}}\n"
    )
    (root / f"mine/{name}.py").write_text(source)
    (root / f"mine/{name}.yaml").write_text(f"task: {name}\nrewards: {{height: 1}}\n")
    (root / "configs/Tiny.yaml").write_text(TINY.replace("task: BaseTask", f"task: mine/{name}.py:{name}"))


OF_THE_TASK = [f"validate-Tiny-{section}" for section in ("train", "selection", "evaluation", "report")]
OF_THE_TASK += ["train-Tiny-1", "select-Tiny-2", "evaluate-Tiny-1"]


def test_what_a_task_from_outside_imports_and_reads_is_a_dependency(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.syspath_prepend(elsewhere)
    monkeypatch.syspath_prepend(root / "mine")
    own_task(root, "Imports", "import planned_heights", "['mesh {1}.stl', 'data']")
    (root / "mine/planned_heights.py").write_text("from planned_units import M\n")
    (root / "mine/lazy.py").touch()
    (elsewhere / "planned_units.py").write_text("M = 1.0\n")
    (root / "mine/mesh {1}.stl").touch()
    (root / "mine/data").mkdir()
    (root / "mine/data/a.npz").touch()
    stages = planned(root)["stages"]
    names = ["mine/Imports.py", "mine/planned_heights.py", "mine/lazy.py", "mine/mesh {1}.stl", "mine/data/a.npz"]
    for stage in OF_THE_TASK:
        for file in [*names, str(elsewhere.resolve() / "planned_units.py")]:
            assert stages[stage]["deps"].count(file) == 1
    assert not {*names} & {*stages["report-Tiny"]["deps"], *stages["check-Tiny"]["deps"], *stages["plan"]["deps"]}
    (root / "mine/lazy.py").write_text("import later\n")
    (root / "mine/later.py").touch()
    assert "mine/later.py" in planned(root)["stages"]["train-Tiny-1"]["deps"]


def test_what_it_takes_from_the_package_is_a_dependency_where_the_stage_has_it_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    own_task(root, "Extends", "import dexhand_env.sim.kinematics\nfrom dexhand_env.tasks.dex_grasp import DexGrasp")
    (root / "mine/lazy.py").touch()
    stages = planned(root)["stages"]
    for stage in ("train-Tiny-1", "select-Tiny-1", "evaluate-Tiny-1"):
        for file in ("sim/kinematics.py", "tasks/dex_grasp.py", "config/dex_grasp.py"):
            assert stages[stage]["deps"].count(f"dexhand_env/{file}") == 1
    assert "dexhand_env/config/dex_grasp.py" in stages["validate-Tiny-train"]["deps"]
    assert "dexhand_env/sim/kinematics.py" not in stages["validate-Tiny-train"]["deps"]


def test_files_that_a_task_says_it_reads_must_be_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    own_task(root, "Absent", "", "['none.stl']")
    with pytest.raises(UserError, match=r"^mine/Absent\.py: Config\.FILES: none\.stl is not there; allowed: a file or"):
        update(root, read_variants(root))
    assert not (root / "dvc.yaml").exists()


def test_update_says_what_was_new_changed_and_removed(root: Path) -> None:
    _, first = update(root, read_variants(root))
    assert "train-Tiny-1" in first.new
    assert update(root, read_variants(root))[1] == type(first)((), (), ())
    (root / "configs/experiments.yaml").write_text("Tiny: [2, 3]\n")
    _, second = update(root, read_variants(root))
    assert second.new == ("train-Tiny-3", "select-Tiny-3", "evaluate-Tiny-3")
    assert second.changed == ("report-Tiny",)
    assert second.removed == ("train-Tiny-1", "select-Tiny-1", "evaluate-Tiny-1")
    assert list(yaml.safe_load((root / "dvc.yaml").read_text())["stages"]) == list(planned(root)["stages"])


@pytest.mark.parametrize("damaged", ["", "stages: [", "stages: 3\n"])
def test_a_damaged_file_is_written_anew(root: Path, damaged: str) -> None:
    (root / "dvc.yaml").write_text(damaged)
    _, difference = update(root, read_variants(root))
    assert "train-Tiny-1" in difference.new
    assert (root / "dvc.yaml").read_text() == render(planned(root))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("experiments.yaml", "Tiny: 42\n", "configs/experiments.yaml"),
        ("experiments.yaml", "Missing: [1]\n", "configs/Missing.yaml"),
        ("Tiny.yaml", "train: {}\n", "configs/Tiny.yaml"),
        ("Tiny.yaml", TINY.replace("BaseTask", "NoTask"), "configs/Tiny.yaml.*NoTask"),
        ("Tiny.yaml", TINY.replace("num_envs: 16", "num_envs: many"), "configs/Tiny.yaml.*many"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, message: str
) -> None:
    monkeypatch.chdir(root)
    (root / "configs" / file).write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        update(root, read_variants(root))
    assert "\n" not in str(raised.value)
    assert not (root / "dvc.yaml").exists()
