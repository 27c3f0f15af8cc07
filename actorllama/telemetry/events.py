"""The events of the telemetry room itself."""

from __future__ import annotations

from actorllama.telemetry.event import Event

__all__ = ["EVENTS", "FACTS_DROPPED", "HANDLER_FAILED"]

HANDLER_FAILED = Event(
    name=("telemetry", "handler", "failed"),
    measurements=("n_handlers",),
    metadata=("handler_id", "failed_event", "error"),
    level="error",
    doc="A handler raised; it was detached and the remaining handlers ran. `n_handlers` are still attached.",
)

FACTS_DROPPED = Event(
    name=("telemetry", "facts", "dropped"),
    measurements=("n_facts",),
    level="warning",
    doc="So many facts did not reach the late handlers: more were told than these could deal with.",
)

EVENTS: tuple[Event, ...] = (HANDLER_FAILED, FACTS_DROPPED)
