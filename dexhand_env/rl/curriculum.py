"""How far a training has come in its curriculum, decided once an iteration and alike in all processes."""

from __future__ import annotations

from typing import Any, Dict, Optional

from dexhand_env.config.curriculum import Curriculum, config_at
from dexhand_env.rl.statistics import EpisodeMeans


class CurriculumProgress:
    """The level, and the episodes counted since it was last judged.

    Args:
        task: the task's configuration, which has a curriculum.
        steps: control steps of an iteration.

    Attributes:
        level: 0 at the beginning, at most the curriculum's ``widenings``.
    """

    def __init__(self, task: Any, steps: int) -> None:
        self._task = task
        self._steps = steps
        self._curriculum: Curriculum = task.curriculum
        self.level = 0
        self._episodes = 0
        self._successes = 0
        # Control steps until episodes count again, since most or all that began at an earlier level have ended.
        self._unsettled_steps = 0

    @property
    def config(self) -> Any:
        """The task's configuration at the present level."""
        return config_at(self._task, self.level)

    def count(self, ended: Optional[EpisodeMeans]) -> None:
        """Count the episodes that ended in an iteration, those of all processes; None where none did.

        For ``settle_steps`` control steps from a widening on none count.
        """
        if self._unsettled_steps > 0:
            self._unsettled_steps -= self._steps
        elif ended is not None:
            self._episodes += ended.episodes
            self._successes += ended.successes

    def advance(self) -> bool:
        """Judge the counted episodes, if there are enough, and begin to count anew.

        Returns:
            Whether the level is another than before.
        """
        if self.level == self._curriculum.widenings or self._episodes < self._curriculum.episodes:
            return False
        good = self._successes / self._episodes >= self._curriculum.success_rate
        self._episodes = self._successes = 0
        if good:
            self.level += 1
            settle = self._curriculum.settle_steps
            self._unsettled_steps = self._task.episode_length_steps if settle is None else settle
        return good

    def get_state(self) -> Dict[str, int]:
        """Plain values for a checkpoint."""
        return {
            "level": self.level,
            "episodes": self._episodes,
            "successes": self._successes,
            "unsettled_steps": self._unsettled_steps,
        }

    def set_state(self, state: Dict[str, int]) -> None:
        """Restore what ``get_state`` gave.

        Raises:
            ValueError: a level that the curriculum does not have.
        """
        if state["level"] > self._curriculum.widenings:
            raise ValueError(f"level {state['level']} of a curriculum of {self._curriculum.widenings} widenings")
        self.level, self._episodes, self._successes = state["level"], state["episodes"], state["successes"]
        self._unsettled_steps = state["unsettled_steps"]
