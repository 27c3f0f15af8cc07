"""An engine host without a thread, so that schedules of the whole tree can be explored."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import TypeVar

import trio

from actorllama.engine.host import EngineHost, HostMessage, Seat

__all__ = ["InlineHost", "run_inline"]

R = TypeVar("R")


class InlineHost(EngineHost):
    """The engine host as a trio task: one message or one step per task step.

    Everything else (queue, order, fairness, failures) is the real host's. Time, by which loops are
    weighed, is counted in steps, so that a run depends on nothing but its schedule. Use it with
    `run_inline`, inside `actorllama.testing.explore`::

        async with trio.open_nursery() as nursery:
            async with open_runtime(
                backend=FakeBackend(), make_host=lambda: InlineHost(nursery), runner=run_inline
            ) as rt:
                ...

    Owner: the host actor; all methods are called on the trio thread.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        """Step in ``nursery``, which must outlive the runtime."""
        ticks = count()
        super().__init__(clock=lambda: float(next(ticks)))
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self._woken = trio.Event()
        self._is_ended = False

    @property
    def is_running(self) -> bool:
        """Whether a message put now will be handled."""
        return not self._is_ended

    def start(self) -> None:
        """Start the task."""
        self._nursery.start_soon(self._serve, name="inline engine host")

    def detach(self, seat: Seat, done: Callable[[], None]) -> None:
        """Take a loop away now: between two steps is where the caller is."""
        self._remove(seat)
        done()

    def run(self, work: Callable[[], R]) -> Future[R]:
        """Run a function now: who waits for it has this very thread."""
        future: Future[R] = Future()
        future.set_result(work())
        return future

    def close(self, *, timeout_s: float) -> bool:
        """Handle what was queued, and end."""
        if not self._is_ended:
            self._is_ended = self._is_closing = True
            self._finish()
            self._scope.cancel()
        return True

    def _put(self, message: HostMessage) -> None:
        super()._put(message)
        self._woken.set()

    async def _serve(self) -> None:
        # Shielded: like the thread, it ends when it is closed and not before.
        with trio.CancelScope(shield=True), self._scope:
            while True:
                self._woken = trio.Event()
                match self._advance(waits=False):
                    case "busy":
                        await trio.lowlevel.checkpoint()
                    case "idle":
                        await self._woken.wait()
                    case "closed":
                        return


async def run_inline(fn: Callable[[], R], /, *, limiter: trio.CapacityLimiter) -> R:
    """Run a blocking function in the calling task: the runner for explored schedules."""
    async with limiter:
        return fn()
