"""A results folder with the shapes, sizes and names of a real run; the hand moves by MuJoCo's own kinematics."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pyarrow
import pyarrow.parquet

from dexhand_env.files import write_json
from dexhand_env.hand.joints import body_names
from dexhand_env.hand.model import hand_element
from dexhand_env.intervals import wilson_interval

CONTROL_DT_S = 0.02
REPLAYS = ["best", "median", "worst", "failure_out_of_reach"]
TERMS = {"position": -0.09, "rotation": -0.05, "fingers": -0.11, "action_rate": -0.004, "success": 0.12}
CONFIG = {
    "task": "BaseTask",
    "env": {
        "sim": {"physics": "fast"},
        "episode_steps": 100,
        "reward": {"position": 3.0, "rotation": 2.0},
        "success": {"position_m": 0.01, "hold_steps": 10},
    },
    "train": {"num_envs": 512, "max_iterations": 120, "params": {"config": {"gamma": 0.9, "tau": 0.95}}},
    "evaluation": {"episodes": 1024, "first_seed": 2000000, "conditions": ["training", "reference"]},
    "report": {"success_goal": 0.95},
}
DIFFERENCES = [
    {"key": "env.sim.physics", "default": "default", "value": "fast"},
    {"key": "train.params.config.gamma", "default": 0.99, "value": 0.9},
]
VARIANTS: dict[str, tuple[float, list[dict[str, Any]]]] = {
    "slow": (0.7, [{"key": "env.speed_limit", "default": 1.0, "value": 0.5}]),
    "fast": (0.9, [{"key": "env.speed_limit", "default": 1.0, "value": 2.0}]),
    "left hand": (0.4, [{"key": "env.hand.side", "default": "right", "value": "left"}]),
}
PHYSICS: dict[str, dict[str, Any]] = {
    "training": {"name": "fast", "timestep_s": 0.01, "substeps": 2},
    "reference": {"name": "reference", "timestep_s": 0.001, "substeps": 20},
}


def write_results(
    folder: Path,
    *,
    experiment: str = "BaseTask",
    seeds: tuple[int, ...] = (42,),
    episodes: int = 1024,
    success_rate: float = 0.982,
    note: str = "",
    variants: Mapping[str, tuple[float, list[dict[str, Any]]]] | None = None,
) -> Path:
    """Write ``folder``/<experiment> as a finished pipeline leaves it, without the report; returns that folder.

    ``note`` is put wherever a user's own text can stand: outcomes, versions, settings, physics names. ``variants`` have
    each a success rate and the changes that evaluation.json records, and a quarter of the episodes.
    """
    root = folder / experiment
    config = {**CONFIG, "note": note} if note else CONFIG
    write_json(
        root / "config" / "report.json",
        {
            "experiment": experiment,
            "task": "BaseTask",
            "summary": f"Bring the whole hand into a commanded posture.{note}",
            "seeds": list(seeds),
            "report": {"success_goal": 0.95, "allowed_drop": 0.1},
            "config": config,
            "differences": [*DIFFERENCES, *([{"key": "note", "default": None, "value": note}] if note else [])],
        },
    )
    for seed in seeds:
        _write_seed(root / f"seed{seed}", experiment, seed, episodes, success_rate, note, variants or {})
    return root


def _write_seed(
    root: Path,
    experiment: str,
    seed: int,
    episodes: int,
    success_rate: float,
    note: str,
    variants: Mapping[str, tuple[float, list[dict[str, Any]]]],
) -> None:
    random = np.random.default_rng(seed)
    _write_history(root / "history.csv", random)
    _write_selection(root / "selection.json", experiment, seed)
    tables = {name: _episodes(random, name, episodes, success_rate, note) for name in PHYSICS}
    varied = {name: _episodes(random, name, episodes // 4, rate, note) for name, (rate, _) in variants.items()}
    columns = {
        key: np.concatenate([table[key] for table in (*tables.values(), *varied.values())])
        for key in tables["training"]
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), root / "episodes.parquet")
    conditions = {name: _condition(table, name, note) for name, table in tables.items()}
    others = {
        name: {**_condition(table, "training", note), "changes": variants[name][1]} for name, table in varied.items()
    }
    checkpoint = "checkpoint_120.pth"
    write_json(
        root / "evaluation.json",
        {
            "experiment": experiment,
            "seed": seed,
            "checkpoint": checkpoint,
            "conditions": conditions,
            "variants": others,
        },
    )
    np.savez_compressed(root / "replays.npz", **replay_arrays())
    started = {"train": ("05:10:02", 71.4), "select": ("05:11:16", 18.9), "evaluate": ("05:11:38", 64.2)}
    for stage, (at, seconds) in started.items():
        write_json(root / "stages" / f"{stage}.json", _stage(stage, at, seconds, note))


def _write_history(path: Path, random: np.random.Generator, iterations: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for iteration in range(1, iterations + 1):
        done = 1.0 - np.exp(-iteration / 25.0)
        jitter = random.normal(0.0, 0.02)
        row: dict[str, Any] = {
            "iteration": iteration,
            "frames": iteration * 8192,
            "seconds": round(0.45 * iteration, 3),
            "return": -38.0 + 33.0 * done + 20 * jitter if iteration > 6 else "",
            "success_rate": float(np.clip(1.05 * done - 0.15 + jitter, 0.0, 1.0)) if iteration > 6 else "",
            "episode_length": 100.0 - 62.0 * done + 30 * jitter if iteration > 6 else "",
            "policy_loss": -0.012 + 0.3 * jitter,
            "value_loss": 0.9 * (1.0 - done) + 0.02 + abs(jitter),
            "entropy": 16.5 - 4.0 * done,
            "bounds_loss": 0.001,
            "kl": 0.016 + 0.2 * abs(jitter),
            "learning_rate": 1e-3 * (1.5 if iteration % 3 else 1.0) ** (1 if iteration < 50 else -1),
            "frames_per_second": 18000.0,
        }
        row |= {f"reward/{name}": scale * (1.2 - done if scale < 0 else done) for name, scale in TERMS.items()}
        row |= {f"raw_reward/{name}": abs(scale) for name, scale in TERMS.items()}
        succeeded = float(np.clip(done + jitter, 0.0, 1.0))
        row |= {"termination/success": succeeded, "termination/timeout": 1.0 - succeeded}
        rows.append(row | {"nan_resets": 0, "contact_overflows": 0})
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_selection(path: Path, experiment: str, seed: int) -> None:
    candidates = []
    for iteration in range(20, 121, 10):
        successes = round(256 * min(0.992, 1.1 * (1.0 - np.exp(-iteration / 35.0))))
        candidates.append(
            {
                "checkpoint": f"checkpoint_{iteration}.pth",
                "iteration": iteration,
                "frames": iteration * 8192,
                "success_rate": successes / 256,
                "interval": list(wilson_interval(successes, 256)),
                "mean_return": round(-30 + 0.22 * iteration, 3),
            }
        )
    value = {"experiment": experiment, "seed": seed, "episodes": 256, "first_seed": 1000000}
    write_json(path, {**value, "candidates": candidates, "chosen": "checkpoint_120.pth"})


def _episodes(random: np.random.Generator, name: str, count: int, rate: float, note: str) -> dict[str, Any]:
    success = np.diff(np.floor(np.arange(count + 1) * rate)) > 0.0  # evenly spread
    length = np.where(success, random.integers(18, 70, count), 100)
    spread = np.where(success, 1.0, 3.0)
    return {
        "condition": np.full(count, name),
        "episode": np.arange(count),
        "seed": 2000000 + np.arange(count),
        "success": success,
        "outcome": np.where(success, "success", "timeout" + note),
        "return": np.where(success, 4.5, -1.0) - 0.12 * length + random.normal(0.0, 0.3, count),
        "length_steps": length,
        "position_error_m": np.abs(random.normal(0.0, 0.004, count)) * spread,
        "rotation_error_rad": np.abs(random.normal(0.0, 0.04, count)) * spread,
        "finger_error_rad": np.abs(random.normal(0.05, 0.02, count)) * spread,
    }


def _condition(table: dict[str, Any], name: str, note: str) -> dict[str, Any]:
    successes, episodes = int(table["success"].sum()), len(table["success"])
    outcomes, counts = np.unique(table["outcome"], return_counts=True)
    return {
        "physics": {**PHYSICS[name], "name": f"{PHYSICS[name]['name']}{note}"},
        "success_rate": successes / episodes,
        "interval": list(wilson_interval(successes, episodes)),
        "episodes": episodes,
        "successes": successes,
        "mean_return": float(table["return"].mean()),
        "mean_length_steps": float(table["length_steps"].mean()),
        "outcomes": dict(zip(outcomes.tolist(), counts.tolist(), strict=True)),
        "nan_resets": 0,
    }


def replay_arrays(side: str = "right", steps: int = 60) -> dict[str, Any]:
    """replays.npz of a hand that glides and closes towards a goal posture, each episode a little differently."""
    tree = hand_element(side)
    model = mujoco.MjModel.from_xml_string(ElementTree.tostring(tree, encoding="unicode"))
    data = mujoco.MjData(model)
    bodies = [model.body(name).id for name in body_names(side)]
    arrays: dict[str, Any] = {
        "names": np.array(REPLAYS),
        "body_names": np.array(body_names(side)),
        "control_dt_s": np.float64(CONTROL_DT_S),
        "meshes_side": np.array(side),
    }

    def poses(posture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        data.qpos[:] = posture
        mujoco.mj_kinematics(model, data)
        return data.xpos[bodies].astype(np.float32), data.xquat[bodies].astype(np.float32)

    for number, name in enumerate(REPLAYS):
        random = np.random.default_rng(number)
        low, high = np.clip(model.jnt_range.T, -1.0, 1.5)
        goal = random.uniform(low, np.maximum(low, 0.6 * high))
        goal[:6] = [*random.uniform(-0.15, 0.15, 3), *random.uniform(-0.4, 0.4, 3)]
        succeeds = name in ("best", "median")
        reach = 1.0 if succeeds else 0.6
        frames = [poses(goal * reach * (1.0 - np.exp(-step / 12.0))) for step in range(steps)]
        arrays[f"{name}_positions"] = np.stack([frame[0] for frame in frames])
        arrays[f"{name}_quaternions"] = np.stack([frame[1] for frame in frames])
        arrays[f"{name}_goal_positions"], arrays[f"{name}_goal_quaternions"] = poses(goal)
        arrays[f"{name}_episode"] = np.int64(100 + number)
        arrays[f"{name}_seed"] = np.int64(2000100 + number)
        arrays[f"{name}_success"] = np.bool_(succeeds)
        arrays[f"{name}_outcome"] = np.array(
            "success" if succeeds else name.removeprefix("failure_").replace("worst", "timeout")
        )
        arrays[f"{name}_return"] = np.float64(2.0 - 5.0 * number)
    return arrays


def _stage(stage: str, at: str, seconds: float, note: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "started": f"2026-11-23T{at}Z",
        "seconds": seconds,
        "cpu_seconds": 0.98 * seconds,
        "peak_memory_bytes": 470_000_000,
        "commit": "5e05671b7c1d22a9f31b0a4c8d3e9f60712ab345",
        "dirty": False,
        "command": f"python -m dexhand_env.stages.{stage} BaseTask 42",
        "python": "3.11.9",
        "versions": {"torch": "2.9.0" + note, "mujoco": "4.0.0", "rl_games": "1.6.5"},
        "machine": {
            "processor": "x86_64",
            "cores": 2,
            "memory_bytes": 16 * 2**30,
            "gpu": None,
            "system": "Linux 6.1",
        },
        "threads": 1,
    }


def edit_json(path: Path, **changes: Any) -> None:
    """Replace top-level keys of a recorded JSON file."""
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})
