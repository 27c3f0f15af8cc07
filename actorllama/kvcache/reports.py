"""What the tiers say of themselves."""

from __future__ import annotations

from attrs import frozen

__all__ = ["CheckReport", "DiskStatistics", "RamStatistics", "StoreStatistics"]


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
    n_evicted: int
    evicted_bytes: int


@frozen(kw_only=True)
class DiskStatistics:
    """What the disk tier holds, whoever wrote it, and what this process did with it."""

    n_entries: int
    """Files that this process could read."""
    n_foreign: int
    """Files of other versions, other MAC keys, or damaged ones not yet met."""
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
class StoreStatistics:
    """Both tiers, and what waits to be written."""

    ram: RamStatistics
    disk: DiskStatistics | None
    n_pending: int
    """Snapshots that wait for the disk, the ones under way included."""
    pending_bytes: int
    n_dropped: int
    """Snapshots that were not queued because too much was pending."""
