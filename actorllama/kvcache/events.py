"""The facts that the cache tells."""

from __future__ import annotations

from actorllama.telemetry import Event

__all__ = [
    "DISK_SWEPT",
    "ENTRY_DECLINED",
    "ENTRY_EVICTED",
    "ENTRY_PUBLISHED",
    "ENTRY_QUARANTINED",
    "ENTRY_REFUSED",
    "EVENTS",
    "PUT_FAILED",
    "WRITE_DROPPED",
]

ENTRY_PUBLISHED = Event(
    name=("kvcache", "entry", "published"),
    measurements=("entry_bytes", "duration_s"),
    metadata=("tier", "key", "how"),
    level="debug",
    doc="An entry is safe in a tier. `how`: stored, published, adopted (it was there), replaced. On disk, "
    "`duration_s` is of all entries that were put together.",
)
ENTRY_EVICTED = Event(
    name=("kvcache", "entry", "evicted"),
    measurements=("entry_bytes",),
    metadata=("tier", "key"),
    level="debug",
    doc="An entry made room for another.",
)
ENTRY_DECLINED = Event(
    name=("kvcache", "entry", "declined"),
    measurements=("entry_bytes",),
    metadata=("tier", "key"),
    level="debug",
    doc="An entry was not taken in: what would have had to go is worth more.",
)
ENTRY_REFUSED = Event(
    name=("kvcache", "entry", "refused"),
    measurements=("n_entries",),
    metadata=("tier", "key", "error"),
    level="warning",
    doc="A saved entry could not be used, and the lookup is a miss: damaged, foreign, unreadable.",
)
ENTRY_QUARANTINED = Event(
    name=("kvcache", "entry", "quarantined"),
    measurements=("n_entries",),
    metadata=("key", "path", "section"),
    level="warning",
    doc="A damaged file was set aside; it is the first to go when the disk tier needs room.",
)
PUT_FAILED = Event(
    name=("kvcache", "put", "failed"),
    measurements=("entry_bytes",),
    metadata=("tier", "key", "error"),
    level="warning",
    doc="Entries could not be saved in a tier; what was there before is as it was.",
)
DISK_SWEPT = Event(
    name=("kvcache", "disk", "swept"),
    measurements=("n_entries", "freed_bytes"),
    metadata=("root",),
    doc="Unfinished files of processes that are gone were removed.",
)
WRITE_DROPPED = Event(
    name=("kvcache", "write", "dropped"),
    measurements=("n_entries", "job_bytes", "pending_bytes"),
    metadata=("key", "reason"),
    level="warning",
    doc="A job for the disk was given up whole; what it holds stays in RAM only. `reason`: behind (too much "
    "is pending), rootless (rows that it needs are nowhere). `key` is that of its last entry.",
)

EVENTS: tuple[Event, ...] = (
    ENTRY_PUBLISHED,
    ENTRY_EVICTED,
    ENTRY_DECLINED,
    ENTRY_REFUSED,
    ENTRY_QUARANTINED,
    PUT_FAILED,
    DISK_SWEPT,
    WRITE_DROPPED,
)
