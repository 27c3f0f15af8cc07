"""Reading a chain one entry after the other, so that what nobody keeps need not be in memory at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attrs import field, frozen

from actorllama.kvcache.allocate import Allocate
from actorllama.kvcache.decoding import StoredEntry
from actorllama.kvcache.disk import DiskTier

__all__ = ["ChainReader", "ReadOutcome"]


@frozen(kw_only=True)
class ReadOutcome:
    """What came of reading a chain, or a part of it."""

    read: tuple[StoredEntry, ...] = field(default=(), repr=lambda entries: f"<{len(entries)} entries>")
    """Entries that were read, and may stay in memory."""
    passed: tuple[str, ...] = field(default=(), repr=lambda keys: f"<{len(keys)} keys>")
    """Keys of others that were read; where they lay, something else may lie."""
    missing: str | None = None
    """Key of what could not be had."""


class ChainReader:
    """Gives the entries of a chain, from memory or from disk, in any order and each once.

    An entry that shall stay in memory is read into memory of its own. Any other lies where its reader was
    told to put it, which may be where the one before it lay: whoever takes an entry has done with that one.

    Owner: one job, in its thread.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        held: Mapping[str, StoredEntry],
        kept: Collection[str],
        disk: DiskTier | None,
    ) -> None:
        """Read nothing yet.

        Args:
            keys: Root first.
            held: What is in memory of them.
            kept: Which of the others shall stay there.
            disk: Where they are; of ``None`` only what is held can be had.
        """
        self._read: list[StoredEntry] = []
        self._passed: list[str] = []
        self._missing: str | None = None
        self._depths = {key: depth for depth, key in enumerate(keys)}
        self._held = held
        self._kept = kept
        self._disk = disk if len(held) < len(keys) else None
        self._used_ns = 0 if self._disk is None else self._disk.now_ns()

    def take(self, key: str, *, keep: Allocate, passing: Allocate) -> StoredEntry | None:
        """Give an entry of the chain; ``None`` if there is none that can be trusted.

        Its use is noted on disk, so that the last of the chain goes first when room is needed.

        Args:
            key: Which.
            keep: Gives the memory of what shall stay.
            passing: Gives the memory of what shall not; it may be the same each time.

        Cost: as `DiskTier.get`, or a ``touch`` of the file of what is in memory while others are not.
        """
        held = self._held.get(key)
        used_ns = self._used_ns - self._depths[key]
        if held is not None:
            if self._disk is not None:
                self._disk.note_use(key, used_ns=used_ns)
            return held
        is_kept = key in self._kept
        entry = None
        if self._disk is not None:
            entry = self._disk.get(key, used_ns=used_ns, allocate=keep if is_kept else passing)
        if entry is None:
            self._missing = key
        elif is_kept:
            self._read.append(entry)
        else:
            self._passed.append(key)
        return entry

    def outcome(self) -> ReadOutcome:
        """Say what came of it so far."""
        return ReadOutcome(read=tuple(self._read), passed=tuple(self._passed), missing=self._missing)
