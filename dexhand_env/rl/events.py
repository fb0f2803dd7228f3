"""TensorBoard's files: names of their curves, and writing where a full disk is noticed."""

from __future__ import annotations

from typing import Any

from tensorboardX import SummaryWriter


def write_events_at_once(writer: SummaryWriter) -> None:
    """Have a TensorBoard writer write in the thread that calls it, and to disk with each value.

    tensorboardX 2.6 writes in a thread of its own. Where the disk is full that thread ends, and training would wait for
    it for ever. Now ``add_scalar`` raises OSError.
    """
    events = getattr(writer.file_writer, "event_writer", None)
    if events is None:  # it writes nowhere
        return
    events._worker.stop()
    events._worker.stop = lambda: None  # close() would stop it again; Python 3.8 then says that nobody reads its queue

    def add_event(event: Any) -> None:
        events._ev_writer.write_event(event)
        events._ev_writer.flush()

    events.add_event = add_event


def tag(name: str) -> str:
    """TensorBoard tag of a history column: losses/, info/, episode/, performance/ or what it already has."""
    groups = {
        "losses": ("policy_loss", "value_loss", "entropy", "bounds_loss"),
        "info": ("kl", "learning_rate", "nan_resets", "contact_overflows", "curriculum_level"),
        "episode": ("return", "success_rate", "episode_length"),
        "performance": ("seconds", "cpu_seconds", "frames_per_second"),
    }
    return next((f"{group}/{name}" for group, names in groups.items() if name in names), name)
