"""A stand-in for NVIDIA Isaac Gym Preview 4, whose binary cannot be had for tests.

It has the names and parameters that the published stubs declare, as far as a hand with objects needs them, MuJoCo as
its physics, and refuses what the tensor API does not promise: see ``_rules``. It says nothing about PhysX.
"""

import sys

if "torch" in sys.modules:
    raise ImportError("PyTorch was imported before isaacgym modules.  Please import torch after isaacgym modules.")
