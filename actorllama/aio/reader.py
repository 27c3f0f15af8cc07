"""The reading end of a turn on the other side: what has come, what was read, how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

from actorllama.aio.inbox import Inbox
from actorllama.aio.job import Job
from actorllama.aio.portal import Portal
from actorllama.engine import TextPiece, TurnResult
from actorllama.runtime import Turn

__all__ = ["TellTurn", "TurnReader", "telling"]

TellTurn: TypeAlias = Callable[[Callable[[Turn], None]], Awaitable[TurnResult]]
"""Takes a turn on the trio side; what it is given is called with the turn first, and diverts the text."""


class TurnReader:
    """Take a turn on the trio side and keep what it says until it is read, by the credit of its ``window``.

    Credit goes back when the next text comes, for the trio side is awake then; it is woken only where a
    third of a window was read and nothing came. A failure comes before text that was not read yet, as on
    the trio side: nobody shall take the end of the text for the end of a failed turn.

    Owner: the thread that reads ``inbox``; `_take`, `_begin`, `_pass_on` and `_give_back` are the trio
    task's, with `_n_returned`, which the reader only looks at, as the trio task does at `_n_read`.
    """

    def __init__(self, portal: Portal, inbox: Inbox, tell: TellTurn) -> None:
        """Start the turn."""
        self.turn_id: int | None = None
        """Known once the turn was opened."""
        self._portal = portal
        self._tell = tell
        self._texts: list[str] = []
        self._n_unread = 0
        self._n_read = 0
        self._n_returned = 0
        self._n_quantum = 1
        self._return: Callable[[int], None] = _return_nothing
        self.job: Job[TurnResult] = Job(self._take, inbox)
        portal.submit(self.job)  # last: the other thread may begin before this one goes on

    @property
    def has_news(self) -> bool:
        """Whether `take` would bring text, or the end."""
        return bool(self._texts) or self.job.is_ended

    @property
    def is_opened(self) -> bool:
        """Whether the turn has begun, or ended before it could."""
        return self.turn_id is not None or self.job.is_ended

    def take(self) -> TextPiece | None:
        """Take all that has come; ``None`` at the end of the text.

        Raises:
            Exception: What the turn failed with, as it was.
        """
        if self.job.error is not None:
            raise self.job.error
        if not self._texts:
            return None
        piece = TextPiece(text="".join(self._texts), n_tokens=self._n_unread)
        self._texts.clear()
        self._n_read += self._n_unread
        self._n_unread = 0
        if self._n_read - self._n_returned >= self._n_quantum and not self.job.is_ended:
            self._portal.run_soon(self._give_back)
        return piece

    async def _take(self) -> TurnResult:
        try:
            return await self._tell(self._begin)
        finally:
            self._return = _return_nothing  # no circle for the collector

    def _begin(self, turn: Turn) -> None:
        self._return = turn.divert(self._pass_on)
        self.job.inbox.post(partial(self._opened, turn.turn_id, max(1, turn.window // 3)))

    def _pass_on(self, piece: TextPiece) -> None:
        self._give_back()
        self.job.inbox.post(partial(self._put, piece))

    def _give_back(self) -> None:
        n_tokens = self._n_read - self._n_returned
        if n_tokens:
            self._n_returned += n_tokens
            self._return(n_tokens)

    def _opened(self, turn_id: int, n_quantum: int) -> None:
        self.turn_id = turn_id
        self._n_quantum = n_quantum
        self.job.tell()

    def _put(self, piece: TextPiece) -> None:
        self._texts.append(piece.text)
        self._n_unread += piece.n_tokens
        self.job.tell()


def telling(open_turn: Callable[[], AbstractAsyncContextManager[Turn]]) -> TellTurn:
    """Make it of a turn that can only be opened."""

    async def tell(begin: Callable[[Turn], None]) -> TurnResult:
        async with open_turn() as turn:
            begin(turn)
            async for _piece in turn:
                raise AssertionError("a diverted turn hands its text to the sink")
        return turn.result

    return tell


def _return_nothing(_n_tokens: int) -> None:
    """Give credit to nobody: the turn has ended."""
