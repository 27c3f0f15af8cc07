"""Entries of the RAM tier on their way to the disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.disk import DiskTier
from actorllama.kvcache.events import WRITE_DROPPED
from actorllama.kvcache.jobs import WriteJob
from actorllama.kvcache.prefix_index import PrefixIndex
from actorllama.kvcache.ram import RamTier
from actorllama.kvcache.snapshot import Snapshot
from actorllama.kvcache.write_queue import QueuedJob, WriteQueue
from actorllama.telemetry import Bus

__all__ = ["WriteBehind"]


class WriteBehind:
    """Queues what must be written by whole jobs, and pins it in RAM until it is.

    A job has all that its snapshot needs and the disk does not have; what cannot be had is known before the
    job is queued, or it is given up whole. An entry that was removed while it waits is doomed: it is not
    found any more, and what is written of it goes again.

    Owner: its `SnapshotStore`.
    """

    def __init__(
        self, *, ram: RamTier, disk: DiskTier | None, index: PrefixIndex, limit_bytes: int, bus: Bus
    ) -> None:
        """Begin with nothing that waits; without a disk nothing ever does."""
        self.queue = WriteQueue(limit_bytes=limit_bytes)
        self.doomed: set[str] = set()
        """Removed while under way."""
        self.n_dropped = 0
        self._ram = ram
        self._disk = disk
        self._index = index
        self._bus = bus
        self._pinned: set[str] = set()
        self._under_way: WriteJob | None = None

    @property
    def n_pinned(self) -> int:
        """Count the entries that are in RAM because they wait."""
        return len(self._pinned)

    def has(self, key: str) -> bool:
        """Tell whether an entry will be on disk, if nothing fails."""
        return key in self.queue and key not in self.doomed

    def enqueue(self, entries: Sequence[StoredEntry]) -> bool:
        """Queue what is neither on disk nor queued; tell whether it will all be written.

        What of it is in RAM is pinned, and rows in RAM that it needs are queued with it.
        """
        if self._disk is None:
            return False
        fresh = {entry.key: entry for entry in entries if not self._is_safe(entry.key)}
        needed = dict.fromkeys(key for entry in entries for key in _parts_of(entry))
        needed.update(dict.fromkeys(entry.key for entry in entries))
        above = tuple(key for key in needed if key not in fresh)
        # Also where all of it waits already: a row of it may have been removed meanwhile, and be back in RAM.
        lost = self.only_in_ram(above)
        if lost is None:
            if fresh:
                self._drop(list(fresh.values()), reason="rootless")
            return False
        if not fresh and not lost:
            return True
        queued = QueuedJob(entries=[*lost, *fresh.values()], above=above)
        if not self.queue.has_room(queued.entries):
            self._drop(queued.entries, reason="behind")
            return False
        self.queue.push(queued)
        self.pin(queued.entries)
        return True

    def only_in_ram(self, keys: Iterable[str]) -> list[StoredEntry] | None:
        """Give what is neither on disk nor queued; ``None`` if some of it is not in RAM either."""
        found: list[StoredEntry] = []
        for key in keys:
            if not self._is_safe(key):
                entry = self._ram.peek(key)
                if entry is None or key in self.doomed:
                    return None
                found.append(entry)
        return found

    def pin(self, entries: Sequence[StoredEntry]) -> None:
        """Keep those in RAM that wait and are there."""
        for entry in entries:
            if self.has(entry.key) and entry.key not in self._pinned and self._ram.pin(entry.key):
                self._pinned.add(entry.key)

    def withdraw(self, key: str) -> bool:
        """See to it that an entry does not come onto the disk; ``False`` if that was not to be."""
        was_waiting = self.has(key)
        if self.queue.withdraw(key):
            self._unpin(key)
        elif was_waiting:
            self.doomed.add(key)  # its job is about to write it
        return was_waiting

    def begin(self) -> tuple[WriteJob | None, list[StoredEntry]]:
        """Take the next job, unless one is under way; and tell what was given up before it."""
        given_up: list[StoredEntry] = []
        if self._disk is None or self._under_way is not None:
            return None, given_up
        while (queued := self.queue.pop()) is not None:
            if self._root(queued):
                above = tuple(key for key in queued.above if self._index.has(key, "disk"))
                self._under_way = WriteJob(entries=tuple(queued.entries), above=above, disk=self._disk)
                return self._under_way, given_up
            given_up += self._give_up(queued)
        return None, given_up

    def root_waiting(self) -> list[StoredEntry]:
        """See to it again that what waits has its rows, after some were lost; tell what was given up."""
        given_up: list[StoredEntry] = []
        for queued in self.queue.waiting():
            if not self._root(queued):
                self.queue.take_out(queued)
                given_up += self._give_up(queued)
        return given_up

    def end(self, job: WriteJob) -> set[str]:
        """Take note that the job under way has ended; return the keys of it that were removed meanwhile."""
        self._under_way = None
        doomed = self.doomed.intersection(entry.key for entry in job.entries)
        self.doomed -= doomed
        self._settle(job.entries)
        return doomed

    def _root(self, queued: QueuedJob) -> bool:
        """See to it that what a job needs is on disk, or in it; ``False`` if that cannot be."""
        lost = self.only_in_ram(queued.above)
        if lost is None or (lost and not self.queue.has_room(lost)):
            return False
        self.queue.prepend(queued, lost)
        self.pin(lost)
        return True

    def _give_up(self, queued: QueuedJob) -> list[StoredEntry]:
        self._drop(queued.entries, reason="rootless")
        self._settle(queued.entries)
        return queued.entries

    def _is_safe(self, key: str) -> bool:
        return self._index.has(key, "disk") or self.has(key)

    def _drop(self, entries: Sequence[StoredEntry], *, reason: str) -> None:
        self.n_dropped += 1
        measured = {
            "n_entries": len(entries),
            "job_bytes": sum(entry.n_bytes for entry in entries),
            "pending_bytes": self.queue.used_bytes,
        }
        self._bus.execute(WRITE_DROPPED, measured, {"key": entries[-1].key, "reason": reason})

    def _unpin(self, key: str) -> None:
        if key in self._pinned:
            self._pinned.discard(key)
            if key in self._ram:  # a check may have dropped it
                self._ram.unpin(key)

    def _settle(self, entries: Sequence[StoredEntry]) -> None:
        for entry in entries:
            self.queue.settle(entry.key)
            self._unpin(entry.key)


def _parts_of(entry: StoredEntry) -> tuple[str, ...]:
    return entry.parts if isinstance(entry, Snapshot) else ()
