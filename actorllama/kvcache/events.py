"""The facts that the cache tells."""

from __future__ import annotations

from actorllama.telemetry import Event

__all__ = [
    "DISK_SWEPT",
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
    doc="A snapshot is safe in a tier. `how`: stored, published, adopted (it was there), replaced.",
)
ENTRY_EVICTED = Event(
    name=("kvcache", "entry", "evicted"),
    measurements=("entry_bytes",),
    metadata=("tier", "key"),
    level="debug",
    doc="A snapshot made room for another.",
)
ENTRY_REFUSED = Event(
    name=("kvcache", "entry", "refused"),
    measurements=("n_entries",),
    metadata=("tier", "key", "error"),
    level="warning",
    doc="A saved snapshot could not be used, and the lookup is a miss: damaged, foreign, unreadable.",
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
    doc="A snapshot could not be saved in a tier; what was there before is as it was.",
)
DISK_SWEPT = Event(
    name=("kvcache", "disk", "swept"),
    measurements=("n_entries", "freed_bytes"),
    metadata=("root",),
    doc="Unfinished files of processes that are gone were removed.",
)
WRITE_DROPPED = Event(
    name=("kvcache", "write", "dropped"),
    measurements=("entry_bytes", "pending_bytes"),
    metadata=("key",),
    level="warning",
    doc="The disk tier is behind by as much as is allowed; this snapshot stays in RAM only.",
)

EVENTS: tuple[Event, ...] = (
    ENTRY_PUBLISHED,
    ENTRY_EVICTED,
    ENTRY_REFUSED,
    ENTRY_QUARANTINED,
    PUT_FAILED,
    DISK_SWEPT,
    WRITE_DROPPED,
)
