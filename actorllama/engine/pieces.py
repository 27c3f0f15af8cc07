"""Text between two reports: what came for one turn goes to its reader as one piece."""

from __future__ import annotations

from actorllama.engine.reports import Piece
from actorllama.ids import TurnId

__all__ = ["Pieces"]


class Pieces:
    """Gather the text and the tokens of each turn until they are reported.

    A reader wakes, and a service sends, once for each piece: one per token costs both more than the
    token itself.

    Owner: an engine loop.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._texts: dict[TurnId, list[str]] = {}
        self._n_tokens: dict[TurnId, int] = {}

    def __bool__(self) -> bool:
        """Tell whether anything came."""
        return bool(self._texts)

    def add(self, turn_id: TurnId, text: str, n_tokens: int) -> None:
        """Put text behind what came for this turn before; it may be empty, and the tokens count."""
        texts = self._texts.get(turn_id)
        if texts is None:
            self._texts[turn_id] = [text]
            self._n_tokens[turn_id] = n_tokens
        else:
            texts.append(text)
            self._n_tokens[turn_id] += n_tokens

    def take(self) -> tuple[Piece, ...]:
        """Give one piece for each turn that something came for, and begin again."""
        pieces = tuple(
            Piece(turn_id, "".join(texts), self._n_tokens[turn_id]) for turn_id, texts in self._texts.items()
        )
        self._texts.clear()
        self._n_tokens.clear()
        return pieces
