"""The stage `evaluate`: test the chosen policy on fresh episodes, under each condition and in each variant.

    python -m dexhand_env.stages.evaluate <Experiment> <seed>

Every episode is played once and to its end, without exploration noise. Some of the training condition are kept as
replays: the best (highest return), the median, the worst, and a failure of each further kind.
"""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.files import require_writable, write_bytes, write_json
from dexhand_env.stages.devices import played
from dexhand_env.stages.inputs import SeedFolder, experiment_files, read_json, read_section, seed_stage, task_config
from dexhand_env.stages.record import given_threads, record_stage

if TYPE_CHECKING:
    import pyarrow

    from dexhand_env.rl.play import EpisodeTable, Trajectories
    from dexhand_env.sim.scene import Scene

SELECTED = "the select stage's output"
REPLAYED_CONDITION = "training"
FAILURE = "failure_"
MOST_FAILURES = 4  # kinds of failure, the most frequent first: each replay adds to the report's size


def evaluate(experiment: str, seed: int) -> None:
    """Write evaluation.json, episodes.parquet and replays.npz.

    Raises:
        UserError: a missing or damaged input, or a policy that does not fit the task.
    """
    section = read_section(experiment, "evaluation")
    target = SeedFolder(experiment, seed)
    selection = read_json(target.path / "selection.json", SELECTED)
    require_writable(target.path)
    with record_stage("evaluate", target.record("evaluate"), experiment_files(experiment, section["task"])) as record:
        import torch

        from dexhand_env.rl.checkpoint import load_checkpoint
        from dexhand_env.rl.play import play_episodes
        from dexhand_env.rl.policy import Policy

        threads = given_threads()
        torch.set_num_threads(1)  # more would change the last bits of actions, and so the episodes
        best = target.path / "best.pth"
        state = load_checkpoint(best)
        chosen = _chosen(selection, state, target)
        policy = Policy(state, torch.device("cpu"), f"checkpoint {best}")
        first_seed, episodes = section["evaluation"]["first_seed"], section["evaluation"]["episodes"]
        tables, summaries = {}, {}
        for name, env, preset in _tests(section):
            config, physics = played(task_config({**section, "env": env})), Physics.model_validate(preset)
            replayed = name == REPLAYED_CONDITION
            table, motion = play_episodes(config, physics, policy, first_seed, episodes, threads, replayed)
            if motion is not None:
                replays = _replays(config, physics, table, motion)
            tables[name], summaries[name] = table, summarise(table, preset)
            low, high = table.interval
            print(f"{name}: success {table.success_rate:.4f} [{low:.4f}, {high:.4f}]", flush=True)
        evaluation = {"experiment": experiment, "seed": seed, "checkpoint": chosen, **_sorted_out(section, summaries)}
        write_bytes(target.path / "replays.npz", replays)
        write_bytes(target.path / "episodes.parquet", _parquet(tables))
        write_json(target.path / "evaluation.json", evaluation)
        record["episodes"] = sum(table.episodes for table in tables.values())


def _chosen(selection: dict[str, Any], state: dict[str, Any], target: SeedFolder) -> str:
    """The name of the checkpoint that was chosen, which best.pth has to be: evaluation.json says that it was played.

    Raises:
        UserError: selection.json or best.pth is of another experiment, seed or checkpoint.
    """
    where, of = str(target.path / "selection.json"), "{} seed {}"
    found, own = (selection.get("experiment"), selection.get("seed")), (target.experiment, target.seed)
    if found != own:
        raise UserError(where, f"is of {of.format(*found)}", f"{SELECTED} for {of.format(*own)}")
    try:
        chosen: str = selection["chosen"]
        iterations = {each["checkpoint"]: each["iteration"] for each in selection["candidates"]}
        wanted = (iterations[chosen], target.seed)
    except (KeyError, TypeError) as error:
        raise UserError(where, "is damaged: it has chosen none of its candidates", SELECTED) from error
    played, said = (state["iteration"], state.get("seed")), "iteration {} of seed {}"
    if played != wanted:
        allowed = f"{said.format(*wanted)}, which selection.json has chosen"
        raise UserError(f"checkpoint {target.path / 'best.pth'}", f"is {said.format(*played)}", allowed)
    return chosen


def _tests(section: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, task and physics of each test; the training condition first: it is what the user waits for."""
    conditions = section["evaluation"]["conditions"]
    for name, preset in sorted(conditions.items(), key=lambda item: item[0] != REPLAYED_CONDITION):
        yield name, section["env"], preset
    for name, variant in section["evaluation"]["variants"].items():
        yield name, variant["env"], conditions[REPLAYED_CONDITION]


def _sorted_out(section: dict[str, Any], summaries: dict[str, Any]) -> dict[str, Any]:
    """Summaries by name as evaluation.json has them."""
    variants = section["evaluation"]["variants"]
    return {
        "conditions": {name: summary for name, summary in summaries.items() if name not in variants},
        "variants": {name: {"changes": each["changes"], **summaries[name]} for name, each in variants.items()},
    }


def summarise(table: EpisodeTable, physics: dict[str, Any]) -> dict[str, Any]:
    """What evaluation.json says of one condition."""
    return {
        "physics": physics,
        "success_rate": table.success_rate,
        "interval": list(table.interval),
        "episodes": table.episodes,
        "successes": table.successes,
        "mean_return": float(table.returns.mean()),
        "mean_length_steps": float(table.lengths.mean()),
        "outcomes": dict(sorted(Counter(table.outcomes.tolist()).items())),
        "metrics": {name: _summary(values) for name, values in table.metrics.items()},
        "nan_resets": table.nan_resets,
        "contact_overflows": table.contact_overflows,
    }


def _summary(values: Any) -> dict[str, float | None]:
    """Of the episodes in which a task's metric has a value: it may be a quotient by nothing, and JSON knows no NaN."""
    import numpy as np

    known = values[np.isfinite(values)]
    return (
        {"mean": float(known.mean()), "largest": float(known.max())} if known.size else {"mean": None, "largest": None}
    )


def _parquet(tables: dict[str, EpisodeTable]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    def rows(condition: str, table: EpisodeTable) -> pyarrow.Table:
        count = table.episodes
        columns = {
            "condition": [condition] * count,
            "episode": range(count),
            "seed": table.seeds,
            "success": table.success,
            "outcome": table.outcomes.tolist(),
            "return": table.returns,
            "length_steps": table.lengths,
            **table.metrics,
        }
        return pyarrow.table(columns)

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.concat_tables([rows(*item) for item in tables.items()]), buffer)
    return buffer.getvalue()


def replayed_episodes(table: EpisodeTable) -> dict[str, int]:
    """Index of each episode that is kept, by the name of its replay: best, median, worst, failure_<outcome>."""
    import numpy as np

    # A failed episode never outranks a successful one.
    order = np.lexsort((table.returns, table.success))
    chosen = {"best": int(order[-1]), "median": int(order[len(order) // 2]), "worst": int(order[0])}
    kinds = Counter(table.outcomes[~table.success].tolist()).most_common(MOST_FAILURES)
    shown = {table.outcomes[episode] for episode in chosen.values()}
    for kind in (kind for kind, _ in kinds if kind not in shown):
        alike = order[table.outcomes[order] == kind]
        chosen[FAILURE + kind] = int(alike[len(alike) // 2])
    return chosen


def _replays(config: Any, physics: Physics, table: EpisodeTable, motion: Trajectories) -> bytes:
    import numpy as np

    from dexhand_env.sim.kinematics import body_trajectory
    from dexhand_env.tasks.registry import simulated_scene

    scene, chosen = simulated_scene(config), replayed_episodes(table)
    arrays: dict[str, Any] = {"names": list(chosen), "control_dt_s": physics.control_dt_s, "meshes_side": scene.side}
    for name, episode in chosen.items():
        steps = int(table.lengths[episode])
        joints, objects = motion.joint_positions[:steps, episode], motion.object_poses[:steps, episode]
        bodies, positions, quaternions = body_trajectory(scene, physics, joints, objects)
        replay: dict[str, Any] = {
            "positions": positions,
            "quaternions": quaternions,
            "episode": episode,
            "seed": int(table.seeds[episode]),
            "success": bool(table.success[episode]),
            "outcome": str(table.outcomes[episode]),
            "return": float(table.returns[episode]),
        }
        if motion.goal_joints is not None:
            _, goal_positions, goal_quaternions = body_trajectory(scene, physics, motion.goal_joints[episode][None])
            replay.update(goal_positions=goal_positions[0], goal_quaternions=goal_quaternions[0])
        if motion.target_positions is not None:
            replay["target_positions"] = motion.target_positions[:steps, episode]
        replay.update(_objects(scene, motion, episode))
        arrays.update(body_names=bodies, **{f"{name}_{key}": value for key, value in replay.items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _objects(scene: Scene, motion: Trajectories, episode: int) -> dict[str, list[str]]:
    """Shape and sizes of the objects of an episode, as replays.npz has them."""
    from dexhand_env.sim.scene import geom_size

    found = {}
    for place, item in enumerate(scene.objects):
        shape = item.shapes[motion.object_shapes[episode, place]]
        size_m = geom_size(shape, motion.object_extents_m[episode, place].tolist())
        found[f"object_{item.name}"] = [shape, *map(str, size_m)]
    return found


if __name__ == "__main__":
    sys.exit(seed_stage("evaluate", "Test the chosen policy of one seed on fresh episodes.", evaluate))
