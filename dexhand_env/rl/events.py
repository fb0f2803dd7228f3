"""TensorBoard's files, written where a full disk is noticed."""

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

    def add_event(event: Any) -> None:
        events._ev_writer.write_event(event)
        events._ev_writer.flush()

    events.add_event = add_event
