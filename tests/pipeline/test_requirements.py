"""The pinned versions that `make` installs."""

from __future__ import annotations

import re

import tomllib
from packaging.requirements import Requirement

from .clone import ROOT


def pins(file: str) -> dict[str, str]:
    """Versions by canonical name."""
    lines = (ROOT / "requirements" / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def test_every_line_is_a_plain_version() -> None:
    for file in ("compute.txt", "tools.txt"):
        assert all(re.fullmatch(r"[0-9][0-9A-Za-z.]*", version) for version in pins(file).values())


def test_nothing_is_pinned_twice_and_everything_direct_is_pinned_as_allowed() -> None:
    compute, tools = pins("compute.txt"), pins("tools.txt")
    assert compute.keys().isdisjoint(tools)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["gpu"], *extras["ssh"], *extras["slurm"], *extras["dev"]]:
        requirement = Requirement(line)
        if requirement.name == project["name"]:  # one extra brings another
            continue
        version = {**compute, **tools}[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(version), line


def test_what_changes_results_is_a_dependency_of_the_stages() -> None:
    assert {"torch", "mujoco", "rl-games", "numpy"} <= pins("compute.txt").keys()
    assert {"ruff", "snakemake", "dvc"} <= pins("tools.txt").keys()
