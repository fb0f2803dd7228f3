"""Mistakes put into the adapter one at a time: the stand-in's rules and the contract suite notice each."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest

import dexhand_env.sim.isaac_gym
import dexhand_env.sim.isaac_gym.simulation  # so that what is changed below is put back afterwards

from ..contract import test_broken_worlds, test_motion, test_parameters, test_peaks, test_state
from ..contract.backends import Backend

PACKAGE = dexhand_env.sim.isaac_gym.__name__
FOLDER = Path(dexhand_env.sim.isaac_gym.__file__ or "").parent
BACKEND = Backend("isaac_gym", "cpu", tolerance=1e-3, grasps=4)


class Bug(NamedTuple):
    """What is wrong, the line of a module that makes it so, and the contract test that notices."""

    what: str
    module: str
    right: str
    wrong: str
    noticed_by: Callable[..., None]
    arguments: tuple[Any, ...] = ()


BUGS = [
    # Against the rules of the tensor API.
    Bug(
        "indices of 64 bits",
        "worlds",
        "dtype=torch.int32",
        "dtype=torch.int64",
        test_state.test_looking_changes_nothing,
    ),
    Bug("a dead tensor", "simulation", "self._given = [targets]", "pass", test_state.test_looking_changes_nothing),
    Bug(
        "a setter twice",
        "simulation",
        "        self._given = [targets]",
        "        gym.set_dof_position_target_tensor(sim, gymtorch.unwrap_tensor(targets)); self._given = [targets]",
        test_state.test_looking_changes_nothing,
    ),
    Bug(
        "NaN shown to PhysX",
        "simulation",
        "self._dofs.masked_fill_(broken[:, None, None], 0.0)",
        "pass",
        test_broken_worlds.test_every_break_counts_and_a_reset_repairs,
    ),
    Bug(
        "results not fetched",
        "simulation",
        "gym.fetch_results(sim, True)",
        "pass",
        test_state.test_looking_changes_nothing,
    ),
    # Against the contract.
    Bug(
        "quaternion order",
        "simulation",
        "W_FIRST, W_LAST = (6, 3, 4, 5), (1, 2, 3, 0)",
        "W_FIRST, W_LAST = (3, 4, 5, 6), (0, 1, 2, 3)",
        test_motion.test_angular_velocity_is_in_the_objects_frame,
    ),
    Bug(
        "roots not refreshed",
        "simulation",
        "gym.refresh_actor_root_state_tensor(sim)\n                gym",
        "gym",
        test_motion.test_objects_fall_as_gravity_says_and_rest_on_the_table,
    ),
    Bug(
        "spin in the world's frame",
        "simulation",
        "spin = self._roots[:, 1:, None, 10:] @ self._object_axes()",
        "spin = self._roots[:, 1:, None, 10:]",
        test_motion.test_angular_velocity_is_in_the_objects_frame,
    ),
    Bug(
        "the wrong actor",
        "simulation",
        "hands, others = actors[:, 0].contiguous()",
        "hands, others = actors[:, 1].contiguous()",
        test_state.test_reset_gives_the_state_asked_for_at_rest,
    ),
    Bug(
        "targets in the file's order of joints",
        "simulation",
        ".clamp(self._lowest, self._highest)[:, self._theirs]",
        ".clamp(self._lowest, self._highest)",
        test_motion.test_targets_are_reached_under_every_preset,
        ("fast",),
    ),
    Bug(
        "worlds at rest forgotten",
        "simulation",
        "self._was_set = self._was_set | ~worlds",
        "pass",
        test_state.test_step_of_some_worlds_leaves_the_others_unchanged,
    ),
    Bug(
        "peaks of the last physics step alone",
        "simulation",
        ".amax(dim=0)\n        self._fresh",
        "[-1]\n        self._fresh",
        test_peaks.test_they_are_those_of_single_physics_steps,
    ),
    Bug(
        "friction without the mean",
        "assets",
        "return 2.0 * friction - SHARED_FRICTION",
        "return friction",
        test_motion.test_a_sliding_object_is_braked_by_friction_times_its_weight,
        (0.3,),
    ),
    Bug(
        "gains of the first world everywhere",
        "parameters",
        "drives[name] *= values[place]",
        "drives[name] *= values[0]",
        test_parameters.test_gains_and_damping_decide_how_fast_joints_follow,
    ),
    Bug(
        "collision filters not set",
        "assets",
        "properties.filter, properties.friction = shape.filter, SHARED_FRICTION",
        "properties.filter, properties.friction = 0, SHARED_FRICTION",
        test_motion.test_targets_are_reached_under_every_preset,
        ("fast",),
    ),
]


class Changed(importlib.machinery.SourceFileLoader):
    """Loads a module with another line in it."""

    def __init__(self, name: str, path: str, bug: Bug) -> None:
        super().__init__(name, path)
        self._bug = bug

    def get_code(self, fullname: str) -> CodeType:
        """Its code, with the mistake."""
        text = Path(self.path).read_text(encoding="utf-8")
        assert text.count(self._bug.right) == 1, f"{self._bug.right!r} is not in {self.path} once"
        return compile(text.replace(self._bug.right, self._bug.wrong), self.path, "exec")


class Finder:
    """Finds the module that has the mistake."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's, None for all others."""
        if name != f"{PACKAGE}.{self._bug.module}":
            return None
        file = str(FOLDER / f"{self._bug.module}.py")
        return importlib.util.spec_from_file_location(name, file, loader=Changed(name, file, self._bug))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_it_is_noticed(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(bug), *sys.meta_path])
    noticed = (AssertionError, RuntimeError, IndexError)
    with pytest.raises(noticed):
        bug.noticed_by(BACKEND, *bug.arguments)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_without_it_nothing_is(bug: Bug) -> None:
    bug.noticed_by(BACKEND, *bug.arguments)
