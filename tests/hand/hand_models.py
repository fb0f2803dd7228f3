"""The hand compiled for tests: options and surroundings that the hand itself does not carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Dict
from xml.etree import ElementTree

import mujoco
import numpy as np

from dexhand_env.hand.joints import CONTROL_NAMES, control_to_joint_matrix
from dexhand_env.hand.model import hand_element

CONTROL_TO_JOINT = np.array(control_to_joint_matrix())
Figures = Dict[str, Any]
MIRROR = np.diag([1.0, -1.0, 1.0])


def compiled(
    side: str = "right", *, integrator: str = "discrete", surroundings: Sequence[ElementTree.Element] = ()
) -> mujoco.MjModel:
    """The hand at 5 ms with the solver settings that it was tuned with, and more elements in its world."""
    root = hand_element(side)
    option = {"timestep": "0.005", "integrator": integrator, "jacobian": "dense", "cone": "elliptic", "impratio": "10"}
    root.insert(0, ElementTree.Element("option", option))
    worldbody = root.find("worldbody")
    assert worldbody is not None
    worldbody.extend(surroundings)
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


def controls(**targets: float) -> np.ndarray:
    """The 18 controls, zero where not named."""
    values = np.zeros(len(CONTROL_NAMES))
    for name, target in targets.items():
        values[CONTROL_NAMES.index(name)] = target
    return values


def at_rest(model: mujoco.MjModel, joint_positions: np.ndarray) -> mujoco.MjData:
    """The hand at joint positions (26,), its targets there too."""
    data = mujoco.MjData(model)
    data.qpos[:26] = data.ctrl[:] = joint_positions
    mujoco.mj_forward(model, data)
    return data
