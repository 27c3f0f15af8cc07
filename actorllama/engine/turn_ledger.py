"""The desk's accounts: every turn that was taken is somewhere, and every token of it was paid for once."""

from __future__ import annotations

from collections import Counter

from actorllama.engine.commands import PrefixSource
from actorllama.engine.gauges import TurnCounts
from actorllama.engine.reports import TurnEnd

__all__ = ["TurnLedger"]


class TurnLedger:
    """Count turns and their tokens.

    Owner: the turn desk.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._n: Counter[str] = Counter()
        self.last_hit_tokens: int | None = None
        self.last_hit_source: PrefixSource | None = None

    @property
    def counts(self) -> TurnCounts:
        """All counts as a value."""
        return TurnCounts(**self._n)

    def take(self) -> None:
        """A turn was taken into the queue."""
        self._n["n_taken"] += 1

    def refuse(self) -> None:
        """A turn was not taken."""
        self._n["n_refused"] += 1

    def lose(self, n_turns: int) -> None:
        """So many turns left the queue without having begun."""
        self._n["n_cancelled"] += n_turns

    def end(self, end: TurnEnd) -> None:
        """A turn that had a sequence is over."""
        match end.finish_reason:
            case "cancelled":
                self._n["n_cancelled"] += 1
            case "error":
                self._n["n_failed"] += 1
            case _:
                self._n["n_ended"] += 1
                self.last_hit_tokens, self.last_hit_source = end.n_restored, end.source
        self._n["n_prompt"] += end.n_prompt
        self._n["n_cached"] += end.n_restored
        self._n["n_prefilled"] += end.n_prefilled
        self._n["n_generated"] += len(end.tokens)
