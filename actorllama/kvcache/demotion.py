"""Moving entries from RAM to the disk because memory is wanted."""

from __future__ import annotations

from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.store import SnapshotStore

__all__ = ["Demotion"]


class Demotion:
    """One request for memory that is met by the disk: what is there already leaves RAM, the rest is written.

    Call `advance` at first and whenever a job of the store is finished, until `is_over`. An entry is queued
    once: one that the disk refuses stays in RAM. None leaves before its children, nor before it is on disk.

    Owner: that of the store.
    """

    def __init__(self, store: SnapshotStore, n_bytes: int) -> None:
        """Ask the store's RAM tier for ``n_bytes``."""
        self._store = store
        self._n_bytes = n_bytes
        self._tried: set[str] = set()
        self.won_bytes = 0
        """Bytes of the entries that have left RAM."""
        self.is_over = store.disk is None

    def __repr__(self) -> str:
        """Tell how far it is."""
        return f"<Demotion {self.won_bytes} of {self._n_bytes} bytes>"

    def advance(self) -> None:
        """Drop what is on disk by now, and queue what is not.

        Cost: O(log n) for each entry of the request.
        """
        if self.is_over:
            return
        self._round()
        self.is_over = self.won_bytes >= self._n_bytes or not self._store.has_pending

    def _round(self) -> None:
        store = self._store
        parents_of_kept: set[str | None] = set()
        waiting: list[str] = []
        for key in store.ram.plan_eviction(self._n_bytes - self.won_bytes):
            entry = store.ram.peek(key)
            if entry is None:
                continue
            if key not in parents_of_kept and store.index.has(key, "disk"):
                self.won_bytes += store.leave_ram(key)
                continue
            parents_of_kept.add(entry.parent)
            if not store.index.has(key, "disk"):
                waiting.append(key)
        for key in reversed(waiting):
            if key not in self._tried:
                self._queue(key)

    def _queue(self, key: str) -> None:
        """Have an entry written, and before it those of its ancestors that are not on disk."""
        chain: list[StoredEntry] = []
        above: str | None = key
        while above is not None and (entry := self._store.ram.peek(above)) is not None:
            if self._store.index.has(above, "disk") or (above != key and above in self._tried):
                break
            chain.append(entry)
            above = entry.parent
        if self._store.copy_to_disk(chain[::-1]):
            self._tried.update(entry.key for entry in chain)
