"""The one exception a user's mistake raises, and how a program ends on it."""

from __future__ import annotations

import sys
from typing import Callable, Optional

NOT_PASSED, MISTAKE = 1, 2


class UserError(Exception):
    """A mistake in a file, a key or an option; commands print it as one line and exit with code 2.

    Args:
        where: the file, option or both, e.g. ``configs/BaseTask.yaml: train.num_envs``.
        found: what was found there.
        allowed: what would have been accepted; left out where ``found`` says it all.
    """

    def __init__(self, where: str, found: str, allowed: Optional[str] = None) -> None:
        super().__init__(where, found, allowed)  # all of them, so that one process can send it to another

    def __str__(self) -> str:
        where, found, allowed = self.args
        message = f"{where}: {found}" if allowed is None else f"{where}: {found}; allowed: {allowed}"
        return " ".join(message.split())


def exit_code(run: Callable[[], object]) -> int:
    """Call ``run``; 0 where it returns, 1 where that is False, 2 once its :class:`UserError` is printed as one line."""
    try:
        passed = run()
    except UserError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    return NOT_PASSED if passed is False else 0
