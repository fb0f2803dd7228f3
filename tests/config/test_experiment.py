"""Experiments: what they resolve to, and the rules between their files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from dexhand_env.config.experiment import SECTIONS, load_experiment
from dexhand_env.config.ppo import PPOParams
from dexhand_env.config.registry import load_task
from dexhand_env.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
Write = Callable[..., Path]


def test_a_variant_is_the_trained_task_with_its_overrides(write_experiment: Write) -> None:
    variants = {"far": {"goal": {"position_range_m": 0.3}}, "loose": {"success": {"position_m": 0.05}}}
    root = write_experiment({"env": {"success": {"rotation_rad": 0.2}}, "evaluation": {"variants": variants}})
    found = load_experiment("BaseTask", root).section("evaluation")["evaluation"]["variants"]
    assert found["far"]["changes"] == [{"key": "env.goal.position_range_m", "default": 0.15, "value": 0.3}]
    assert found["loose"]["env"]["success"]["position_m"] == 0.05
    assert found["loose"]["env"]["success"]["rotation_rad"] == 0.2


def test_the_shipped_experiment_is_what_was_measured_to_learn_fast() -> None:
    experiment = load_experiment("BaseTask", ROOT)
    config = experiment.params.config
    assert experiment.seeds == (42,)
    assert (experiment.num_envs, experiment.task.sim.physics) == (512, "fast")
    assert (config.horizon_length, config.minibatch_size, config.mini_epochs) == (16, 2048, 3)
    assert (config.learning_rate, config.lr_schedule, config.gamma, config.tau) == (3e-3, "linear", 0.9, 0.95)
    assert experiment.params.network.mlp.units == (128, 64)
    assert experiment.notices == []


def test_the_experiment_for_a_gpu_waits_for_a_line_in_the_list(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    with pytest.raises(UserError, match=r"experiments\.yaml: no experiment BaseTaskGPU"):
        load_experiment("BaseTaskGPU", tmp_path)
    (tmp_path / "configs" / "experiments.yaml").write_text("BaseTaskGPU: [1]\n", encoding="utf-8")
    experiment = load_experiment("BaseTaskGPU", tmp_path)
    config = experiment.params.config
    assert (experiment.task.sim.backend, experiment.task.sim.physics) == ("mujoco_warp", "default")
    assert (experiment.num_envs, config.minibatch_size, config.mini_epochs) == (8192, 32768, 5)
    assert experiment.notices == []


def test_each_section_is_complete_for_its_stage_and_plain_json() -> None:
    experiment = load_experiment("BaseTask", ROOT)
    documents = {name: json.loads(json.dumps(experiment.section(name), allow_nan=False)) for name in SECTIONS}
    for document in documents.values():
        assert (document["experiment"], document["task"]) == ("BaseTask", "BaseTask")
    train = documents["train"]
    assert set(train) == {"experiment", "task", "env", "physics", "train"}
    assert load_task("BaseTask", train["env"]) == experiment.task
    assert PPOParams.model_validate(train["train"]["params"]) == experiment.params
    assert train["train"]["params"]["config"]["max_epochs"] == train["train"]["max_iterations"]
    assert train["physics"]["name"] == "fast"
    assert documents["selection"]["selection"] == {"episodes": 256, "first_seed": 1000000}
    conditions = documents["evaluation"]["evaluation"]["conditions"]
    assert {name: physics["timestep_s"] for name, physics in conditions.items()} == {
        "training": 0.01,
        "reference": 0.001,
    }
    report = documents["report"]
    assert report["seeds"] == [42]
    assert set(report["config"]) == {"task", "env", "train", "selection", "evaluation", "report"}
    assert {"key": "train.params.config.gamma", "default": 0.99, "value": 0.9} in report["differences"]
    assert {"key": "env.sim.physics", "default": "default", "value": "fast"} in report["differences"]


def test_an_experiment_that_changes_nothing_differs_in_nothing_but_its_length(write_experiment: Write) -> None:
    root = write_experiment()
    path = root / "configs" / "BaseTask.yaml"
    path.write_text(
        "task: BaseTask\ntrain: {num_envs: 1024, max_iterations: 200}\nselection: {episodes: 1, first_seed: 100}\n"
        "evaluation: {episodes: 1, first_seed: 200, conditions: [training]}\nreport: {success_goal: 0.2}\n"
    )
    differences = load_experiment("BaseTask", root).differences
    assert differences == [{"key": "train.params.config.max_epochs", "default": 10000, "value": 200}]


@pytest.mark.parametrize(("goal", "episodes", "is_noticed"), [(0.99, 32, True), (0.9, 32, True), (0.89, 32, False)])
def test_a_goal_that_so_few_episodes_cannot_show_is_noticed(
    write_experiment: Write, goal: float, episodes: int, is_noticed: bool
) -> None:
    root = write_experiment({"report": {"success_goal": goal}, "evaluation": {"episodes": episodes}})
    found = [notice for notice in load_experiment("BaseTask", root).notices if "cannot be met" in notice]
    words = f"report.success_goal {goal:g} cannot be met: 32 successes in 32 episodes show 0.893"
    assert found == [words] * is_noticed


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"task": "DexHandover"}, "task", "found the task 'DexHandover'; allowed: BaseTask"),
        ({"tsk": 1}, "tsk", "unknown key; allowed: task (the nearest)"),
        ({"train": {"num_env": 1}}, "train.num_env", "unknown key; allowed: num_envs (the nearest)"),
        ({"train": {"num_envs": 0}}, "train.num_envs", "found 0; allowed: a whole number from 1"),
        ({"train": {"num_envs": "many"}}, "train.num_envs", "found 'many'; allowed: a whole number"),
        ({"env": {"sim": {"physics": "fats"}}}, "env.sim.physics", "found 'fats'; allowed: fast (the nearest)"),
        ({"env": {"rewards": {"sucess": 1}}}, "env.rewards.sucess", "unknown reward; allowed: success (the nearest)"),
        ({"env": {"task": "BaseTask"}}, "env.task", "this key is not taken: the task is named by the key task"),
        (
            {"train": {"params": {"config": {"gamma": 2}}}},
            "train.params.config.gamma",
            "found 2; allowed: a number from 0 to 1",
        ),
        ({"train": {"params": {"seed": 1}}}, "train.params.seed", "this key is not taken: the training seeds stand in"),
        (
            {"train": {"params": {"config": {"max_epochs": 5}}}},
            "train.params.config.max_epochs",
            "this key is not taken: set train.max_iterations",
        ),
        (
            {"train": {"params": {"config": {"save_frequency": 151}}}},
            "train.params.config.save_frequency",
            "151 is above train.max_iterations, so no checkpoint would be saved; allowed: at most 150",
        ),
        (
            {"train": {"num_envs": 200}},
            "train.params.config.minibatch_size",
            "2048 does not divide horizon_length 16 x num_envs 200 = 3200; allowed: minibatch_size 1600 or 3200",
        ),
        (
            {"evaluation": {"first_seed": 1000100}},
            "evaluation.first_seed",
            "seeds 1000100 to 1001123 meet selection's seeds 1000000 to 1000255; allowed: disjoint seeds; the",
        ),
        (
            {"selection": {"first_seed": 40}},
            "selection.first_seed",
            "seeds 40 to 295 meet the training seed 42; allowed: disjoint seeds; the first free first_seed is 43",
        ),
        (
            {"evaluation": {"first_seed": 0}},
            "evaluation.first_seed",
            "seeds 0 to 1023 meet the training seed 42; allowed: disjoint seeds; the first free first_seed is 43",
        ),
        (
            {"evaluation": {"first_seed": 2147483647}},
            "evaluation.first_seed",
            "its last seed would be 2147484670; allowed: at most 2147482624",
        ),
        (
            {"evaluation": {"conditions": ["training", "slow"]}},
            "evaluation.conditions[1]",
            "found 'slow'; allowed: training, default, gentle, fast, reference",
        ),
        ({"evaluation": {"conditions": ["fast", "fast"]}}, "evaluation.conditions[1]", "fast is listed twice"),
        ({"evaluation": {"conditions": ["fast"]}}, "evaluation.conditions", "training is missing"),
        (
            {"evaluation": {"variants": {"far": {"goal": {"position_range": 1}}}}},
            "evaluation.variants.far.goal.position_range",
            "unknown key; allowed: position_range_m (the nearest)",
        ),
        (
            {"evaluation": {"variants": {"other": {"observations": {"policy": ["goal"]}}}}},
            "evaluation.variants.other.observations",
            "this key is not taken: the policy was trained with it",
        ),
        (
            {"evaluation": {"variants": {"other": {"hand": {"side": "left"}}}}},
            "evaluation.variants.other.hand.side",
            "this key is not taken: the policy was trained with it",
        ),
        ({"evaluation": {"variants": {"same": {}}}}, "evaluation.variants.same", "changes nothing"),
        ({"evaluation": {"variants": {"fast": {}}}}, "evaluation.variants.fast", "is the name of a condition"),
        ({"report": {"success_goal": 95}}, "report.success_goal", "found 95; allowed: a number "),
        ({"report": {"success_goal": 1}}, "report.success_goal", "found 1; allowed: a number "),
        ({"report": None}, "report", "found null; allowed: a section with the keys success_goal"),
    ],
)
def test_a_problem_is_named_in_the_experiments_own_file(
    write_experiment: Write, monkeypatch: pytest.MonkeyPatch, changes: Dict[str, Any], place: str, message: str
) -> None:
    monkeypatch.chdir(write_experiment(changes))
    with pytest.raises(UserError) as raised:
        load_experiment("BaseTask")
    where, _, rest = str(raised.value).partition(f" {place}: ")
    assert where.startswith("configs/BaseTask.yaml:")
    assert rest.startswith(message)


def test_a_default_that_does_not_fit_is_named_in_the_default_file(write_experiment: Write) -> None:
    root = write_experiment()
    path = root / "configs" / "BaseTask.yaml"
    path.write_text(path.read_text().replace("minibatch_size: 2048", "").replace("num_envs: 512", "num_envs: 1000"))
    with pytest.raises(UserError, match=r"BaseTaskPPO.yaml:\d+:5: params.config.minibatch_size: 8192 does not divide"):
        load_experiment("BaseTask", root)


def test_references_stay_within_the_experiments_file(write_experiment: Write) -> None:
    root = write_experiment({"evaluation": {"episodes": "${selection.episodes}"}})
    assert load_experiment("BaseTask", root).evaluation.episodes == 256
    root = write_experiment({"env": {"episode_length_steps": "${train.num_envs}"}})
    assert load_experiment("BaseTask", root).task.episode_length_steps == 512


def test_a_small_experiment_shrinks_its_minibatch_and_says_so(write_experiment: Write) -> None:
    experiment = load_experiment("BaseTask", write_experiment({"train": {"num_envs": 8}}))
    assert experiment.section("train")["train"]["params"]["config"]["minibatch_size"] == 128
    assert experiment.notices == ["minibatch_size 2048 shrinks to 128: horizon_length 16 x 8 environments"]


def test_an_experiment_must_be_listed_and_have_a_file(write_experiment: Write) -> None:
    root = write_experiment()
    with pytest.raises(UserError, match=r"experiments.yaml: no experiment Basetask; allowed: BaseTask \(the nearest\)"):
        load_experiment("Basetask", root)
    (root / "configs" / "BaseTask.yaml").unlink()
    with pytest.raises(UserError, match=r"BaseTask\.yaml: cannot be read"):
        load_experiment("BaseTask", root)
    with pytest.raises(UserError, match="allowed: a name of letters"):
        load_experiment("../BaseTask", root)


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(UserError, match=r"found 'evaluate'; allowed: evaluation \(the nearest\), train, selection"):
        load_experiment("BaseTask", ROOT).section("evaluate")
