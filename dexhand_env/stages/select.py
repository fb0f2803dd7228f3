"""The stage `select`: play every published checkpoint on the same held-out episodes and choose the best.

    python -m dexhand_env.stages.select <Experiment> <seed>

The highest success rate wins, then the highest mean return, then the earliest iteration.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dexhand_env.config.physics import Physics
from dexhand_env.errors import UserError
from dexhand_env.files import require_writable, write_bytes, write_json
from dexhand_env.stages.devices import played
from dexhand_env.stages.inputs import SeedFolder, experiment_files, read_section, seed_stage, task_config
from dexhand_env.stages.record import given_threads, record_stage


def choose(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """The candidate with the highest success rate; of equals the highest mean return, then the earliest."""
    return min(candidates, key=lambda c: (-c["success_rate"], -c["mean_return"], c["iteration"]))


def select(experiment: str, seed: int) -> None:
    """Write selection.json and best.pth.

    Raises:
        UserError: no checkpoints, or one that does not fit the configuration.
    """
    section = read_section(experiment, "selection")
    target = SeedFolder(experiment, seed)
    files = sorted(target.checkpoints.glob("checkpoint_*.pth"))
    if not files:
        raise UserError(
            str(target.checkpoints), "holds no checkpoint", "the checkpoints that the train stage publishes"
        )
    require_writable(target.path)
    with record_stage("select", target.record("select"), experiment_files(experiment, section["task"])):
        candidates = sorted((_play(file, section) for file in files), key=lambda c: (c["iteration"], c["checkpoint"]))
        chosen = choose(candidates)
        selection = {
            "experiment": experiment,
            "seed": seed,
            **section["selection"],
            "candidates": candidates,
            "chosen": chosen["checkpoint"],
        }
        write_bytes(target.path / "best.pth", (target.checkpoints / chosen["checkpoint"]).read_bytes())
        write_json(target.path / "selection.json", selection)
    print(f"{experiment} seed {seed}: chose {chosen['checkpoint']} with success {chosen['success_rate']:.3f}")


def _play(file: Path, section: dict[str, Any]) -> dict[str, Any]:
    import torch

    from dexhand_env.rl.checkpoint import load_checkpoint
    from dexhand_env.rl.play import play_episodes
    from dexhand_env.rl.policy import Policy

    threads = given_threads()
    torch.set_num_threads(1)  # more would change the last bits of actions, and so the episodes
    state = load_checkpoint(file)
    table, _ = play_episodes(
        played(task_config(section)),
        Physics.model_validate(section["physics"]),
        Policy(state, torch.device("cpu"), f"checkpoint {file}"),
        section["selection"]["first_seed"],
        section["selection"]["episodes"],
        threads,
    )
    print(f"{file.name}: {table.successes} of {table.episodes}", flush=True)
    return {
        "checkpoint": file.name,
        "iteration": state["iteration"],
        "frames": state["frames"],
        "success_rate": table.success_rate,
        "interval": list(table.interval),
        "mean_return": float(table.returns.mean()),
    }


if __name__ == "__main__":
    sys.exit(seed_stage("select", "Choose the best checkpoint of one seed on held-out episodes.", select))
