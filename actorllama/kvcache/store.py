"""Both tiers behind one face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from actorllama.errors import CacheError, TierFull
from actorllama.kvcache.chain_reader import ReadOutcome
from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.disk import DiskTier
from actorllama.kvcache.hit import Found, Kept
from actorllama.kvcache.jobs import PrefetchJob, ReadJob, WriteJob
from actorllama.kvcache.key_memory import KeyMemory
from actorllama.kvcache.latest_turns import LatestTurn
from actorllama.kvcache.options import CacheOptions
from actorllama.kvcache.prefix_index import PrefixIndex
from actorllama.kvcache.ram import RamTier
from actorllama.kvcache.reports import CheckReport, PutReport, StoreStatistics
from actorllama.kvcache.write_behind import WriteBehind
from actorllama.telemetry import Bus

__all__ = ["SnapshotStore"]

_READ_ONCE_MAX: Final = 8192
"""Keys of chains that were read from disk and not kept: of half a million tokens, about a megabyte."""


class SnapshotStore:
    """Puts into RAM at once and onto disk when its owner has a thread for it.

    What waits for the disk is pinned in RAM, so that nothing is lost between the two. What was put
    together is written together, rows before the snapshot that needs them; more than
    ``pending_limit_bytes`` do not wait: the newest job is given up whole, and counted.

    Owner: one; no two threads may use it at the same time. `get`, `remove`, `refresh`, `keys`,
    `statistics` and `check` may wait for the disk; and `finish`, if something was removed while it was
    being written. All else never waits.
    """

    def __init__(
        self,
        *,
        ram: RamTier,
        disk: DiskTier | None = None,
        pending_limit_bytes: int = CacheOptions().pending_limit_bytes,
        bus: Bus | None = None,
    ) -> None:
        """Join the tiers; without a disk tier nothing outlives the process.

        What is on disk already is known once `refresh` has read the names. The ``index`` may be asked at
        any time, and is changed by the store alone.
        """
        self.ram = ram
        self.disk = disk
        self.index = PrefixIndex()
        self._read_once = KeyMemory()
        self._behind = WriteBehind(
            ram=ram, disk=disk, index=self.index, limit_bytes=pending_limit_bytes, bus=bus or Bus()
        )

    def __repr__(self) -> str:
        """Name the tiers."""
        return f"<SnapshotStore {self.ram!r} {self.disk!r}, {len(self._behind.queue)} pending>"

    @property
    def has_pending(self) -> bool:
        """Whether anything waits for the disk, or is being written."""
        return len(self._behind.queue) > 0

    # -- putting -------------------------------------------------------------------------------

    def put(self, entry: StoredEntry) -> str:
        """Keep one entry and queue it for the disk; return its key.

        Raises:
            TierFull: RAM has no room for it, and it could not be queued for the disk either.
        """
        self.put_state((entry,))
        return entry.key

    def put_state(self, entries: Sequence[StoredEntry]) -> Kept:
        """Keep the entries of a state, and queue them for the disk as one job.

        What is on disk or queued already is not queued again. Rows that a snapshot among them needs and
        that are neither are added from RAM; if they are nowhere, the job is given up.

        Args:
            entries: New blocks root first, the boundary, the snapshot; at least one.

        Raises:
            TierFull: RAM has no room for any of them, and they could not be queued for the disk either.
        """
        return self._put(entries, is_for_disk=True)

    def put_in_ram(self, entries: Sequence[StoredEntry]) -> Kept:
        """Keep entries in RAM and nowhere else: they reach the disk with a snapshot that needs them, if ever.

        Raises:
            TierFull: RAM has no room for any of them.
        """
        return self._put(entries, is_for_disk=False)

    def _put(self, entries: Sequence[StoredEntry], *, is_for_disk: bool) -> Kept:
        self._behind.doomed.difference_update(entry.key for entry in entries)  # wanted again
        # Before RAM makes room for them, which what they need might have to leave.
        is_queued = is_for_disk and self._behind.enqueue(entries)
        n_in_ram, evicted, refusal = self._put_ram(entries)
        self._behind.pin(entries)
        for entry in entries:
            self._note_ram(entry)
        if n_in_ram == 0 and not is_queued and refusal is not None:
            try:
                raise refusal
            finally:
                del refusal  # it knows this frame: the state would stay in memory until a collection
        return Kept(n_in_ram=n_in_ram, is_queued=is_queued, evicted=evicted)

    def promote(self, entry: StoredEntry) -> bool:
        """Keep in RAM what was read from disk; ``False`` if there is no room, or better use of it."""
        n_in_ram, _, _ = self._put_ram((entry,))
        self._note_ram(entry)
        return n_in_ram == 1

    # -- finding -------------------------------------------------------------------------------

    def get(self, key: str) -> Found | None:
        """Find an entry in any tier; what was on disk only is kept in RAM from now on."""
        hit = self.get_ram(key)
        if hit is not None or key in self._behind.doomed or self.disk is None:
            return hit
        entry = self.disk.get(key)
        if entry is None:
            self.index.discard(key, "disk")
            return None
        self.index.add(entry, "disk")
        self.promote(entry)
        return Found(entry=entry, tier="disk")

    def get_ram(self, key: str) -> Found | None:
        """Find an entry that is in memory: in the RAM tier, or still waiting for the disk."""
        entry = self._in_memory(key)
        return None if entry is None else Found(entry=entry, tier="ram")

    def read(self, keys: Sequence[str]) -> ReadJob:
        """Begin to read a chain: what is in memory is held by the job, and cannot go any more.

        What is read for the second time shall stay in memory. A conversation that goes on after a restart
        has its rows in a sequence from then on, and most are read once: keeping them costs as much memory
        again, and the time for its pages, before the first token.

        Args:
            keys: Of a `PrefixHit`, or the ``parts`` of a snapshot; root first.
        """
        held = {key: entry for key in keys if (entry := self._in_memory(key)) is not None}
        kept = frozenset(key for key in keys if key in self._read_once) if self.ram.limit_bytes else None
        return ReadJob(keys=tuple(keys), held=held, kept=kept or frozenset(), disk=self.disk)

    def finish_read(self, job: ReadJob, outcome: ReadOutcome) -> tuple[StoredEntry, ...]:
        """Take note of what a job has read, and keep in RAM what was read into memory of its own.

        Returns:
            The entries that are in memory, root first, up to the first that is not. If one could not be
            had at all, it is forgotten: look again.
        """
        if outcome.missing is not None:
            self.index.discard(outcome.missing, "disk")
        for key in outcome.passed:
            self._read_once.remember(key, n_keys_max=_READ_ONCE_MAX)
        for entry in outcome.read:
            self._read_once.forget(entry.key)
            if entry.key not in self._behind.doomed:
                self.index.add(entry, "disk")
                self.promote(entry)
        return job.joined(outcome.read)

    def prefetch(self, turn: LatestTurn) -> PrefetchJob | None:
        """Begin to read a turn that nobody has asked for yet; ``None`` if all of it is in memory."""
        behind = self._behind
        keys = tuple(
            key
            for key in (*turn.parts, turn.key)
            if key not in self.ram and behind.queue.get(key) is None and key not in behind.doomed
        )
        return None if self.disk is None or not keys else PrefetchJob(keys=keys, disk=self.disk)

    def prefetched(self, entries: Iterable[StoredEntry]) -> None:
        """Keep in RAM what a job has read, as far as there is room, and it was not removed meanwhile."""
        for entry in entries:
            if "disk" in self.index.tiers_of(entry.key) and entry.key not in self._behind.doomed:
                self.promote(entry)

    def only_in_ram(self, keys: Iterable[str]) -> list[StoredEntry] | None:
        """Give the entries of these that could be lost with RAM; ``None`` if some are in no tier any more.

        Whoever holds them may put them again, with what needs them.
        """
        return self._behind.only_in_ram(keys)

    # -- removing ------------------------------------------------------------------------------

    def leave_ram(self, key: str) -> int:
        """Drop an entry from RAM, and from nowhere else; return its bytes, 0 if it is pinned or not there."""
        n_bytes = self.ram.evict(key)
        if n_bytes and key not in self._behind.queue:
            self.index.discard(key, "ram")
        return n_bytes

    def copy_to_disk(self, entries: Sequence[StoredEntry]) -> bool:
        """Queue entries of the RAM tier for the disk; ``False`` if there is none, or no room to wait."""
        return self._behind.queue.has_room(entries) and self._behind.enqueue(entries)

    def remove(self, key: str) -> bool:
        """Forget an entry in every tier; ``False`` if none had it.

        Raises:
            CacheError: The disk tier refused.
        """
        was_pending = self._behind.withdraw(key)
        was_in_ram = self.ram.remove(key)
        for tier in self.index.tiers_of(key):
            self.index.discard(key, tier)
        was_on_disk = self.disk is not None and self.disk.remove(key)
        return was_pending or was_in_ram or was_on_disk

    # -- writing behind ------------------------------------------------------------------------

    def write_behind(self) -> WriteJob | None:
        """Take the next job for the disk; ``None`` if none waits, or while another is under way.

        Run it in a worker thread, then hand its outcome to `finish`. One at a time, for a job may need
        what the one before it writes.
        """
        job, given_up = self._behind.begin()
        for entry in given_up:
            self._note_ram(entry)
        return job

    def finish(self, job: WriteJob, outcome: PutReport | CacheError) -> None:
        """Take note of a job's outcome; entries that could not be written stay in RAM only.

        Raises:
            CacheError: An entry was removed meanwhile, and the disk tier refused to remove it.
        """
        doomed = self._behind.end(job)
        if isinstance(outcome, PutReport):
            for entry in job.entries:
                self.index.add(entry, "disk")
            for key in (*outcome.evicted, *outcome.missing):
                self.index.discard(key, "disk")
        for entry in job.entries:
            self._note_ram(entry)
        for key in doomed:
            self.ram.remove(key)
            for tier in self.index.tiers_of(key):
                self.index.discard(key, tier)
        if _has_lost(outcome):
            self._root_waiting()
        if isinstance(outcome, PutReport):
            for key in doomed:
                job.disk.remove(key)
            self._write_again(outcome.missing)

    # -- all of it -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Learn what is on disk, whoever wrote it.

        Raises:
            CacheError: The root of the disk tier cannot be read.

        Cost: as `DiskTier.listing`, and about 1 µs for each entry.
        """
        if self.disk is not None:
            listing = self.disk.listing()
            self.index.replace((facts for facts in listing if facts.key not in self._behind.doomed), "disk")
            self._root_waiting()

    def keys(self) -> tuple[str, ...]:
        """List the keys in any tier, those in memory first.

        Raises:
            CacheError: The root of the disk tier cannot be read.
        """
        on_disk = self.disk.keys() if self.disk is not None else ()
        every = dict.fromkeys((*self.ram.keys(), *self._behind.queue.keys(), *on_disk))
        return tuple(key for key in every if key not in self._behind.doomed)

    def statistics(self) -> StoreStatistics:
        """Say what the tiers hold and what waits.

        Raises:
            CacheError: The root of the disk tier cannot be read.
        """
        return StoreStatistics(
            ram=self.ram.statistics(),
            disk=self.disk.statistics() if self.disk is not None else None,
            n_pending=len(self._behind.queue),
            pending_bytes=self._behind.queue.used_bytes,
            n_dropped=self._behind.n_dropped,
        )

    def check(self) -> tuple[CheckReport, CheckReport | None]:
        """Verify every entry of the RAM tier, then of the disk tier.

        Raises:
            CacheError: The root of the disk tier cannot be read.
        """
        ram = self.ram.check()
        for key in self.index.in_tier("ram").difference(self.ram.keys(), self._behind.queue.keys()):
            self.index.discard(key, "ram")
        return ram, self.disk.check() if self.disk is not None else None

    # -- inside --------------------------------------------------------------------------------

    def _in_memory(self, key: str) -> StoredEntry | None:
        if key in self._behind.doomed:
            return None
        return self.ram.get(key) or self._behind.queue.get(key)

    def _put_ram(self, entries: Sequence[StoredEntry]) -> tuple[int, tuple[str, ...], TierFull | None]:
        """Put into RAM what goes in; rows behind a gap are not tried."""
        n_in_ram = 0
        evicted: list[str] = []
        refusal: TierFull | None = None
        has_gap = False
        for entry in entries:
            if has_gap and entry.kind != "snapshot":
                continue
            if self.ram.peek(entry.key) is entry:
                n_in_ram += 1
                continue
            try:
                victims = self.ram.put(entry)
            except TierFull as exc:
                refusal, victims = exc.with_traceback(None), None
            if victims is None:
                has_gap = True
                continue
            n_in_ram += 1
            evicted += victims
            for key in victims:
                self.index.discard(key, "ram")
        return n_in_ram, tuple(evicted), refusal

    def _write_again(self, keys: Iterable[str]) -> None:
        again = [self.ram.peek(key) for key in keys if key not in self._behind.queue]
        lost = [entry for entry in again if entry is not None]
        if lost:
            self._behind.enqueue(lost)

    def _root_waiting(self) -> None:
        # What waits counted on rows that are not on disk any more, or never came there.
        for entry in self._behind.root_waiting():
            self._note_ram(entry)

    def _note_ram(self, entry: StoredEntry) -> None:
        """Have the index say whether an entry can be had from memory."""
        if entry.key in self.ram or self._behind.has(entry.key):
            self.index.add(entry, "ram")
        else:
            self.index.discard(entry.key, "ram")


def _has_lost(outcome: PutReport | CacheError) -> bool:
    return isinstance(outcome, CacheError) or bool(outcome.evicted or outcome.missing)
