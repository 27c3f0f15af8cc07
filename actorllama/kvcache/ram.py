"""The RAM tier: entries by key, within a budget."""

from __future__ import annotations

import time

from attrs import define

from actorllama.errors import TierFull
from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.events import ENTRY_DECLINED, ENTRY_EVICTED, ENTRY_PUBLISHED, PUT_FAILED
from actorllama.kvcache.policies import DEFAULT_POLICY, policy_named
from actorllama.kvcache.policy import Offer
from actorllama.kvcache.reports import CheckReport, RamStatistics
from actorllama.telemetry import Bus

__all__ = ["RamTier"]


@define(kw_only=True)
class _Held:
    entry: StoredEntry
    n_bytes: int
    n_pins: int


class RamTier:
    """Keeps entries in memory and never holds more than its limit.

    Room is made as its policy says, which may also decline an entry that is worth less than what would
    have to go. A pinned entry is never evicted nor removed, and none is evicted before its children.

    Owner: one; no two threads may use it at the same time. It never waits, and the entries given to
    it are kept, not copied.
    """

    def __init__(self, *, limit_bytes: int, policy: str = DEFAULT_POLICY, bus: Bus | None = None) -> None:
        """Make an empty tier.

        Args:
            limit_bytes: Most bytes that its entries may have together, by their ``n_bytes``.
            policy: What ranks the entries; see `policy_named`.
            bus: Who is told; nobody by default.

        Raises:
            ValueError: The limit is negative, or there is no such policy.
        """
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be at least 0: {limit_bytes}")
        self.limit_bytes = limit_bytes
        self._bus = bus or Bus()
        self._policy = policy_named(policy)
        self._entries: dict[str, _Held] = {}
        self._used_bytes = 0
        self._n_hits = self._n_misses = self._n_puts = self._n_refused = self._n_declined = 0
        self._n_evicted = self._evicted_bytes = 0

    def __repr__(self) -> str:
        """Tell how full it is."""
        return f"<RamTier {len(self._entries)} entries, {self._used_bytes} of {self.limit_bytes} bytes>"

    def __contains__(self, key: str) -> bool:
        """Tell whether a key is here; this is no use of it."""
        return key in self._entries

    def put(self, entry: StoredEntry) -> tuple[str, ...] | None:
        """Keep an entry; one of the same key is replaced and keeps its pins.

        Returns:
            The keys evicted to make room. ``None`` if the entry was declined; then nothing has changed.

        Raises:
            TierFull: It does not fit, even without everything that may go. Nothing has changed.

        Cost: O(log n) for each entry that goes.
        """
        began_s = time.perf_counter()
        n_bytes = entry.n_bytes
        offer = Offer(key=entry.key, n_bytes=n_bytes, worth_s=entry.worth_s, parent=entry.parent)
        old = self._entries.get(entry.key)
        growth_bytes = n_bytes - (old.n_bytes if old else 0)
        room = self._policy.plan_room(offer, needed_bytes=self._used_bytes + growth_bytes - self.limit_bytes)
        if room.verdict == "full":
            raise self._refusal(entry, n_bytes)
        if room.verdict == "decline":
            self._decline(entry, n_bytes)
            return None
        for victim in room.victims:
            self._evict(victim)
        self._entries[entry.key] = _Held(entry=entry, n_bytes=n_bytes, n_pins=old.n_pins if old else 0)
        self._policy.on_put(offer)
        self._used_bytes += growth_bytes
        self._n_puts += 1
        measured = {"entry_bytes": n_bytes, "duration_s": time.perf_counter() - began_s}
        self._bus.execute(ENTRY_PUBLISHED, measured, {"tier": "ram", "key": entry.key, "how": "stored"})
        return room.victims

    def get(self, key: str) -> StoredEntry | None:
        """Return an entry and count the use, or ``None``."""
        held = self._entries.get(key)
        if held is None:
            self._n_misses += 1
            return None
        self._n_hits += 1
        self._policy.on_use(key)
        return held.entry

    def peek(self, key: str) -> StoredEntry | None:
        """Return an entry, or ``None``; this is no use of it."""
        held = self._entries.get(key)
        return held.entry if held is not None else None

    def pin(self, key: str) -> bool:
        """Forbid eviction until as many `unpin`; ``False`` if the key is not here."""
        held = self._entries.get(key)
        if held is None:
            return False
        held.n_pins += 1
        self._policy.on_pin(key)
        return True

    def unpin(self, key: str) -> None:
        """Take one pin back.

        Raises:
            ValueError: It has none: a pin was taken back twice.
        """
        held = self._entries.get(key)
        if held is None or held.n_pins == 0:
            raise ValueError(f"{key} is not pinned. Take back each pin once.")
        held.n_pins -= 1
        if held.n_pins == 0:
            self._policy.on_unpin(key)

    def remove(self, key: str) -> bool:
        """Drop an entry; ``False`` if it is not here, or is pinned. Its children stay."""
        held = self._entries.get(key)
        if held is None or held.n_pins:
            return False
        self._drop(key)
        return True

    def plan_eviction(self, n_bytes: int) -> tuple[str, ...]:
        """Choose what would go for so many bytes, in that order; all that may go, if that is less."""
        return self._policy.plan_eviction(n_bytes)

    def evict(self, key: str) -> int:
        """Drop an entry because memory is wanted; return its bytes, 0 if it is not here, or is pinned."""
        held = self._entries.get(key)
        if held is None or held.n_pins:
            return 0
        self._evict(key)
        return held.n_bytes

    def keys(self) -> tuple[str, ...]:
        """List the keys, oldest put first."""
        return tuple(self._entries)

    def statistics(self) -> RamStatistics:
        """Say what is here and what was done."""
        return RamStatistics(
            n_entries=len(self._entries),
            n_pinned=sum(held.n_pins > 0 for held in self._entries.values()),
            used_bytes=self._used_bytes,
            limit_bytes=self.limit_bytes,
            n_hits=self._n_hits,
            n_misses=self._n_misses,
            n_puts=self._n_puts,
            n_refused=self._n_refused,
            n_declined=self._n_declined,
            n_evicted=self._n_evicted,
            evicted_bytes=self._evicted_bytes,
        )

    def check(self) -> CheckReport:
        """Compute every key and every size again; an entry that is not what its key says is dropped.

        Cost: a hash of all tokens and sampler records; rows have no digest in this tier.
        """
        damaged = [key for key, held in self._entries.items() if not _is_sound(key, held)]
        n_checked = len(self._entries)
        for key in damaged:
            self._drop(key)
        assert self._used_bytes == sum(held.n_bytes for held in self._entries.values())
        assert len(self._policy) == len(self._entries)
        return CheckReport(n_checked=n_checked, n_corrupt=len(damaged))

    def _refusal(self, entry: StoredEntry, n_bytes: int) -> TierFull:
        self._n_refused += 1
        error = TierFull(tier="ram", needed_bytes=n_bytes, limit_bytes=self.limit_bytes)
        facts = {"tier": "ram", "key": entry.key, "error": str(error)}
        self._bus.execute(PUT_FAILED, {"entry_bytes": n_bytes}, facts)
        return error

    def _decline(self, entry: StoredEntry, n_bytes: int) -> None:
        self._n_declined += 1
        self._policy.on_decline(entry.key)
        self._bus.execute(ENTRY_DECLINED, {"entry_bytes": n_bytes}, {"tier": "ram", "key": entry.key})

    def _evict(self, key: str) -> None:
        held = self._entries.pop(key)
        self._policy.on_evict(key)
        self._used_bytes -= held.n_bytes
        self._n_evicted += 1
        self._evicted_bytes += held.n_bytes
        self._bus.execute(ENTRY_EVICTED, {"entry_bytes": held.n_bytes}, {"tier": "ram", "key": key})

    def _drop(self, key: str) -> None:
        self._used_bytes -= self._entries.pop(key).n_bytes
        self._policy.on_remove(key)


def _is_sound(key: str, held: _Held) -> bool:
    return key == held.entry.key and held.entry.has_right_key() and held.n_bytes == held.entry.n_bytes
