"""Which commit gives a report's numbers again, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dexhand_env.report.records import StageRun

SHOWN_FILES = 3
UNKNOWN = "made by code of no known commit"
ISAAC_GYM_LOCK = "requirements/isaacgym38.txt"
DIRTY = "made with files that are in no commit or not as there"


@dataclass(frozen=True)
class PageCode:
    """The code that writes the page.

    Args:
        commit: what it is of, where that is known.
        is_dirty: whether something that it reads is not as in that commit.
        changed_since: for a stage's record, which of the files that the stage used are others in this commit; None
            where the stage's commit is unknown here.
        versions: of the packages that `make install` gives there.
        versions_for_isaac_gym: gives those of `make isaacgym38`.
    """

    commit: str
    is_dirty: bool
    changed_since: Callable[[StageRun], list[str] | None]
    versions: Mapping[str, str] = field(default_factory=dict)
    versions_for_isaac_gym: Callable[[], Mapping[str, str]] = dict


@dataclass(frozen=True)
class Reproduction:
    """What the page tells a reader who wants to make it again.

    Args:
        commit: what to check out; None where no stage knew one.
        doubts: why that may give other numbers, each with the stages that it is about.
    """

    commit: str | None
    doubts: list[str]


def reproduction(runs: Sequence[StageRun], page: PageCode | None) -> Reproduction:
    """What to check out: the commit of the page itself, whose stage runs last, and so has the settings of all.

    Args:
        runs: the records of the stages whose results the page shows.
        page: None where the page's own code is of no commit; then it is that of the latest stage that has one.
    """
    doubts: dict[str, list[str]] = {}
    for run in runs:
        for doubt in _doubts(run, page):
            doubts.setdefault(doubt, []).append(run.stage if run.seed is None else f"{run.stage} of seed {run.seed}")
    if page is None or page.is_dirty:
        doubts.setdefault(UNKNOWN if page is None else DIRTY, []).append("this page")
    sentences = [f"{', '.join(stages)}: {doubt}." for doubt, stages in doubts.items()]
    known = [run for run in runs if run.commit is not None]
    latest = max(known, key=lambda run: run.started).commit if known else None
    return Reproduction(latest if page is None else page.commit, sentences)


def _public(version: str) -> str:
    """Without what names a build: 2.13.0+cpu is 2.13.0."""
    return version.partition("+")[0]


def _doubts(run: StageRun, page: PageCode | None) -> list[str]:
    """Why the page's commit may not give what a stage gave."""
    if run.commit is None:
        return [UNKNOWN]
    found = [DIRTY] if run.dirty else []
    if run.processes > 1:
        found.append(f"ran on {run.processes} GPUs, which takes `--set-resources {run.stage}:gpu={run.processes}`")
    pins, made_by = {} if page is None else page.versions, "make install"
    if page is not None and any(file.endswith(ISAAC_GYM_LOCK) for file in run.files or ()):
        pins, made_by = page.versions_for_isaac_gym(), "make isaacgym38"
    others = {
        name: version for name, version in run.versions.items() if _public(version) != pins.get(name, _public(version))
    }
    if others:
        listed = ", ".join(f"{name} {version}" for name, version in list(others.items())[:SHOWN_FILES])
        found.append(f"ran with {listed}, which are not the versions that `{made_by}` gives")
    if page is None or run.commit == page.commit:
        return found
    changed = page.changed_since(run)
    if changed is None:
        found.append(f"made at {run.commit[:10]}, which is not in the repository")
    elif changed:
        more = f" and {len(changed) - SHOWN_FILES} more" if len(changed) > SHOWN_FILES else ""
        found.append(f"made at {run.commit[:10]}, after which {', '.join(changed[:SHOWN_FILES])}{more} changed")
    return found
