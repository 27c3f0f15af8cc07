"""The text of a running turn: read from its tokens when somebody looks, told in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actorllama.engine.reports import Piece
from actorllama.engine.text import TextAssembler
from actorllama.ids import TurnId

__all__ = ["TurnText"]


class TurnText:
    """What the tokens of one turn say, and how much of it has been told.

    Nobody sees text before a report, and right after a step each call costs ten times what it costs later:
    so tokens are read together, once for each report. Only where a stop string may end the turn each is read
    at once. A reader wakes, and a service sends, once for each piece: one per token would cost both more than
    the token itself.

    Owner: an engine loop.
    """

    __slots__ = ("_assembler", "_n_read", "_n_silent", "_n_told", "_piece", "_tokens", "_untold")

    def __init__(
        self, assembler: TextAssembler, tokens: Sequence[int], piece: Callable[[int], bytes]
    ) -> None:
        """Read ``tokens``, which their turn goes on appending to; ``piece`` gives the bytes of one."""
        self._assembler = assembler
        self._tokens = tokens
        self._piece = piece
        self._n_read = self._n_told = self._n_silent = 0
        self._untold: list[str] = []

    @property
    def has_stops(self) -> bool:
        """Whether a stop string may end the turn."""
        return self._assembler.has_stops

    @property
    def stop(self) -> str | None:
        """The stop string that was found, if any."""
        return self._assembler.stop

    @property
    def text(self) -> str:
        """All text so far that is safe to show."""
        self._read()
        return self._assembler.text

    @property
    def tail(self) -> tuple[str, bytes]:
        """What was undecided when the turn ended."""
        return self._assembler.tail

    def has_stopped(self) -> bool:
        """Tell whether the last token completed a stop string."""
        if not self.has_stops:
            return False
        self._read()
        return self._assembler.stop is not None

    def leave_out_last(self) -> None:
        """Take the last token for an end of generation: it is no text, and is not counted as told."""
        self._n_silent = 1

    def finish(self) -> None:
        """Read what is left, and give free what was held back for a stop string that did not come."""
        self._read()
        self._keep(self._assembler.finish())

    def told(self, turn_id: TurnId) -> Piece | None:
        """Return what came since the last call; ``None`` if nothing did."""
        self._read()
        n_tokens = self._n_read - self._n_told
        if not n_tokens and not self._untold:
            return None
        piece = Piece(turn_id, "".join(self._untold), n_tokens)
        self._untold.clear()
        self._n_told = self._n_read
        return piece

    def _read(self) -> None:
        unread = self._tokens[self._n_read : len(self._tokens) - self._n_silent]
        if unread:
            self._n_read += len(unread)
            self._keep(self._assembler.feed(b"".join(map(self._piece, unread))))

    def _keep(self, text: str) -> None:
        if text:
            self._untold.append(text)
