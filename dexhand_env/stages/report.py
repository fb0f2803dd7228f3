"""The report stage: joins the seeds' evaluations and writes the page.

``python -m dexhand_env.stages.report <Experiment>`` reads results/<Experiment>/config/report.json and every seed's
files, and writes results/<Experiment>/evaluation.json and results/<Experiment>/report.html, each in one step. Where a
file is missing or damaged the page shows the rest and names it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dexhand_env.errors import UserError, exit_code
from dexhand_env.files import write_json, write_text
from dexhand_env.stages.inputs import RESULTS, experiment_files
from dexhand_env.stages.record import record_stage
from dexhand_env.stages.repository import PACKAGE, checkout, loaded_sources
from dexhand_env.stages.versions import ISAAC_GYM_LOCK, locked_versions

if TYPE_CHECKING:
    from dexhand_env.report.records import StageRun
    from dexhand_env.report.reproduction import PageCode
    from dexhand_env.report.results import Missing

PAGE = "report.html"
# Sections of an experiment's config that a stage reads beside its task.
SECTIONS = {"train": ("train",), "select": ("selection",), "evaluate": ("evaluation",)}


def write_report(folder: Path, page_code: Callable[[], PageCode | None] = lambda: None) -> list[Missing]:
    """Write report.html into the experiment's results ``folder``, and evaluation.json where every seed was tested.

    Args:
        folder: results/<Experiment>.
        page_code: the code that does this, asked for once all of it is loaded; None where it is of no known commit.

    Returns:
        what is missing or damaged, which the page says too.

    Raises:
        UserError: the experiment's configuration is missing or damaged; nothing is written then.
    """
    # Imported here: viser, altair and pyarrow are heavy, and `--help` and usage errors need none of them.
    from dexhand_env.hand.joints import body_names
    from dexhand_env.hand.visual import visual_meshes
    from dexhand_env.report.join import join_conditions, join_variants, joined_evaluation
    from dexhand_env.report.page import render_page
    from dexhand_env.report.replay import record_scenes
    from dexhand_env.report.results import read_results, shown_replays

    results = read_results(folder)
    joined, variants = join_conditions(results), join_variants(results)
    replays = shown_replays(results)
    scenes = record_scenes(replays, visual_meshes(replays.side), body_names(replays.side)) if replays else []
    page = render_page(results, joined, variants, scenes, page_code())
    if results.is_tested:
        write_json(folder / "evaluation.json", joined_evaluation(results, joined, variants))
    else:  # an earlier one says of a whole what the page says of a part
        (folder / "evaluation.json").unlink(missing_ok=True)
    write_text(folder / PAGE, page)
    return results.missing


def page_code(experiment: str) -> PageCode | None:
    """The commit of the code that runs here, and how to compare it with that of an earlier stage.

    Of the experiment's config a stage depends on some sections alone, and on the list of experiments not at all: the
    page says which seeds it is about.
    """
    from dexhand_env.report.reproduction import PageCode

    configs = experiment_files(experiment)
    code = checkout(configs)
    if code is None:
        return None
    listed, config = map(code.name, configs)

    def changed_since(run: StageRun) -> list[str] | None:
        assert run.commit is not None
        # Records of before they listed files: all of the package.
        files = run.files or [name for name in code.files if name.startswith(f"{code.name(PACKAGE)}/")]
        changed = code.changed_since(run.commit, files, but=(listed, config))
        if changed is None:
            return None
        sections = ("task", "env", *SECTIONS.get(run.stage, ()))
        values = [code.values(config, commit) or {} for commit in (run.commit, code.commit)]
        if not all(isinstance(each, dict) for each in values):
            return [*changed, config]
        other = [key for key in sections if values[0].get(key) != values[1].get(key)]
        return [*changed, *(f"{key} in {config}" for key in other)]

    return PageCode(
        code.commit,
        code.is_dirty([*loaded_sources(), *configs]),
        changed_since,
        locked_versions(),
        lambda: locked_versions(ISAAC_GYM_LOCK),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stage from the command line; the exit code: 1 where something is missing, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m dexhand_env.stages.report", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", help="the experiment's name, a folder under results/")
    options = parser.parse_args(arguments)
    return exit_code(lambda: report_stage(experiment_folder(options.experiment)))


def report_stage(folder: Path) -> bool:
    """Write the report of the experiment whose results are in ``folder``, and the record of how that ran.

    Returns:
        whether it is complete; one line tells of each file that is missing.
    """
    files = experiment_files(folder.name)
    with record_stage("report", folder / "stages" / "report.json", files):
        missing = write_report(folder, lambda: page_code(folder.name))
    for each in missing:
        print(each, file=sys.stderr)
    print(folder / PAGE)
    return not missing


def experiment_folder(experiment: str) -> Path:
    """results/<experiment>.

    Raises:
        UserError: the name is a path, or nothing was recorded under it.
    """
    if Path(experiment).name != experiment:
        raise UserError("experiment", repr(experiment), "a plain name, as in configs/experiments.yaml")
    folder = RESULTS / experiment
    if not folder.is_dir():
        known = sorted(path.name for path in RESULTS.glob("*") if path.is_dir())
        raise UserError(str(folder), "no such experiment has results", ", ".join(known) or "none yet; run the pipeline")
    return folder


if __name__ == "__main__":
    sys.exit(main())
