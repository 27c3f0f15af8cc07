"""The channel between a running turn and the one who reads it."""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import frozen

__all__ = ["TextPiece", "TurnStream"]


@frozen(kw_only=True)
class TextPiece:
    """The text that became safe to show since the last piece: of one token or of several.

    How a reply falls into pieces depends on time alone: on how fast the model is, how often it reports
    (``EngineOptions.post_interval_s``) and how slow the reader. The texts add up to that of the result.
    """

    text: str
    """Never empty."""
    n_tokens: int
    """Tokens that came with it. Those without text of their own (control tokens, text held back for a stop
    string) may be counted here or in no piece; the result counts all."""


class TurnStream:
    """A bounded channel with one writer and one reader, by credit.

    The loop may produce ``window`` tokens ahead of the reader and then leaves the sequence out of its
    steps, so a slow reader holds back only itself. What has piled up is handed over in one piece; who waits
    gets each piece into its hands, and the credit of that is given back at once.

    Owner: whoever takes the turn makes it, and closes it once the turn's outcome is known: text ends
    only when the result is there. The model's delivery writes. All live on the trio thread.
    """

    __slots__ = (
        "_grant",
        "_handed",
        "_is_closed",
        "_n_consumed",
        "_n_unread",
        "_n_waiting",
        "_reader",
        "_sink",
        "_texts",
        "window",
    )

    def __init__(self, *, window: int) -> None:
        """Allow the loop to run ``window`` tokens ahead."""
        self.window = window
        self._grant: Callable[[int], None] | None = None
        self._texts: list[str] = []
        self._n_waiting = 0
        self._n_consumed = 0
        self._is_closed = False
        self._reader: trio.lowlevel.Task | None = None
        self._handed: TextPiece | None = None
        self._sink: Callable[[TextPiece], None] | None = None
        self._n_unread = 0

    def connect(self, grant: Callable[[int], None]) -> None:
        """Tell the stream how to give credit back; its writer does, when the turn starts."""
        self._grant = grant

    def push(self, text: str, n_tokens: int) -> None:
        """Add text; never waits, because credit bounds what can come."""
        if not text:
            self._push_silent(n_tokens)
        elif self._sink is not None:
            self._texts.append(text)
            self._n_waiting += n_tokens
            self._hand_over(self._sink)
        elif self._reader is not None:  # it waits: nothing else is there
            reader, self._reader = self._reader, None
            self._handed = TextPiece(text=text, n_tokens=n_tokens)
            trio.lowlevel.reschedule(reader)
            self._return_credit(n_tokens)
        else:
            self._texts.append(text)
            self._n_waiting += n_tokens

    def close(self) -> None:
        """Say that nothing more comes; what is buffered can still be read."""
        self._is_closed = True
        self._sink = None  # what it belongs to may hold this stream: a circle for the collector
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader)

    def divert(self, sink: Callable[[TextPiece], None]) -> Callable[[int], None]:
        """Hand text over as it comes, for a reader on another thread; ``receive`` then waits for the end.

        Args:
            sink: Called with each piece, on the trio thread; it must not wait and must not raise.

        Returns:
            What gives credit back for so many tokens of the pieces; to be called on the trio thread, too.
        """
        self._sink = sink
        if self._texts:
            self._hand_over(sink)
        return self._give_back

    async def receive(self) -> TextPiece | None:
        """Wait for text; ``None`` once the turn has ended and everything was read."""
        if self._texts or self._is_closed:
            await trio.lowlevel.checkpoint()
            return self._gather()
        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._forget_reader)
        piece, self._handed = self._handed, None
        return self._gather() if piece is None else piece

    def _forget_reader(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _gather(self) -> TextPiece | None:
        if not self._texts:
            return None
        piece, n_tokens = TextPiece(text="".join(self._texts), n_tokens=self._n_waiting), self._n_waiting
        self._texts.clear()
        self._n_waiting = 0
        self._return_credit(n_tokens)
        return piece

    def _push_silent(self, n_tokens: int) -> None:
        """Count tokens without text: control tokens, or text that is held back for a stop string.

        They are nothing that a reader could consume: with no text before them, their credit goes back at
        once, or the turn would wait for ever.
        """
        if self._texts or self._n_unread:
            self._n_waiting += n_tokens
        else:
            self._return_credit(n_tokens)

    def _hand_over(self, sink: Callable[[TextPiece], None]) -> None:
        piece = TextPiece(text="".join(self._texts), n_tokens=self._n_waiting)
        self._texts.clear()
        self._n_unread += self._n_waiting
        self._n_waiting = 0
        sink(piece)

    def _give_back(self, n_tokens: int) -> None:
        self._n_unread -= n_tokens
        if self._n_unread <= 0:  # with it the tokens without text that waited behind what was not read
            n_tokens += self._n_waiting
            self._n_waiting = 0
        self._return_credit(n_tokens)

    def _return_credit(self, n_tokens: int) -> None:
        # Half a window at a time: one command for many tokens, and never an empty window.
        self._n_consumed += n_tokens
        if self._n_consumed * 2 >= self.window and self._grant is not None:
            n, self._n_consumed = self._n_consumed, 0
            self._grant(n)
