"""The RAM tier: snapshots by key, within a budget."""

from __future__ import annotations

import time

from attrs import define

from actorllama.errors import TierFull
from actorllama.kvcache.events import ENTRY_EVICTED, ENTRY_PUBLISHED, PUT_FAILED
from actorllama.kvcache.eviction import Candidate, plan_eviction
from actorllama.kvcache.reports import CheckReport, RamStatistics
from actorllama.kvcache.snapshot import Snapshot, content_key
from actorllama.telemetry import Bus

__all__ = ["RamTier"]

_USES_MAX = 8  # what was used more often than this is not worth more: it would outlive its use for long


@define(kw_only=True)
class _Entry:
    snapshot: Snapshot
    n_bytes: int
    n_pins: int
    n_uses: int
    age: float
    used_at: int


class RamTier:
    """Keeps snapshots in memory and never holds more than its limit.

    Room is made by evicting what is worth least: an entry ranks by how often it was used, plus the
    tier's age when it was last used; of equal ranks the one used longest ago goes first. The tier's age
    is the highest rank evicted so far, so an entry that was once popular does not stay for ever. Where
    nothing is used twice, this is LRU. A pinned entry is never evicted nor removed.

    Owner: one; no two threads may use it at the same time. It never waits, and the snapshots given to
    it are kept, not copied.

    Source: dynamic ageing as in LFU-DA (Arlitt et al., HPL-98-173), with bounded counts.
    """

    def __init__(self, *, limit_bytes: int, bus: Bus | None = None) -> None:
        """Make an empty tier.

        Args:
            limit_bytes: Most bytes that its entries may have together, as `Snapshot.n_bytes` counts.
            bus: Who is told; nobody by default.

        Raises:
            ValueError: The limit is negative.
        """
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be at least 0: {limit_bytes}")
        self.limit_bytes = limit_bytes
        self._bus = bus or Bus()
        self._entries: dict[str, _Entry] = {}
        self._used_bytes = 0
        self._age = 0.0
        self._clock = 0  # counts uses; a wall clock may jump
        self._n_hits = self._n_misses = self._n_puts = self._n_refused = 0
        self._n_evicted = self._evicted_bytes = 0

    def __repr__(self) -> str:
        """Tell how full it is."""
        return f"<RamTier {len(self._entries)} entries, {self._used_bytes} of {self.limit_bytes} bytes>"

    def __contains__(self, key: str) -> bool:
        """Tell whether a key is here; this is no use of it."""
        return key in self._entries

    def put(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Keep a snapshot; one of the same key is replaced and keeps its pins.

        Returns:
            The keys evicted to make room.

        Raises:
            TierFull: It does not fit, even without everything that is not pinned. Nothing has changed.

        Cost: O(entries) if room must be made.
        """
        began_s = time.perf_counter()
        n_bytes = snapshot.n_bytes
        old = self._entries.get(snapshot.key)
        growth_bytes = n_bytes - (old.n_bytes if old else 0)
        plan = self._plan(growth_bytes, spare=snapshot.key)
        if plan is None:
            self._n_refused += 1
            error = TierFull(tier="ram", needed_bytes=n_bytes, limit_bytes=self.limit_bytes)
            facts = {"tier": "ram", "key": snapshot.key, "error": str(error)}
            self._bus.execute(PUT_FAILED, {"entry_bytes": n_bytes}, facts)
            raise error
        for victim in plan:
            self._evict(victim)
        self._clock += 1
        self._entries[snapshot.key] = _Entry(
            snapshot=snapshot,
            n_bytes=n_bytes,
            n_pins=old.n_pins if old else 0,
            n_uses=old.n_uses if old else 1,
            age=self._age,
            used_at=self._clock,
        )
        self._used_bytes += growth_bytes
        self._n_puts += 1
        measured = {"entry_bytes": n_bytes, "duration_s": time.perf_counter() - began_s}
        self._bus.execute(ENTRY_PUBLISHED, measured, {"tier": "ram", "key": snapshot.key, "how": "stored"})
        return tuple(victim.key for victim in plan)

    def get(self, key: str) -> Snapshot | None:
        """Return a snapshot and count the use, or ``None``."""
        entry = self._entries.get(key)
        if entry is None:
            self._n_misses += 1
            return None
        self._n_hits += 1
        self._clock += 1
        entry.n_uses = min(entry.n_uses + 1, _USES_MAX)
        entry.age = self._age
        entry.used_at = self._clock
        return entry.snapshot

    def pin(self, key: str) -> bool:
        """Forbid eviction until as many `unpin`; ``False`` if the key is not here."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        entry.n_pins += 1
        return True

    def unpin(self, key: str) -> None:
        """Take one pin back.

        Raises:
            ValueError: It has none: a pin was taken back twice.
        """
        entry = self._entries.get(key)
        if entry is None or entry.n_pins == 0:
            raise ValueError(f"{key} is not pinned. Take back each pin once.")
        entry.n_pins -= 1

    def remove(self, key: str) -> bool:
        """Drop a snapshot; ``False`` if it is not here, or is pinned."""
        entry = self._entries.get(key)
        if entry is None or entry.n_pins:
            return False
        self._drop(key)
        return True

    def keys(self) -> tuple[str, ...]:
        """List the keys, oldest put first."""
        return tuple(self._entries)

    def statistics(self) -> RamStatistics:
        """Say what is here and what was done."""
        return RamStatistics(
            n_entries=len(self._entries),
            n_pinned=sum(entry.n_pins > 0 for entry in self._entries.values()),
            used_bytes=self._used_bytes,
            limit_bytes=self.limit_bytes,
            n_hits=self._n_hits,
            n_misses=self._n_misses,
            n_puts=self._n_puts,
            n_refused=self._n_refused,
            n_evicted=self._n_evicted,
            evicted_bytes=self._evicted_bytes,
        )

    def check(self) -> CheckReport:
        """Compute every key and every size again; an entry that is not what its key says is dropped.

        Cost: a hash of all tokens and sampler records; KV bytes have no digest in this tier.
        """
        damaged = [key for key, entry in self._entries.items() if not _is_sound(key, entry)]
        n_checked = len(self._entries)
        for key in damaged:
            self._drop(key)
        assert self._used_bytes == sum(entry.n_bytes for entry in self._entries.values())
        return CheckReport(n_checked=n_checked, n_corrupt=len(damaged))

    def _plan(self, growth_bytes: int, *, spare: str) -> tuple[Candidate, ...] | None:
        needed_bytes = self._used_bytes + growth_bytes - self.limit_bytes
        if needed_bytes <= 0:
            return ()
        return plan_eviction(
            (
                Candidate(key=key, n_bytes=entry.n_bytes, rank=(entry.age + entry.n_uses, entry.used_at))
                for key, entry in self._entries.items()
                if entry.n_pins == 0 and key != spare
            ),
            needed_bytes=needed_bytes,
        )

    def _evict(self, victim: Candidate) -> None:
        self._age = max(self._age, victim.rank[0])
        self._drop(victim.key)
        self._n_evicted += 1
        self._evicted_bytes += victim.n_bytes
        facts = {"tier": "ram", "key": victim.key}
        self._bus.execute(ENTRY_EVICTED, {"entry_bytes": victim.n_bytes}, facts)

    def _drop(self, key: str) -> None:
        self._used_bytes -= self._entries.pop(key).n_bytes


def _is_sound(key: str, entry: _Entry) -> bool:
    held = entry.snapshot
    expected = content_key(namespace=held.namespace, tokens=held.tokens, sampler=held.sampler)
    return key == expected and entry.n_bytes == held.n_bytes
