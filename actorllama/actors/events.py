"""What the room tells the bus."""

from __future__ import annotations

from actorllama.telemetry import Event

__all__ = ["EVENTS"]

ACTOR_START = Event(
    name=("actors", "actor", "start"),
    measurements=("init_s",),
    metadata=("pid", "actor", "kind"),
    level="debug",
    doc="An actor's init succeeded.",
)
ACTOR_EXIT = Event(
    name=("actors", "actor", "exit"),
    measurements=("age_s", "n_messages"),
    metadata=("pid", "actor", "kind", "reason"),
    level="debug",
    doc="An actor ended for an orderly reason.",
)
ACTOR_CRASH = Event(
    name=("actors", "actor", "crash"),
    measurements=("age_s", "n_messages"),
    metadata=("pid", "actor", "kind", "reason"),
    level="error",
    doc="An actor ended for any other reason: it crashed or was killed.",
)
DEAD_LETTER = Event(
    name=("actors", "message", "dropped"),
    measurements=("n_messages",),
    metadata=("pid", "actor", "message", "cause"),
    level="debug",
    doc="A message or reply reached nobody. `cause`: dead, drained, overflow, late_reply.",
)
INFO_UNHANDLED = Event(
    name=("actors", "message", "unhandled"),
    metadata=("pid", "actor", "message"),
    level="warning",
    doc="An actor without a handle_info of its own got a notice, or a supervisor got a stray message.",
)
UNWIND_FAILED = Event(
    name=("actors", "actor", "unwind_failed"),
    metadata=("pid", "actor", "error"),
    level="error",
    doc="An actor was dead already, and something that it left to clean up raised.",
)
CHILD_RESTART = Event(
    name=("actors", "child", "restart"),
    measurements=("n_restarts", "delay_s"),
    metadata=("supervisor", "child", "reason"),
    level="warning",
    doc="A supervisor decided to restart a child; `n_restarts` within its period, this one included.",
)
CHILD_FAILED = Event(
    name=("actors", "child", "start_failed"),
    metadata=("supervisor", "child", "reason"),
    level="error",
    doc="A child's init failed while its supervisor restarted it; the supervisor tries again.",
)
CHILD_ODD_EXIT = Event(
    name=("actors", "child", "odd_exit"),
    metadata=("supervisor", "child", "reason"),
    level="warning",
    doc="A child did not stop the way its supervisor had asked it to.",
)
GAVE_UP = Event(
    name=("actors", "supervisor", "gave_up"),
    measurements=("n_restarts", "period_s"),
    metadata=("supervisor", "child", "reason"),
    level="error",
    doc="Restart intensity was reached: the supervisor stops its children and itself.",
)
RELEASE_FAILED = Event(
    name=("actors", "native", "release_failed"),
    metadata=("resource", "error"),
    level="error",
    doc="Freeing or aborting a native resource raised; it is not tried again.",
)
TRACE = Event(
    name=("actors", "actor", "trace"),
    measurements=("n_in_second",),
    metadata=("pid", "actor", "what", "message"),
    private=("message",),
    level="debug",
    doc="A traced actor took a message; at most the agreed number per second.",
)

EVENTS: tuple[Event, ...] = (
    ACTOR_START,
    ACTOR_EXIT,
    ACTOR_CRASH,
    DEAD_LETTER,
    INFO_UNHANDLED,
    UNWIND_FAILED,
    CHILD_RESTART,
    CHILD_FAILED,
    CHILD_ODD_EXIT,
    GAVE_UP,
    RELEASE_FAILED,
    TRACE,
)
