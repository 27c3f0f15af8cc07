"""A turn that a script reads while it runs."""

from __future__ import annotations

from typing import Self

from actorllama.aio.inbox import QueueInbox
from actorllama.aio.reader import TurnReader
from actorllama.engine import TextPiece, TurnResult
from actorllama.errors import StateError

__all__ = ["BlockingTurn"]


class BlockingTurn:
    """A running turn, as ``with model.stream(...)`` gives it in a script.

    Iterate at most once, on the thread that opened it. Leaving the block before the end, by Ctrl-C too,
    cancels the turn, and its sequence is free within one step.
    """

    def __init__(self, turn_id: int, reader: TurnReader, inbox: QueueInbox) -> None:
        """Made by ``BlockingModel.stream``."""
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

    def __iter__(self) -> Self:
        """Give text as it comes; a piece is what came since the last one, the text of one token or more."""
        return self

    def __next__(self) -> TextPiece:
        """Wait for the next piece.

        Raises:
            StateError: Another thread opened the turn.
            Exception: What the turn failed with, as it was.
        """
        self._inbox.check_here("Turn.__next__")
        self._inbox.wait_until(lambda: self._reader.has_news)
        piece = self._reader.take()
        if piece is None:
            raise StopIteration
        return piece
