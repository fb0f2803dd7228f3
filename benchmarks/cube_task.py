"""BaseTask with a cube below the hand, which random motion hits: physics with contacts, for measuring speed."""

from __future__ import annotations

from typing import Any

from dexhand_env.sim.scene import Scene, SceneObject
from dexhand_env.tasks.base_task import BaseTask

CUBE = SceneObject("cube", "box", (0.025, 0.025, 0.025), mass_kg=0.1, position_m=(0.146, 0.011, 0.025))
SCENES = {"hand": Scene(), "hand+cube": Scene(spawn_height_m=0.16, objects=(CUBE,))}


class CubeTask(BaseTask):
    """The goals are BaseTask's, down to the table; nobody looks at the cube but the physics."""

    @classmethod
    def scene(cls, config: Any) -> Scene:
        return SCENES["hand+cube"]
