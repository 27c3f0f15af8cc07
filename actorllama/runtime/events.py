"""The facts that a runtime tells of itself."""

from __future__ import annotations

from actorllama.telemetry import Event

__all__ = ["EVENTS", "OBSERVER_OPENED", "OBSERVER_UNAVAILABLE", "TURN_ASKED", "WATCHER_DROPPED"]

TURN_ASKED = Event(
    name=("runtime", "turn", "asked"),
    metadata=("model", "turn_id", "context"),
    level="debug",
    doc="Somebody asks for a turn. `context`: a copy of the caller's `contextvars`, for who traces requests.",
)
OBSERVER_OPENED = Event(
    name=("runtime", "observer", "opened"),
    metadata=("path",),
    level="debug",
    doc="The runtime can be watched through this socket.",
)
OBSERVER_UNAVAILABLE = Event(
    name=("runtime", "observer", "unavailable"),
    metadata=("path", "error"),
    level="warning",
    doc="The runtime cannot be watched: its socket could not be opened. Everything else works.",
)
WATCHER_DROPPED = Event(
    name=("runtime", "watcher", "dropped"),
    measurements=("n_watchers",),
    metadata=("reason",),
    doc="Somebody who watched was sent away: it did not read, or there were too many.",
)

EVENTS: tuple[Event, ...] = (TURN_ASKED, OBSERVER_OPENED, OBSERVER_UNAVAILABLE, WATCHER_DROPPED)
