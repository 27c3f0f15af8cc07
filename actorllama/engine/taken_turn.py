"""A turn from being taken to its end, as the desk sees it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from attrs import define

from actorllama.actors import Caller
from actorllama.engine.commands import PrefixSource, RestoredState
from actorllama.engine.live_cells import LiveMatch
from actorllama.engine.messages import TakeTurn
from actorllama.engine.prefix import Prefix, common_cells
from actorllama.ids import SeqId, TurnId

__all__ = ["Phase", "TakenTurn"]

Phase: TypeAlias = Literal["new", "looking", "following", "ready", "running"]
"""``new``: nobody has asked yet where its first cells could come from. ``looking``: the cache was asked.
``following``: a turn that runs is about to compute them. ``ready``: it needs a sequence, nothing else."""

_N_LOOKS: Final = 3  # whoever looked again whenever there was more would never start


@define(kw_only=True, eq=False)
class TakenTurn:
    """A turn that was taken. Owner: the turn desk."""

    message: TakeTurn
    caller: Caller
    taken_at_s: float
    prefix: Prefix
    """Of the cells that it can have without computing them, at most; marked tokens."""
    phase: Phase = "new"
    restore: RestoredState | None = None
    leader: TurnId | None = None
    """The turn that it follows, or whose copy it got."""
    n_awaited: int = 0
    """Cells of that copy."""
    n_found: int = 0
    """Cells that were there for it when it looked: if they are not any more, it looks again."""
    match: LiveMatch | None = None
    """The free sequence that begins most like it."""
    matched_at: int = -1
    """When that was found: the changes that sequences had seen; -1 before."""
    n_looks: int = 0
    """How often it has looked."""
    n_saved: int = 0
    """Cells of its prefix that were handed to the cache after it had been asked: it may look again."""
    asked_at_s: float = 0.0
    """When the cache was asked last."""
    looked_s: float = 0.0
    """Seconds until it answered, all times together."""
    may_follow: bool = True
    seq_id: SeqId | None = None
    n_offered: int = 0
    """Cells that it began with, if the engine could use them."""
    n_passed: int = 0
    """Cells of which it said that it has computed them, or will not be interrupted for them."""

    @property
    def n_prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self.message.request.prompt)

    def ask(self, now_s: float) -> None:
        """Take note that the cache is asked."""
        self.phase, self.asked_at_s = "looking", now_s

    def answer(self, restore: RestoredState | None, now_s: float) -> None:
        """Take the cache's answer: it needs a sequence now, nothing else."""
        self.phase = "ready"
        self.looked_s += now_s - self.asked_at_s
        self.restore = self.restore if restore is None else restore

    def lookup_s(self, source: PrefixSource | None) -> float:
        """Give the seconds of looking that brought cells, if they came from ``source``: part of a restore.

        What brought none was waiting, and counts as that.
        """
        return self.looked_s if source in ("ram", "disk") else 0.0

    def note_saved(self, prefix: Prefix, n_cells: int) -> None:
        """Take note that the first cells of a prefix went to the cache."""
        if self.phase in ("looking", "ready") and self.n_looks < _N_LOOKS:
            self.n_saved = max(self.n_saved, min(common_cells(self.prefix, prefix), n_cells))
