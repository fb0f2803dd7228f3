"""The seeds of training, selection and evaluation, and the rule that they never meet.

Episode i of a section is drawn from seed ``first_seed + i``; a section uses [first_seed, first_seed + episodes).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from pydantic import Field, model_validator

from dexhand_env.config.layers import KeyPath, Layer, Stack
from dexhand_env.config.schema import SEED_LIMIT, Section, problem, shown
from dexhand_env.config.yaml_files import read_yaml
from dexhand_env.errors import UserError

EXPERIMENTS_FILE = "experiments.yaml"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")


class EpisodeRange(Section):
    """A fixed set of episodes."""

    episodes: int = Field(ge=1, le=1_000_000, description="number of episodes")
    first_seed: int = Field(ge=0, lt=SEED_LIMIT, description="seed of the first episode; the next ones follow it")

    @property
    def seeds(self) -> range:
        """The episodes' seeds."""
        return range(self.first_seed, self.first_seed + self.episodes)

    @model_validator(mode="after")
    def _ends_below_the_limit(self) -> EpisodeRange:
        if self.seeds.stop > SEED_LIMIT:
            raise problem(
                f"its last seed would be {self.seeds.stop - 1}",
                f"at most {SEED_LIMIT - self.episodes}",
                ("first_seed",),
            )
        return self


def check_name(name: str, where: str) -> str:
    """An experiment's name, which is also a file's and a folder's.

    Raises:
        UserError: a name that is not letters, digits, _ and -, or the reserved name ``experiments``.
    """
    if not _NAME.fullmatch(name) or name == Path(EXPERIMENTS_FILE).stem:
        raise UserError(where, f"found {shown(name)}", "a name of letters, digits, _ and -, but not 'experiments'")
    return name


def load_seeds(configs: Path) -> Dict[str, Tuple[int, ...]]:
    """The map ``experiments.yaml``: each experiment's training seeds.

    Raises:
        UserError: the first line that is not a name with a non-empty list of different whole numbers >= 0.
    """
    layer = read_yaml(configs / EXPERIMENTS_FILE)
    return {check_name(name, layer.where((name,))): _seeds(layer, name) for name in layer.values}


def _seeds(layer: Layer, name: str) -> Tuple[int, ...]:
    seeds = layer.values[name]
    allowed = f"a list of different whole numbers, each at least 0 and below {SEED_LIMIT}, at least one"
    if not isinstance(seeds, list) or not seeds:
        raise UserError(layer.where((name,)), f"found {shown(seeds)}", allowed)
    for index, seed in enumerate(seeds):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
            raise UserError(layer.where((name, index)), f"found {shown(seed)}", allowed)
        if seed in seeds[:index]:
            raise UserError(layer.where((name, index)), f"found {seed} for the second time", allowed)
    return tuple(seeds)


def check_disjoint(training: Sequence[int], selection: EpisodeRange, evaluation: EpisodeRange, stack: Stack) -> None:
    """Refuse seeds that serve two purposes.

    Raises:
        UserError: names both ranges and the first ``first_seed`` from there on that is free.
    """
    taken = [("the training seed", range(seed, seed + 1)) for seed in sorted(training)]
    for section, episodes in (("selection", selection), ("evaluation", evaluation)):
        for owner, others in taken:
            if _overlap(episodes.seeds, others):
                free = first_free(episodes.seeds, [one for _, one in taken])
                at: KeyPath = (section, "first_seed")
                raise UserError(
                    stack.where(at),
                    f"seeds {_shown(episodes.seeds)} meet {owner} {_shown(others)}",
                    f"disjoint seeds; the first free first_seed is {free}",
                )
        taken.append((f"{section}'s seeds", episodes.seeds))


def first_free(seeds: range, taken: List[range]) -> int:
    """The smallest start at or above ``seeds.start`` at which a range as long as ``seeds`` meets none of ``taken``."""
    start = seeds.start
    for one in sorted(taken, key=lambda other: other.start):
        if _overlap(range(start, start + len(seeds)), one):
            start = one.stop
    return start


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _shown(seeds: range) -> str:
    return str(seeds.start) if len(seeds) == 1 else f"{seeds.start} to {seeds.stop - 1}"
