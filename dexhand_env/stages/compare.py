"""The comparison: several experiments' recorded results on one page.

``python -m dexhand_env.stages.compare <Experiment>...`` reads each one's results and writes results/comparison.html.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dexhand_env.config.seeds import check_name
from dexhand_env.errors import UserError, exit_code
from dexhand_env.files import write_text
from dexhand_env.stages.inputs import RESULTS

PAGE = "comparison.html"


def compare(experiments: Sequence[str], results: Path = RESULTS) -> Path:
    """Write the page about the experiments; one without complete results is named on it. Returns the page's path.

    Raises:
        UserError: a name that is none, or no experiment has results; nothing is written then.
    """
    from dexhand_env.report.comparison import read_all, render_comparison

    names = [check_name(name, "experiment") for name in dict.fromkeys(experiments)]
    found, missing = read_all([results / name for name in names])
    if not found:
        raise UserError(str(results), f"none of {', '.join(names)} has results; {missing[0].reason}")
    write_text(results / PAGE, render_comparison(found, missing))
    return results / PAGE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it from the command line; returns the exit code, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m dexhand_env.stages.compare", description=__doc__.split("\n")[0])
    parser.add_argument("experiments", nargs="+", metavar="experiment", help="folders under results/")
    options = parser.parse_args(arguments)
    return exit_code(lambda: print(compare(options.experiments)))


if __name__ == "__main__":
    sys.exit(main())
