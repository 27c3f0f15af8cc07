"""Watching one actor at work: hooks that see every message, a ring of the last ones, a limited trace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import trio
from attrs import frozen

from actorllama.actors.events import TRACE
from actorllama.actors.ref import Ref
from actorllama.telemetry import Bus

__all__ = ["DONE", "Debugger", "Hook", "SysEvent"]

DONE: Final = "done"
_WINDOW_S: Final = 1.0


@frozen(kw_only=True)
class SysEvent:
    """One thing that an actor did, on trio's clock.

    ``what`` is ``call``, ``cast``, ``info`` or ``timeout`` for a message taken, and for state machines
    also ``postpone`` and ``enter``.
    """

    at_s: float
    what: str
    message: object


Hook: TypeAlias = Callable[[SysEvent], object]
"""Called in the actor's own step; must be quick. One that returns ``DONE``, or raises, is removed."""


class Debugger:
    """The hooks of one actor, and its log ring. There is none as long as nobody asks.

    Owner: the process that it looks at.
    """

    __slots__ = ("_bus", "_hooks", "_ref", "_ring")

    def __init__(self, ref: Ref, bus: Bus) -> None:
        """Begin without hooks."""
        self._ref = ref
        self._bus = bus
        self._hooks: dict[str, Hook] = {}
        self._ring: deque[SysEvent] = deque(maxlen=0)

    def __call__(self, what: str, message: object) -> None:
        """Show one event to all hooks."""
        event = SysEvent(at_s=trio.current_time(), what=what, message=message)
        self._ring.append(event)
        for name, hook in tuple(self._hooks.items()):
            try:
                is_done = hook(event) == DONE
            except Exception:  # noqa: BLE001 - part of the loop's guard: a debug hook must not kill (rule Y2)
                is_done = True
            if is_done:
                self._hooks.pop(name, None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost without it."""
        return not self._hooks and self._ring.maxlen == 0

    @property
    def log(self) -> tuple[SysEvent, ...]:
        """The last events, oldest first."""
        return tuple(self._ring)

    def keep_log(self, n_events: int) -> None:
        """Keep the last ``n_events``; 0 keeps none."""
        self._ring = deque(self._ring, maxlen=n_events)

    def install(self, name: str, hook: Hook) -> None:
        """Add a hook, in place of one with the same name."""
        self._hooks[name] = hook

    def remove(self, name: str) -> None:
        """Take a hook away; nothing happens if there is none."""
        self._hooks.pop(name, None)

    def trace(self, n_per_s: int) -> None:
        """Tell at most so many events per second to the bus; 0 ends it."""
        self.remove("trace")
        if n_per_s > 0:
            self.install("trace", _Trace(self._ref, self._bus, n_per_s))


class _Trace:
    """A hook that tells the bus, and counts within windows of one second."""

    __slots__ = ("_bus", "_n_in_window", "_n_per_s", "_ref", "_window_s")

    def __init__(self, ref: Ref, bus: Bus, n_per_s: int) -> None:
        self._ref = ref
        self._bus = bus
        self._n_per_s = n_per_s
        self._n_in_window = 0
        self._window_s = -_WINDOW_S

    def __call__(self, event: SysEvent) -> None:
        if event.at_s - self._window_s >= _WINDOW_S:
            self._window_s = event.at_s
            self._n_in_window = 0
        self._n_in_window += 1
        if self._n_in_window <= self._n_per_s:
            self._bus.execute(
                TRACE,
                {"n_in_second": self._n_in_window},
                {"pid": self._ref.pid, "actor": self._ref.name, "what": event.what, "message": event.message},
            )
