"""What the store has done in worker threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from actorllama.errors import CacheError
from actorllama.kvcache.allocate import Allocate
from actorllama.kvcache.chain_reader import ChainReader, ReadOutcome
from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.disk import DiskTier
from actorllama.kvcache.reports import PutReport

__all__ = ["PrefetchJob", "ReadJob", "WriteJob"]


@frozen(kw_only=True)
class PrefetchJob:
    """The reading of a turn that nobody has asked for yet, for a worker thread."""

    keys: tuple[str, ...] = field(repr=lambda keys: f"<{len(keys)} keys>")
    """Rows root first, then the turn."""
    disk: DiskTier

    def run(self, *, keep: Allocate) -> tuple[StoredEntry, ...]:
        """Read them, up to the first that cannot be had; the outcome goes to `SnapshotStore.prefetched`.

        Args:
            keep: Gives the memory of each; it stays there.

        Cost: as `DiskTier.look` for each.
        """
        read: list[StoredEntry] = []
        for key in self.keys:
            entry = self.disk.look(key, allocate=keep)
            if entry is None:
                break
            read.append(entry)
        return tuple(read)


@frozen(kw_only=True)
class WriteJob:
    """The saving of entries on disk, in this order, for a worker thread."""

    entries: tuple[StoredEntry, ...] = field(repr=lambda entries: f"<{len(entries)} entries>")
    """Root first: blocks, boundary, snapshot."""
    above: tuple[str, ...] = field(repr=lambda keys: f"<{len(keys)} keys>")
    """Keys of what they need and what is on disk already."""
    disk: DiskTier

    def run(self) -> PutReport | CacheError:
        """Encode and publish them; the outcome goes back to `SnapshotStore.finish`.

        Cost: as `DiskTier.put_all`; the GIL is free for most of it.
        """
        try:
            return self.disk.put_all(self.entries, above=self.above)
        except CacheError as exc:
            return exc


@frozen(kw_only=True)
class ReadJob:
    """The reading of a chain, of which a part is in memory."""

    keys: tuple[str, ...] = field(repr=lambda keys: f"<{len(keys)} keys>")
    """Root first."""
    held: Mapping[str, StoredEntry] = field(repr=lambda held: f"<{len(held)} entries>")
    """What was in memory when the job was made."""
    kept: frozenset[str] = field(default=frozenset(), repr=lambda keys: f"<{len(keys)} keys>")
    """Of the others, those that shall be in memory from now on."""
    disk: DiskTier | None

    @property
    def needs_disk(self) -> bool:
        """Whether `run` will wait for the disk, and belongs into a worker thread."""
        return self.disk is not None and len(self.held) < len(self.keys)

    def reader(self) -> ChainReader:
        """Give them one after the other; its outcome goes back to `SnapshotStore.finish_read`."""
        return ChainReader(self.keys, held=self.held, kept=self.kept, disk=self.disk)

    def run(self) -> ReadOutcome:
        """Read the rest, each into memory of its own; the outcome goes back to `SnapshotStore.finish_read`.

        Cost: as `DiskTier.get_chain`.
        """
        if self.disk is None or not self.needs_disk:
            return ReadOutcome()
        read = self.disk.get_chain(self.keys, held=self.held)
        had = {*self.held, *(entry.key for entry in read)}
        return ReadOutcome(read=read, missing=next((key for key in self.keys if key not in had), None))

    def joined(self, outcome: Sequence[StoredEntry]) -> tuple[StoredEntry, ...]:
        """Give what was held and what `run` has read, root first, as far as there is no gap."""
        read = {entry.key: entry for entry in outcome}
        entries: list[StoredEntry] = []
        for key in self.keys:
            entry = self.held.get(key) or read.get(key)
            if entry is None:
                break
            entries.append(entry)
        return tuple(entries)
