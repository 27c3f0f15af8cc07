"""Facts that wait for handlers which work behind the back of those who tell them."""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import Queue
from typing import Final, Generic, TypeVar

__all__ = ["LATE_THREAD", "Backlog"]

T = TypeVar("T")

LATE_THREAD: Final = "actorllama-telemetry"
"""Name of the thread."""

_SLICE_S: Final = 0.0005  # worked at a time: shorter than most steps of an engine
_PAUSE_S: Final = 0.001
_EXIT_TIMEOUT_S: Final = 2.0


class Backlog(Queue[T], Generic[T]):
    """A bounded queue with one thread that works it off in portions.

    What is told one by one beside a decoding engine costs three times what it does in a row: code and data
    were displaced meanwhile. So items are gathered for ``interval_s``, or until one is urgent. The thread
    works in short slices with pauses between, for it shares the GIL with the engine's, which needs it from
    step to step; while somebody waits in `flush` it does not pause. It starts with the first item and ends
    when none came for ``idle_s``, so that a backlog needs no closing. What finds no room is dropped and
    counted.

    Owner: the bus that made it; any thread may call any method. The only lock is the queue's own, held for
    an append.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Iterable[None]],
        tell_dropped: Callable[[int], None],
        *,
        limit: int = 8192,
        interval_s: float = 0.2,
        idle_s: float = 1.0,
    ) -> None:
        """Start nothing yet.

        Args:
            work: Does what there is to do about some items, and yields where it may pause; it must not raise.
            tell_dropped: Called on the thread with the number of items that were dropped since the last time.
            limit: Items that may wait.
            interval_s: Seconds at most that an item waits for others.
            idle_s: Seconds without an item after which the thread ends.
        """
        super().__init__(limit)
        self._work = work
        self._tell_dropped = tell_dropped
        self._interval_s = interval_s
        self._idle_s = idle_s
        self._thread: threading.Thread | None = None
        self._is_urgent = False
        self._n_dropped = 0
        self._n_taken = 0
        self._n_done = 0
        self._n_flushes = 0
        self._waiting: deque[T] = self.queue  # the inherited one, without its methods' cost

    def offer(self, item: T, *, is_urgent: bool = False) -> None:
        """Take an item, unless there is no room. Never waits, never raises."""
        waiting = self._waiting
        with self.mutex:
            n_waiting = len(waiting)
            if n_waiting >= self.maxsize:
                self._n_dropped += 1
                return
            waiting.append(item)
            self._n_taken += 1
            self._is_urgent |= is_urgent
            if self._thread is None:
                self._start()
            elif is_urgent or not n_waiting:
                self.not_empty.notify()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was taken before is done with; tell whether it is.

        Called by the work itself it waits for nothing, and answers False.
        """
        if threading.current_thread() is self._thread:
            return False
        with self.mutex:
            n_taken = self._n_taken
            if self._thread is None or self._n_done == n_taken:
                return self._n_done == n_taken
            self._n_flushes += 1
            self.not_empty.notify()
            try:
                return self.all_tasks_done.wait_for(lambda: self._n_done >= n_taken, timeout_s)
            finally:
                self._n_flushes -= 1

    # -- the thread --------------------------------------------------------------------------------

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name=LATE_THREAD, daemon=True)
        try:
            thread.start()
        except (
            RuntimeError
        ):  # no thread is to be had now, at the process' end for instance: the next item tries
            return
        self._thread = thread
        # A daemon, for nobody may have to wait for a handler that hangs; so it must be waited for, a little.
        atexit.register(self.flush, _EXIT_TIMEOUT_S)

    def _run(self) -> None:
        while portion := self._take():
            until_s = time.perf_counter() + _SLICE_S
            for _ in self._work(portion):
                if time.perf_counter() >= until_s and not self._n_flushes:
                    time.sleep(_PAUSE_S)  # noqa: TID251 - a thread of its own, which shall wait
                    until_s = time.perf_counter() + _SLICE_S
            with self.mutex:
                self._n_done += len(portion)
                self.all_tasks_done.notify_all()

    def _take(self) -> list[T]:
        """Wait for a portion; an empty one is the end of the thread."""
        with self.mutex:
            if not self._waiting:
                self.not_empty.wait(self._idle_s)
            if self._waiting and not self._is_urgent and not self._n_flushes:
                self.not_empty.wait(self._interval_s)
            portion = list(self._waiting)
            self._waiting.clear()
            self._is_urgent = False
            n_dropped, self._n_dropped = self._n_dropped, 0
            if not portion:
                self._thread = None
                atexit.unregister(self.flush)
        if n_dropped:
            self._tell_dropped(n_dropped)
        return portion
