"""What the store answers."""

from __future__ import annotations

from attrs import field, frozen

from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.prefix_index import TierName

__all__ = ["Found", "Kept"]


@frozen(kw_only=True)
class Found:
    """An entry that was found, and where."""

    entry: StoredEntry
    tier: TierName


@frozen(kw_only=True)
class Kept:
    """What became of entries that were put together."""

    n_in_ram: int
    """How many RAM holds now."""
    is_queued: bool
    """Whether those that are not on disk yet will be written."""
    evicted: tuple[str, ...] = field(default=(), repr=False)
    """Keys that left RAM."""
