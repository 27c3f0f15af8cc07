"""What a process needs of the system that it lives in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from actorllama.actors.ref import Ref
from actorllama.actors.timers import Timers
from actorllama.telemetry import Bus

__all__ = ["Host"]


class Host(Protocol):
    """What a process needs of the system that it lives in."""

    @property
    def bus(self) -> Bus:
        """Where events go."""
        ...

    @property
    def timers(self) -> Timers:
        """Where deadlines go."""
        ...

    def deliver(self, signal: Callable[[], None]) -> None:
        """Run a signal after those already under way, before the caller goes on waiting."""
        ...

    def forget(self, ref: Ref) -> None:
        """The actor is dead: free its names before anybody hears of it."""
        ...
