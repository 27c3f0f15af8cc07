"""Opening the tiers that the cache actor owns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from actorllama.kvcache import CacheOptions, DiskTier, LatestTurn, RamTier, SnapshotStore
from actorllama.telemetry import Bus

__all__ = ["OpenedCache", "open_cache"]


@frozen(kw_only=True)
class OpenedCache:
    """A store, and what of it will be asked for first."""

    store: SnapshotStore
    state_bytes: int = 0
    """What it takes to put the latest turn's state together; 0 if there is none."""
    turns: Sequence[LatestTurn] = field(default=(), repr=lambda turns: f"<{len(turns)} turns>")
    """What is worth reading ahead, the latest first."""


def open_cache(options: CacheOptions, root: Path | None, *, mac_key: bytes | None, bus: Bus) -> OpenedCache:
    """Open the tiers; tidy the root, and list what is there.

    Args:
        options: Their bounds.
        root: Where the disk tier is; ``None`` for none.
        mac_key: What its files are signed with.
        bus: Who is told.

    Raises:
        CacheError: The root cannot be read.

    Cost: a look at each file's name, and the heads of the latest turns.
    """
    ram = RamTier(limit_bytes=options.ram_limit_bytes, policy=options.policy, bus=bus)
    if root is None:
        store = SnapshotStore(ram=ram, pending_limit_bytes=options.pending_limit_bytes, bus=bus)
        return OpenedCache(store=store)
    disk = DiskTier(
        root,
        limit_bytes=options.disk_limit_bytes,
        temporary_age_s=options.temporary_age_s,
        codec=options.disk_codec,
        mac_key=mac_key,
        bus=bus,
    )
    store = SnapshotStore(ram=ram, disk=disk, pending_limit_bytes=options.pending_limit_bytes, bus=bus)
    disk.sweep()
    store.refresh()
    latest = disk.latest_turns(limit_bytes=min(options.prefetch_bytes, options.ram_limit_bytes // 2))
    return OpenedCache(store=store, state_bytes=latest.state_bytes, turns=latest.turns)
