"""What a model shows to whoever wants to choose between models: one frozen value, replaced whole."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.engine.canary import Exactness
from actorllama.engine.commands import PrefixSource

__all__ = ["DeskReadings", "ModelGauges", "ModelPhase", "TurnCounts"]

ModelPhase: TypeAlias = Literal["loading", "ready", "draining", "parking", "parked", "opening", "down"]
"""``parked``: the context was put aside because memory is short, and comes back for the next turn.
``down``: no actor stands behind the name now; it is being rebuilt, or gone."""


@frozen(kw_only=True)
class TurnCounts:
    """What became of the turns since the model was loaded, and of their tokens.

    ``n_taken = n_queued + n_live + n_ended + n_cancelled + n_failed`` at every moment, and for the turns
    that ended as they should ``n_prompt = n_cached + n_prefilled``.
    """

    n_taken: int = 0
    n_refused: int = 0
    """Not taken: the queue was full, or the model was leaving."""
    n_ended: int = 0
    n_cancelled: int = 0
    """Stopped, or gone while they waited."""
    n_failed: int = 0
    n_prompt: int = 0
    """Prompt tokens of turns that had a sequence and are over, however they ended; so the next three."""
    n_cached: int = 0
    n_prefilled: int = 0
    n_generated: int = 0


@frozen(kw_only=True)
class DeskReadings:
    """What a turn desk has to show."""

    n_live: int
    n_queued: int
    n_free_slots: int
    counts: TurnCounts
    last_hit_tokens: int | None
    last_hit_source: PrefixSource | None


@frozen(kw_only=True)
class ModelGauges:
    """A model at a glance. Reading it costs nothing: it is a value, and any thread may hold it."""

    model: str
    phase: ModelPhase = "loading"
    exactness: Exactness | None = None
    """``None`` until it was loaded."""
    n_seq: int
    n_live: int = 0
    n_queued: int = 0
    n_free_slots: int = 0
    queue_capacity: int
    last_hit_tokens: int | None = None
    """Prompt tokens that the turn that ended last did not compute; ``None`` before the first one."""
    last_hit_source: PrefixSource | None = None
    tokens_per_s: float = 0.0
    """Generated over the last second or so; 0 while nothing runs."""
    n_decoded: int = 0
    """Tokens computed one by one since it was loaded: the running total for whoever measures by himself."""
    counts: TurnCounts = TurnCounts()
    """Since it was loaded, or rebuilt."""
    n_starts: int = 0
    """How often its actor was started: one more than it was rebuilt."""
    updated_at_s: float = 0.0
    """When this was true, by ``time.perf_counter``."""
