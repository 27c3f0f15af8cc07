"""The events of the telemetry room itself."""

from __future__ import annotations

from actorllama.telemetry.event import Event

__all__ = ["EVENTS", "HANDLER_FAILED"]

HANDLER_FAILED = Event(
    name=("telemetry", "handler", "failed"),
    measurements=("n_handlers",),
    metadata=("handler_id", "failed_event", "error"),
    level="error",
    doc="A handler raised; it was detached and the remaining handlers ran. `n_handlers` are still attached.",
)

EVENTS: tuple[Event, ...] = (HANDLER_FAILED,)
