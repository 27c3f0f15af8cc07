"""What a state machine has in store: events to handle before the mailbox, postponed ones, timeouts."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar, assert_never

from attrs import define, frozen

from actorllama.actors.mailbox import TIMEOUT
from actorllama.actors.process import Process
from actorllama.actors.timers import Timer
from actorllama.actors.transition import (
    CancelTimeout,
    EventTimeout,
    NamedTimeout,
    Source,
    StateTimeout,
)

__all__ = ["Agenda", "Due", "Pending"]

StateT = TypeVar("StateT")


@frozen
class Pending:
    """An event that goes before everything in the mailbox."""

    event: object
    source: Source


@define(eq=False)
class Due:
    """A timeout that was set; it counts only while the agenda still knows it."""

    source: Source
    event: object
    timer: Timer | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """Tell which other timeout it replaces."""
        return (self.source.kind, self.source.name)


_STATE = Source(kind="state_timeout")
_EVENT = Source(kind="event_timeout")


class Agenda(Generic[StateT]):
    """State, pending and postponed events, timeouts.

    Owner: one state machine.
    """

    __slots__ = ("_dues", "_process", "pending", "postponed", "state")

    def __init__(self, process: Process, state: StateT) -> None:
        """Begin in a state, with nothing pending."""
        self._process = process
        self._dues: dict[tuple[str, str | None], Due] = {}
        self.state = state
        self.pending: deque[Pending | Due] = deque()
        self.postponed: list[Pending] = []

    def set_timeout(self, timeout: StateTimeout | NamedTimeout | EventTimeout) -> None:
        """Arm a timeout, in place of an older one; zero is due before anything not yet received."""
        due = Due(_source_of(timeout), timeout.event)
        self._cancel(due.key)
        if timeout.delay_s > 0:
            due.timer = self._process.after(
                timeout.delay_s, lambda: self._process.mailbox.post((TIMEOUT, due, None))
            )
        elif due.source is _EVENT and self.pending:
            return  # the events that are pending come first, and any event cancels it
        else:
            self.pending.append(due)
        self._dues[due.key] = due

    def cancel_timeout(self, cancel: CancelTimeout) -> None:
        """Cancel what the action names."""
        self._cancel((_STATE.kind, None) if cancel.name is None else ("timeout", cancel.name))

    def cancel_state_timeout(self) -> None:
        """The state has changed."""
        self._cancel(("state_timeout", None))

    def cancel_event_timeout(self) -> None:
        """An event has come."""
        if self._dues:
            self._cancel(("event_timeout", None))

    def take(self, due: Due) -> bool:
        """Claim a timeout that has run out; false if it was cancelled or replaced meanwhile."""
        if self._dues.get(due.key) is not due:
            return False
        del self._dues[due.key]
        return True

    def replay_postponed(self) -> None:
        """Put the postponed events before the pending ones, oldest first."""
        self.pending.extendleft(reversed(self.postponed))
        self.postponed.clear()

    def _cancel(self, key: tuple[str, str | None]) -> None:
        due = self._dues.pop(key, None)
        if due is not None and due.timer is not None:
            self._process.cancel(due.timer)


def _source_of(timeout: StateTimeout | NamedTimeout | EventTimeout) -> Source:
    match timeout:
        case StateTimeout():
            return _STATE
        case NamedTimeout():
            return Source(kind="timeout", name=timeout.name)
        case EventTimeout():
            return _EVENT
        case _:
            assert_never(timeout)
