"""Write requirements/compute.txt and requirements/tools.txt from what is installed beside this Python (`make lock`).

compute.txt holds what a stage that computes results uses, with everything below it: it is a dependency of train, select
and evaluate, so another version of torch retrains. tools.txt holds the rest: another version of the linter does not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from dexhand_env.stages.versions import COMPUTE_PACKAGES

PROJECT = "dexhand-env"
LEFT_OUT = {PROJECT, "pip"}


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> set[str]:
    """The distributions named, and all that they require on this machine."""
    found: set[str] = set()
    waiting = [canonical(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.distribution(name).requires or []:
            requirement = Requirement(line)
            extras = ["", "classic-control"] if name == "gymnasium" else [""]  # rl-games asks for that extra
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(canonical(requirement.name))
    return found


def main() -> None:
    """Write both files; a local version such as 2.13.0+cpu is pinned as 2.13.0, whose wheel fits the machine."""
    folder = Path(__file__).parent
    pins = {
        canonical(distribution.name): f"{distribution.name}=={distribution.version.split('+')[0]}"
        for distribution in metadata.distributions()
    }
    compute = closure(COMPUTE_PACKAGES)
    for file, title, wanted in (
        ("compute.txt", "what train, select and evaluate compute with", compute),
        ("tools.txt", "everything else", pins.keys() - compute),
    ):
        lines = [pins[name] for name in sorted(wanted - LEFT_OUT)]
        text = f"# Tested versions of {title}; written by `make lock`.\n" + "\n".join(lines) + "\n"
        (folder / file).write_text(text, encoding="utf-8")
        print(f"{file}: {len(lines)} packages", file=sys.stderr)


if __name__ == "__main__":
    main()
