"""A turn that an asyncio task reads while it runs."""

from __future__ import annotations

from typing import Self

from actorllama.aio.inbox import LoopInbox
from actorllama.aio.reader import TurnReader
from actorllama.aio.waiting import wait_until
from actorllama.engine import TextPiece, TurnResult
from actorllama.errors import StateError

__all__ = ["AsyncTurn"]


class AsyncTurn:
    """A running turn, as ``async with model.stream(...)`` gives it in an asyncio program.

    As `Turn`; but a block that does other things than reading is not cancelled when its turn fails: the
    error comes at the next piece, or at the end of the block.

    Iterate at most once, from one task. Leaving the block before the end cancels the turn, and its
    sequence is free within one step.
    """

    def __init__(self, turn_id: int, reader: TurnReader, inbox: LoopInbox) -> None:
        """Made by ``AsyncModel.stream``."""
        self.turn_id = turn_id
        self._reader = reader
        self._inbox = inbox

    @property
    def result(self) -> TurnResult:
        """What the turn brought.

        Raises:
            StateError: It has not ended; read it to its end first.
        """
        if not self.is_done:
            raise StateError(
                operation="Turn.result",
                reason="the turn was not read to its end",
                hint="Read it to its end first.",
            )
        return self._reader.job.result()

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self._reader.job.has_value

    def __aiter__(self) -> Self:
        """Give text as it comes; a piece is what came since the last one, the text of one token or more."""
        return self

    async def __anext__(self) -> TextPiece:
        """Wait for the next piece.

        Raises:
            StateError: Another loop opened the turn.
            Exception: What the turn failed with, as it was.
        """
        self._inbox.check_here("Turn.__anext__")
        reader = self._reader
        if not reader.has_news:
            await wait_until(reader.job, lambda: reader.has_news)
        piece = reader.take()
        if piece is None:
            raise StopAsyncIteration
        return piece
