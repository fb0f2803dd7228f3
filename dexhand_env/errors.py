"""The one exception a user's mistake raises."""

from __future__ import annotations

from typing import Optional


class UserError(Exception):
    """A mistake in a file, a key or an option; commands print it as one line and exit with code 2.

    Args:
        where: the file, option or both, e.g. ``configs/BaseTask.yaml: train.num_envs``.
        found: what was found there.
        allowed: what would have been accepted; left out where ``found`` says it all.
    """

    def __init__(self, where: str, found: str, allowed: Optional[str] = None) -> None:
        message = f"{where}: {found}" if allowed is None else f"{where}: {found}; allowed: {allowed}"
        super().__init__(" ".join(message.split()))
