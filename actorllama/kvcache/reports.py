"""What the tiers say of themselves."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from actorllama.kvcache.publish import How

__all__ = ["CheckReport", "DiskStatistics", "PutReport", "RamStatistics", "StoreStatistics"]


@frozen(kw_only=True)
class CheckReport:
    """What a check of every entry found."""

    n_checked: int
    n_corrupt: int = 0
    """Damaged, and set aside (disk) or dropped (RAM)."""
    n_foreign: int = 0
    """Whole, but of another format version or MAC key; left alone."""
    n_unreadable: int = 0
    """The system refused to read them; left alone."""
    n_swept: int = 0
    """Unfinished files that were removed."""


@frozen(kw_only=True)
class RamStatistics:
    """What the RAM tier holds, and what it did since it was made."""

    n_entries: int
    n_pinned: int
    used_bytes: int
    limit_bytes: int
    n_hits: int
    n_misses: int
    n_puts: int
    n_refused: int
    """Puts that found no room."""
    n_declined: int
    """Puts of what was worth less than what would have had to go."""
    n_evicted: int
    evicted_bytes: int


@frozen(kw_only=True)
class DiskStatistics:
    """What the disk tier holds, whoever wrote it, and what this process did with it."""

    n_entries: int
    """Files named like an entry, unless this process has met them and could not use them."""
    n_foreign: int
    """Files of other versions or other MAC keys that this process has met."""
    n_temporary: int
    """Files that some process is writing, or left behind."""
    n_quarantined: int
    used_bytes: int
    """All of the above together; what the limit bounds."""
    limit_bytes: int
    n_hits: int
    n_misses: int
    n_published: int
    n_adopted: int
    n_replaced: int
    n_failed: int
    """Puts that did not succeed, for whatever reason."""
    n_refused: int
    """Lookups that found a file and could not use it."""
    n_corrupt: int
    """Files that this process quarantined."""
    n_evicted: int
    evicted_bytes: int
    n_swept: int


@frozen(kw_only=True)
class PutReport:
    """What became of entries that were put on disk together."""

    hows: Mapping[str, How]
    """What happened to each, by key."""
    evicted: tuple[str, ...] = ()
    """Keys that went to make room."""
    missing: tuple[str, ...] = ()
    """Keys that should have been there already, and are not."""


@frozen(kw_only=True)
class StoreStatistics:
    """Both tiers, and what waits to be written."""

    ram: RamStatistics
    disk: DiskStatistics | None
    n_pending: int
    """Entries that wait for the disk, those under way included."""
    pending_bytes: int
    n_dropped: int
    """Jobs for the disk that were given up whole: too much was pending, or rows they need are nowhere."""
