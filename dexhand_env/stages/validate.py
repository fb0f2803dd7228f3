"""The stage `validate`: check an experiment and write one resolved section of it as JSON.

    python -m dexhand_env.stages.validate <Experiment> <section>

The whole experiment is checked every time; ``results/<Experiment>/config/<section>.json`` changes only when a value
that its stage uses does, so an edited comment or the order of keys re-runs nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import List, Optional

from dexhand_env.config.experiment import SECTIONS, Experiment, load_experiment
from dexhand_env.config.layers import shown_path
from dexhand_env.config.physics import load_physics
from dexhand_env.errors import UserError, exit_code
from dexhand_env.files import write_text


def validate(experiment: str, section: str, root: Path = Path(".")) -> Path:
    """Check the experiment, its task's code too, and write the section's JSON; returns the file.

    Raises:
        UserError: the first problem, or a results folder that cannot be written; nothing is written then.
    """
    loaded = load_experiment(experiment, root)
    document = loaded.section(section)
    _try_out(loaded, section)
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    target = root / "results" / experiment / "config" / f"{section}.json"
    try:
        write_text(target, text)
    except OSError as error:
        raise UserError(shown_path(target), f"cannot be written ({error.strerror})", "a writable folder") from error
    for notice in loaded.notices:
        print(f"{experiment}: {notice}", file=sys.stderr)
    return target


def _try_out(experiment: Experiment, section: str) -> None:
    """Run a task of the user's own in two worlds; and its variants, before the section that has them."""
    variants = experiment.variants.values() if section == "evaluation" else ()
    for config in (experiment.task, *variants):
        if config.needs_trial:
            from dexhand_env.tasks.registry import try_out

            try_out(config, load_physics(config.sim.physics))


def main(arguments: Optional[List[str]] = None) -> int:
    """The command line; returns the exit code: 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m dexhand_env.stages.validate",
        description="Check an experiment and write one section of it to results/<Experiment>/config/.",
    )
    parser.add_argument("experiment", help="its name: configs/<Experiment>.yaml")
    parser.add_argument("section", help=f"one of: {', '.join(SECTIONS)}")
    options = parser.parse_args(arguments)
    return exit_code(lambda: validate(options.experiment, options.section))


if __name__ == "__main__":
    sys.exit(main())
