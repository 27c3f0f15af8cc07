"""One piece of work on the trio side, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

import trio

from actorllama.aio.ending import Ending
from actorllama.aio.inbox import Inbox
from actorllama.errors import RuntimeClosed, StateError

__all__ = ["Job"]

T = TypeVar("T")


class Job(Ending, Generic[T]):
    """Work that runs as a trio task and tells another thread how it ended, once.

    Owner: `run` is the trio task's; all else belongs to the thread that reads ``inbox``.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], inbox: Inbox) -> None:
        """Keep the work; ``Portal.submit`` starts it. Whatever it uses must be there before."""
        super().__init__(inbox)
        self.scope = trio.CancelScope()
        self.context = copy_context()
        """The caller's: who traces requests finds the caller's span in it."""
        self._work: Callable[[], Awaitable[T]] | None = work
        self._values: list[T] = []

    @property
    def has_value(self) -> bool:
        """Whether the work was done."""
        return bool(self._values)

    def result(self) -> T:
        """Return what the work brought.

        Raises:
            StateError: It was cancelled, or has not ended.
            Exception: What the work raised, as it was.
        """
        if self.error is not None:
            raise self.error
        if not self._values:
            raise StateError(operation="call", reason="it was cancelled", hint="Call again.")
        return self._values[0]

    async def run(self) -> None:
        """Do the work, and tell its end."""
        work, self._work = self._work, None  # it may hold what holds this job: a circle for the collector
        assert work is not None, "a job runs once"
        tell_end: Callable[[], None] = partial(self.fail, RuntimeClosed(reason="it was closed meanwhile"))
        try:
            with self.scope:
                try:
                    value = await work()
                except Exception as exc:  # noqa: BLE001 - it belongs to whoever waits on the other side
                    tell_end = partial(self.fail, exc)
                else:
                    tell_end = partial(self._succeed, value)
            if self.scope.cancelled_caught:
                tell_end = self.end
        finally:
            self.inbox.post(tell_end)

    def _succeed(self, value: T) -> None:
        if not self.is_ended:
            self._values.append(value)
            self.end()
