"""All deadlines of a system on one heap, served by one task."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol

import trio

__all__ = ["Alarm", "Timer", "Timers"]

_N_STALE_KEPT = 64


class Alarm(Protocol):
    """What a deadline wakes: a timer, or a call that waits for its reply."""

    @property
    def is_armed(self) -> bool:
        """Whether firing would still mean something."""
        ...

    def fire(self) -> None:
        """The deadline has passed; must not wait."""
        ...


class Timer:
    """A callback that runs once, unless it is cancelled before."""

    __slots__ = ("_callback", "_timers")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        """Made by :meth:`Timers.after`."""
        self._timers = timers
        self._callback: Callable[[], None] | None = callback

    @property
    def is_armed(self) -> bool:
        """Whether the callback is still to run."""
        return self._callback is not None

    def cancel(self) -> None:
        """Never run the callback; nothing happens if it ran already."""
        if self._callback is not None:
            self._callback = None
            self._timers.discard()

    def fire(self) -> None:
        """Run the callback."""
        callback, self._callback = self._callback, None
        if callback is None:
            raise AssertionError("only armed timers are fired")
        callback()


class Timers:
    """Fire alarms in the order of their deadlines; equal deadlines in the order they were set.

    A cancel scope per call costs 5 us here, an entry on this heap less than 1 us. Entries that are no
    longer armed stay until the heap is swept, which happens when they are the majority: amortised O(1).

    Owner: the system; everybody on its trio thread may set and cancel.
    """

    __slots__ = ("_heap", "_n_stale", "_scope", "_sequence")

    def __init__(self) -> None:
        """Make an empty heap; nothing fires before :meth:`run` does."""
        self._heap: list[tuple[float, int, Alarm]] = []
        self._sequence = count()
        self._n_stale = 0
        self._scope: trio.CancelScope | None = None

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` once, ``delay_s`` from now. Infinity means never."""
        timer = Timer(self, callback)
        self.set(trio.current_time() + delay_s, timer)
        return timer

    def set(self, deadline: float, alarm: Alarm) -> None:
        """Fire ``alarm`` at ``deadline`` on trio's clock, if it is still armed then."""
        if deadline == math.inf:
            return
        heap = self._heap
        if (not heap or deadline < heap[0][0]) and self._scope is not None:
            self._scope.deadline = deadline
        heappush(heap, (deadline, next(self._sequence), alarm))

    def discard(self) -> None:
        """Learn that one alarm on the heap is no longer armed."""
        self._n_stale += 1
        if self._n_stale > _N_STALE_KEPT and self._n_stale * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].is_armed]
            heapify(self._heap)
            self._n_stale = 0

    async def run(self) -> None:
        """Serve deadlines until cancelled from outside."""
        while True:
            deadline = self._heap[0][0] if self._heap else math.inf
            with trio.CancelScope(deadline=deadline) as self._scope:
                await trio.sleep_forever()
            self._fire_due()

    def _fire_due(self) -> None:
        now = trio.current_time()
        while self._heap and self._heap[0][0] <= now:
            alarm = heappop(self._heap)[2]
            if alarm.is_armed:
                alarm.fire()
            else:
                self._n_stale = max(0, self._n_stale - 1)
