"""What every asyncio face does with the trio side: call it, and read a turn from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from actorllama.aio.inbox import LoopInbox
from actorllama.aio.job import Job
from actorllama.aio.portal import Portal
from actorllama.aio.reader import TellTurn, TurnReader
from actorllama.aio.turn import AsyncTurn
from actorllama.aio.waiting import running_loop, wait_through, wait_until

__all__ = ["Bridge"]

T = TypeVar("T")


class Bridge:
    """The way from any asyncio loop to one portal; each loop has one inbox, woken once for all that comes.

    Owner: the runtime's face; tasks of several loops, on several threads, may use it.
    """

    def __init__(self, portal: Portal) -> None:
        """Lead to a portal."""
        self.portal = portal
        self._inboxes: dict[asyncio.AbstractEventLoop, LoopInbox] = {}

    async def call(
        self, work: Callable[[], Awaitable[T]], *, undo: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """Do work on the trio side; cancelling the call cancels the work and returns when that has ended.

        Args:
            work: What to do there.
            undo: Takes the work back if it was done just before the call was cancelled: then nobody has
                heard of it.

        Raises:
            RuntimeClosed: The runtime ended.
            Exception: What the work raised, as it was.
        """
        job = self.portal.submit(Job(work, self._inbox()))
        try:
            await wait_until(job, lambda: job.is_ended)
        except asyncio.CancelledError:
            self.portal.cancel(job)
            with suppress(asyncio.CancelledError):  # cancelled twice is cancelled
                await wait_through(job)
            if job.has_value and undo is not None:
                await wait_through(self.portal.submit(Job(undo, self._inbox())))
            raise
        except GeneratorExit:  # the coroutine was closed: it may wait for nothing any more
            self.portal.cancel(job)
            raise
        return job.result()

    @asynccontextmanager
    async def stream(self, tell: TellTurn) -> AsyncGenerator[AsyncTurn, None]:
        """Take a turn and read it here; leaving the block cancels what is left of it."""
        inbox = self._inbox()
        reader = TurnReader(self.portal, inbox, tell)
        job = reader.job
        try:
            await wait_until(job, lambda: reader.is_opened)
            if reader.turn_id is not None:
                yield AsyncTurn(reader.turn_id, reader, inbox)
        finally:
            if not job.is_ended:
                self.portal.cancel(job)
            if not job.inbox.is_gone:  # else the loop was closed under the task, and nothing may wait
                await wait_through(job)
        if job.error is not None:
            raise job.error

    def _inbox(self) -> LoopInbox:
        loop = running_loop("call")
        inbox = self._inboxes.get(loop)
        if inbox is None:
            for other in [other for other in list(self._inboxes) if other.is_closed()]:
                self._inboxes.pop(other, None)
            inbox = self._inboxes.setdefault(loop, LoopInbox(loop))
        return inbox
