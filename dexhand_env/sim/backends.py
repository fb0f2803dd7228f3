"""Which backends and devices can step physics here; light enough to ask before anything else is imported."""

from __future__ import annotations

from dexhand_env.errors import UserError

BACKENDS = ("auto", "mujoco")


def check_backend(backend: str, device: str) -> None:
    """Refuse a backend or device that cannot run here, before anything is allocated or written.

    Args:
        backend: ``auto`` or a backend's name.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        UserError: with what would work.
    """
    if backend not in BACKENDS:
        raise UserError("sim.backend", f"{backend} is not part of this version", ", ".join(BACKENDS))
    if device != "cpu":
        raise UserError("--sim-device", f"{device}: this version steps physics on the CPU", "auto, cpu")
