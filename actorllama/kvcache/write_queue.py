"""What waits for the disk: whole jobs, bounded by their bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from attrs import define

from actorllama.kvcache.decoding import StoredEntry

__all__ = ["QueuedJob", "WriteQueue"]


@define(kw_only=True, eq=False)
class QueuedJob:
    """Entries that are written together or not at all. Owner: the queue that holds it."""

    entries: list[StoredEntry]
    """Root first."""
    above: tuple[str, ...]
    """Keys of what they need and what is written elsewhere, root first."""


class WriteQueue:
    """Jobs in the order in which they came, one of them under way; an entry is in one job at a time.

    Owner: its `SnapshotStore`.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        """Begin empty; ``limit_bytes`` bounds what waits, the job under way included."""
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._jobs: deque[QueuedJob] = deque()
        self._entries: dict[str, StoredEntry] = {}

    def __len__(self) -> int:
        """Count the entries that wait, those under way included."""
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        """Tell whether an entry waits or is under way."""
        return key in self._entries

    def get(self, key: str) -> StoredEntry | None:
        """Return an entry that waits or is under way."""
        return self._entries.get(key)

    def keys(self) -> tuple[str, ...]:
        """List what waits."""
        return tuple(self._entries)

    def has_room(self, entries: Sequence[StoredEntry]) -> bool:
        """Tell whether as much more may wait."""
        return self.used_bytes + sum(entry.n_bytes for entry in entries) <= self.limit_bytes

    def push(self, job: QueuedJob) -> None:
        """Queue a job whose entries are in no other."""
        self._jobs.append(job)
        self._hold(job.entries)

    def prepend(self, job: QueuedJob, entries: Sequence[StoredEntry]) -> None:
        """Write these in a job as well, before all that it has."""
        job.entries[:0] = entries
        self._hold(entries)

    def pop(self) -> QueuedJob | None:
        """Take the oldest job; its entries stay known until they are settled."""
        return self._jobs.popleft() if self._jobs else None

    def waiting(self) -> tuple[QueuedJob, ...]:
        """List the jobs that are not under way, oldest first."""
        return tuple(self._jobs)

    def take_out(self, job: QueuedJob) -> None:
        """Let a waiting job wait no more; its entries stay known until they are settled."""
        self._jobs.remove(job)

    def withdraw(self, key: str) -> bool:
        """Take an entry out of a job that is not under way yet; ``False`` if it is in none."""
        for job in self._jobs:
            for entry in job.entries:
                if entry.key == key:
                    job.entries.remove(entry)
                    if not job.entries:
                        self._jobs.remove(job)
                    self.settle(key)
                    return True
        return False

    def settle(self, key: str) -> None:
        """Forget an entry: written, given up, or not wanted any more."""
        self.used_bytes -= self._entries.pop(key).n_bytes

    def _hold(self, entries: Sequence[StoredEntry]) -> None:
        for entry in entries:
            assert entry.key not in self._entries
            self._entries[entry.key] = entry
            self.used_bytes += entry.n_bytes
