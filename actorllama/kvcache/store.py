"""Both tiers behind one face."""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache.disk import DiskTier
from actorllama.kvcache.events import WRITE_DROPPED
from actorllama.kvcache.options import CacheOptions
from actorllama.kvcache.publish import How
from actorllama.kvcache.ram import RamTier
from actorllama.kvcache.reports import CheckReport, StoreStatistics
from actorllama.kvcache.snapshot import Snapshot
from actorllama.telemetry import Bus

__all__ = ["Hit", "SnapshotStore", "TierName", "WriteJob"]

TierName: TypeAlias = Literal["ram", "disk"]


@frozen(kw_only=True)
class Hit:
    """A snapshot that was found, and where."""

    snapshot: Snapshot
    tier: TierName


@frozen(kw_only=True)
class WriteJob:
    """The saving of one snapshot on disk, for a worker thread."""

    snapshot: Snapshot
    disk: DiskTier

    def run(self) -> How | CacheError:
        """Encode and publish it; the outcome goes back to `SnapshotStore.finish`.

        Cost: as `DiskTier.put`; the GIL is free for most of it.
        """
        try:
            return self.disk.put(self.snapshot)
        except CacheError as exc:
            return exc


class SnapshotStore:
    """Puts into RAM at once and onto disk when its owner has a thread for it.

    A snapshot that waits for the disk is pinned in RAM, so that nothing is lost between the two; more
    than ``pending_limit_bytes`` do not wait: the newest is dropped from the queue and counted.

    Owner: one; no two threads may use it at the same time. `get`, `remove`, `keys`, `statistics` and
    `check` may wait for the disk; `put`, `get_ram`, `promote`, `write_behind` and `finish` never do.
    """

    def __init__(
        self,
        *,
        ram: RamTier,
        disk: DiskTier | None = None,
        pending_limit_bytes: int = CacheOptions().pending_limit_bytes,
        bus: Bus | None = None,
    ) -> None:
        """Join the tiers; without a disk tier nothing outlives the process."""
        self.ram = ram
        self.disk = disk
        self.pending_limit_bytes = pending_limit_bytes
        self._bus = bus or Bus()
        self._queue: deque[str] = deque()
        self._pending: dict[str, Snapshot] = {}  # queued and under way; the pinned ones are also in RAM
        self._pinned: set[str] = set()
        self._doomed: set[str] = set()  # removed while under way
        self._pending_bytes = 0
        self._n_dropped = 0

    def __repr__(self) -> str:
        """Name the tiers."""
        return f"<SnapshotStore {self.ram!r} {self.disk!r}, {len(self._pending)} pending>"

    def put(self, snapshot: Snapshot) -> str:
        """Keep a snapshot and queue it for the disk; return its key.

        Raises:
            TierFull: RAM has no room for it, and it could not be queued for the disk either.
        """
        self._doomed.discard(snapshot.key)  # removed while under way, and now wanted again
        refusal: TierFull | None = None
        try:
            self.ram.put(snapshot)
        except TierFull as exc:
            refusal = exc
        is_queued = self._enqueue(snapshot)
        if refusal is not None and not is_queued:
            raise refusal
        return snapshot.key

    def get(self, key: str) -> Hit | None:
        """Find a snapshot, the nearest tier first; one from disk is kept in RAM if there is room."""
        hit = self.get_ram(key)
        if hit is not None or self.disk is None or key in self._doomed:
            return hit
        snapshot = self.disk.get(key)
        if snapshot is None:
            return None
        self.promote(snapshot)
        return Hit(snapshot=snapshot, tier="disk")

    def get_ram(self, key: str) -> Hit | None:
        """Find a snapshot that is in memory: in the RAM tier, or still waiting for the disk."""
        if key in self._doomed:
            return None
        snapshot = self.ram.get(key) or self._pending.get(key)
        return Hit(snapshot=snapshot, tier="ram") if snapshot is not None else None

    def promote(self, snapshot: Snapshot) -> bool:
        """Keep in RAM what was read from disk; ``False`` if there is no room."""
        try:
            self.ram.put(snapshot)
        except TierFull:
            return False
        return True

    def remove(self, key: str) -> bool:
        """Forget a snapshot in every tier; ``False`` if none had it.

        Raises:
            CacheError: The disk tier refused.
        """
        was_pending = key in self._pending and key not in self._doomed
        if key in self._queue:
            self._queue.remove(key)
            self._settle(key)
        elif was_pending:
            self._doomed.add(key)  # `finish` removes what its job is about to write
        was_in_ram = self.ram.remove(key)
        was_on_disk = self.disk is not None and self.disk.remove(key)
        return was_pending or was_in_ram or was_on_disk

    def write_behind(self) -> WriteJob | None:
        """Take the next snapshot to be written, oldest first; ``None`` if none waits.

        Run the job in a worker thread, then hand its outcome to `finish`. Several may be under way.
        """
        if self.disk is None or not self._queue:
            return None
        return WriteJob(snapshot=self._pending[self._queue.popleft()], disk=self.disk)

    def finish(self, job: WriteJob, outcome: How | CacheError) -> None:
        """Take note of a job's outcome; a snapshot that could not be written stays in RAM only.

        Raises:
            CacheError: The snapshot was removed meanwhile, and the disk tier refused to remove it.
        """
        key = job.snapshot.key
        self._settle(key)
        if key in self._doomed:
            self._doomed.discard(key)
            self.ram.remove(key)
            if not isinstance(outcome, CacheError):
                job.disk.remove(key)

    def keys(self) -> tuple[str, ...]:
        """List the keys in any tier, those in memory first.

        Raises:
            CacheError: The root of the disk tier cannot be read.
        """
        on_disk = self.disk.keys() if self.disk is not None else ()
        every = dict.fromkeys((*self.ram.keys(), *self._pending, *on_disk))
        return tuple(key for key in every if key not in self._doomed)

    def statistics(self) -> StoreStatistics:
        """Say what the tiers hold and what waits.

        Raises:
            CacheError: The root of the disk tier cannot be read.
        """
        return StoreStatistics(
            ram=self.ram.statistics(),
            disk=self.disk.statistics() if self.disk is not None else None,
            n_pending=len(self._pending),
            pending_bytes=self._pending_bytes,
            n_dropped=self._n_dropped,
        )

    def check(self) -> tuple[CheckReport, CheckReport | None]:
        """Verify every entry of the RAM tier, then of the disk tier.

        Raises:
            CacheError: The root of the disk tier cannot be read.
        """
        assert self._pending_bytes == sum(snapshot.n_bytes for snapshot in self._pending.values())
        return self.ram.check(), self.disk.check() if self.disk is not None else None

    # -- inside --------------------------------------------------------------------------------

    def _enqueue(self, snapshot: Snapshot) -> bool:
        """Queue for the disk what is not queued yet; tell whether it will be written."""
        key = snapshot.key
        if self.disk is None:
            return False
        if key in self._pending:
            return True
        n_bytes = snapshot.n_bytes
        if self._pending_bytes + n_bytes > self.pending_limit_bytes:
            self._n_dropped += 1
            measured = {"entry_bytes": n_bytes, "pending_bytes": self._pending_bytes}
            self._bus.execute(WRITE_DROPPED, measured, {"key": key})
            return False
        self._queue.append(key)
        self._pending[key] = snapshot
        self._pending_bytes += n_bytes
        if self.ram.pin(key):
            self._pinned.add(key)
        return True

    def _settle(self, key: str) -> None:
        self._pending_bytes -= self._pending.pop(key).n_bytes
        if key in self._pinned:
            self._pinned.discard(key)
            if key in self.ram:  # a check may have dropped it
                self.ram.unpin(key)
