"""A turn that is read while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from actorllama.engine import TextPiece, TurnResult, TurnStream
from actorllama.errors import StateError

__all__ = ["Turn"]


class Turn:
    """A running turn, as ``async with model.stream(...)`` gives it.

    ::

        async with model.stream("Once upon a time", max_tokens=64) as turn:
            async for piece in turn:
                print(piece.text, end="")
        print(turn.result.usage)

    Iterate at most once, from one task. Leaving the block before the end cancels the turn, and its
    sequence is free within one step.
    """

    def __init__(self, turn_id: int, stream: TurnStream) -> None:
        """Made by ``Model.stream``."""
        self.turn_id = turn_id
        self._stream = stream
        self._result: TurnResult | None = None

    @property
    def result(self) -> TurnResult:
        """What the turn brought.

        Raises:
            StateError: It has not ended; read it to its end first.
        """
        if self._result is None:
            raise StateError(
                operation="Turn.result",
                reason="the turn was not read to its end",
                hint="Read it to its end first.",
            )
        return self._result

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self._result is not None

    def __aiter__(self) -> Self:
        """Give text as it comes; a piece is what came since the last one, the text of one token or more."""
        return self

    async def __anext__(self) -> TextPiece:
        """Wait for the next piece."""
        # Not a generator: leaving the loop early would leave one behind, unfinished, for the collector.
        piece = await self._stream.receive()
        if piece is None:
            raise StopAsyncIteration
        return piece

    def divert(self, sink: Callable[[TextPiece], None]) -> Callable[[int], None]:
        """Hand pieces to a function as they come: for a reader that is on another thread.

        ``async for`` then gives nothing and ends with the turn.

        Args:
            sink: Called on the trio thread; it must not wait and must not raise.

        Returns:
            What the reader has called, on the trio thread, with the number of tokens it has read; without
            that credit the turn stands still when ``window`` tokens were not read.
        """
        return self._stream.divert(sink)

    @property
    def window(self) -> int:
        """Tokens that the turn may run ahead of its reader."""
        return self._stream.window

    def finish(self, result: TurnResult) -> None:
        """Keep the result; ``Model.stream`` calls this when the actor has replied."""
        self._result = result
