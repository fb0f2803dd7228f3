from __future__ import annotations

from hypothesis import settings

# No test depends on how fast the machine is.
settings.register_profile("env", deadline=None)
settings.load_profile("env")
