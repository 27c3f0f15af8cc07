"""What model actors and the cache actor tell each other: frozen values."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from actorllama.actors import Call, Ref
from actorllama.engine.commands import RestoredState
from actorllama.ids import TurnId
from actorllama.kvcache import Buffer, Found, Snapshot, StoreStatistics
from actorllama.native import StateCutter

__all__ = [
    "CacheCall",
    "CountCells",
    "FindPrefix",
    "FindSnapshot",
    "GiveBack",
    "KeepCells",
    "MemoryOffer",
    "OfferMemory",
    "PrefixFound",
    "ReadCacheStatistics",
    "TrimIdle",
    "TrimMore",
]


@frozen(kw_only=True)
class FindSnapshot(Call[Found | None]):
    """Look a snapshot up in every tier. Behind a `KeepCells` of the same sender it is found."""

    key: str


@frozen(kw_only=True)
class ReadCacheStatistics(Call[StoreStatistics]):
    """Ask what the tiers hold."""


@frozen(kw_only=True)
class CountCells(Call[int]):
    """Count the first cells of a sequence that are saved; waits for what is being cut."""

    namespace: str
    tokens: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    """Of the cells, from the first on."""
    cutter: StateCutter = field(repr=False)


@frozen(kw_only=True)
class MemoryOffer:
    """Bytes of RAM that the cache could give back now."""

    demotable_bytes: int
    """By moving entries to disk; 0 without one."""
    evictable_bytes: int
    """By forgetting entries."""
    largest_bytes: int
    """Of one entry: it gives back at most so much more than it is asked for."""
    scratch_bytes: int = 0
    """Of pages that hold nothing and are kept for the next states."""


@frozen(kw_only=True)
class OfferMemory(Call[MemoryOffer]):
    """Ask what could be given back."""


@frozen(kw_only=True)
class GiveBack(Call[int]):
    """Give memory back; the reply is the bytes won, once they are free."""

    how: Literal["demote", "scratch", "evict"]
    n_bytes: int


CacheCall: TypeAlias = FindSnapshot | ReadCacheStatistics | CountCells | OfferMemory | GiveBack


@frozen(kw_only=True)
class FindPrefix:
    """Find the longest saved state that begins a prompt, and bring it; the answer is a `PrefixFound`."""

    turn_id: TurnId
    namespace: str
    tokens: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    """One more than the cells that can be used at most."""
    n_had: int
    """Cells that the asker has anyway."""
    n_least: int
    """Fewer cells than this are not wanted."""
    token_s: float | None
    """Seconds for computing one prompt token; ``None`` if that is not known yet."""
    cutter: StateCutter = field(repr=False)
    """Puts the parts together as the asker's context wants them."""
    reply_to: Ref


@frozen(kw_only=True)
class PrefixFound:
    """The answer to `FindPrefix`."""

    turn_id: TurnId
    restore: RestoredState | None
    """``None`` if nothing is saved that is worth it."""


@frozen(kw_only=True)
class KeepCells:
    """Keep the cells of a sequence, and with them, perhaps, a turn that can be resumed."""

    namespace: str
    tokens: tuple[int, ...] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    """Of the cells, from the first on."""
    kv: Buffer | None = field(repr=False)
    """As the context wrote them; ``None`` if states of this context cannot be restored."""
    cutter: StateCutter = field(repr=False)
    token_s: float | None
    """Seconds for computing one prompt token: what a saved one is worth."""
    snapshot: Snapshot | None
    """The turn; without one the cells are kept in memory only."""


@frozen(kw_only=True)
class TrimIdle:
    """Keep no pages for the next state, if none has come for a while."""


@frozen(kw_only=True)
class TrimMore:
    """The cache to itself: there is more memory to give back."""
