"""The last check: how much of its success a policy loses in the reference physics.

``python -m dexhand_env.stages.check <Experiment>`` reads results/<Experiment>/evaluation.json, says what it found in
one line, and writes results/<Experiment>/checked.json where no more is lost than the config allows. Else it ends with
exit code 1; the report is there by then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from dexhand_env.errors import UserError, exit_code
from dexhand_env.files import write_json
from dexhand_env.report.drop import REFERENCE, TRAINING, Drop, largest_drop
from dexhand_env.stages.inputs import RESULTS, read_json, read_section


def check(experiment: str) -> bool:
    """Whether the experiment passes; says why in one line, and records it where it does.

    Raises:
        UserError: a missing or damaged input.
    """
    allowed = _allowed(experiment)
    path, passed = RESULTS / experiment / "evaluation.json", RESULTS / experiment / "checked.json"
    passed.unlink(missing_ok=True)
    conditions = read_json(path, "the report stage's output").get("conditions", {})
    try:
        rates = {
            name: {int(seed): float(run["success_rate"]) for seed, run in condition["per_seed"].items()}
            for name, condition in conditions.items()
        }
        drop = largest_drop(rates, allowed)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(str(path), f"holds no success rates ({error!r})", "the report stage's output") from None
    if drop is None:
        print(f"{experiment}: not tested under both {TRAINING} and {REFERENCE} physics, so there is no drop to check")
    else:
        print(f"{experiment}, {_said(drop)}")
        if not drop.is_allowed:
            return False
    write_json(passed, {"drop": None if drop is None else {**asdict(drop), "lost": drop.lost}})
    return True


def _allowed(experiment: str) -> float:
    """The config's allowed drop, a fraction."""
    section = read_section(experiment, "report")
    try:
        return float(section["report"]["allowed_drop"])
    except (KeyError, TypeError, ValueError):
        path = RESULTS / experiment / "config/report.json"
        remedy = f"run first: python -m dexhand_env.stages.validate {experiment} report"
        raise UserError(str(path), "has no report.allowed_drop", remedy) from None


def _said(drop: Drop) -> str:
    """A drop in words."""
    rates = f"{drop.training:.4f} under {TRAINING}, {drop.reference:.4f} under {REFERENCE} physics"
    points = 100.0 * drop.lost
    if points < 0.0:
        return f"seed {drop.seed}: success {rates}; a gain of {-points:.1f} points"
    limit = f"{100.0 * drop.allowed:.3g} allowed by report.allowed_drop"
    verdict = limit if drop.is_allowed else f"more than the {limit}"
    return f"seed {drop.seed}: success {rates}; a drop of {points:.1f} points, {verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stage from the command line; returns the exit code: 1 where too much is lost, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m dexhand_env.stages.check", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", help="the experiment's name, a folder under results/")
    options = parser.parse_args(arguments)
    return exit_code(lambda: check(options.experiment))


if __name__ == "__main__":
    sys.exit(main())
