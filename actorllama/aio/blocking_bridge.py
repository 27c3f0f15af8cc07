"""What every blocking face does with the trio side: call it, and read a turn from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from actorllama.aio.blocking_turn import BlockingTurn
from actorllama.aio.inbox import QueueInbox
from actorllama.aio.job import Job
from actorllama.aio.portal import Portal
from actorllama.aio.reader import TellTurn, TurnReader

__all__ = ["BlockingBridge"]

T = TypeVar("T")


class BlockingBridge:
    """The way from any thread that may block to one portal.

    Owner: the runtime's face; any thread may use it. Each call has an inbox of its own.
    """

    def __init__(self, portal: Portal) -> None:
        """Lead to a portal."""
        self.portal = portal

    def call(
        self, work: Callable[[], Awaitable[T]], *, undo: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """Do work on the trio side; Ctrl-C cancels it and comes out when it has ended.

        Args:
            work: What to do there.
            undo: Takes the work back if it was done just before the interruption.

        Raises:
            RuntimeClosed: The runtime ended.
            Exception: What the work raised, as it was.
        """
        inbox = QueueInbox()
        job = self.portal.submit(Job(work, inbox))
        try:
            inbox.wait_until(lambda: job.is_ended)
        except BaseException:
            self.portal.cancel(job)
            inbox.wait_until(lambda: job.is_ended)
            if job.has_value and undo is not None:
                taken_back = self.portal.submit(Job(undo, inbox))
                inbox.wait_until(lambda: taken_back.is_ended)
            raise
        return job.result()

    @contextmanager
    def stream(self, tell: TellTurn) -> Generator[BlockingTurn, None, None]:
        """Take a turn and read it here; leaving the block cancels what is left of it."""
        inbox = QueueInbox()
        reader = TurnReader(self.portal, inbox, tell)
        job = reader.job
        try:
            inbox.wait_until(lambda: reader.is_opened)
            if reader.turn_id is not None:
                yield BlockingTurn(reader.turn_id, reader, inbox)
        finally:
            if not job.is_ended:
                self.portal.cancel(job)
            inbox.wait_until(lambda: job.is_ended)
        if job.error is not None:
            raise job.error
