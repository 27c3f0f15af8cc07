"""Errors of the tiers that keep saved states."""

from __future__ import annotations

from actorllama.errors.base import ActorLlamaError

__all__ = ["CacheError", "SnapshotCorrupt", "SnapshotMismatch", "SnapshotNotFound", "TierFull"]


class CacheError(ActorLlamaError):
    """A tier of the KV cache could not do what was asked."""


class SnapshotNotFound(CacheError, LookupError):
    """No tier has a saved state under this key."""

    def __init__(self, *, key: str) -> None:
        """Name the key."""
        self.key = key
        super().__init__(
            f"no saved turn has the key {key!r}. It was evicted, or saved by a runtime without a state_dir."
        )


class SnapshotCorrupt(CacheError):
    """A saved state does not pass its checks; it is treated as a miss."""

    def __init__(self, *, key: str, path: str | None, section: str) -> None:
        """Name the entry and the section that failed."""
        self.key = key
        self.path = path
        self.section = section
        super().__init__(
            f"saved state {key} ({path or 'in memory'}) is damaged in its {section}. It was set aside."
        )


class SnapshotMismatch(CacheError):
    """A saved state belongs to another model, build or layout."""

    def __init__(self, *, expected: str, actual: str) -> None:
        """Give both fingerprints."""
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"saved state is for {actual}, this context is {expected}. Load the model it was saved from."
        )


class TierFull(CacheError):
    """A tier has no room and may evict nothing."""

    def __init__(self, *, tier: str, needed_bytes: int, limit_bytes: int) -> None:
        """Name the tier and both sizes."""
        self.tier = tier
        self.needed_bytes = needed_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"tier {tier} needs {needed_bytes} bytes within {limit_bytes}. Raise its limit, or unpin."
        )
