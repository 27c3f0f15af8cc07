"""What is stored under a root, looked at from outside: nothing is changed, not even a time of use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from actorllama.errors import CacheError, SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.decoding import StoredEntry, decode
from actorllama.kvcache.directory import Directory, KnownFile
from actorllama.kvcache.entry import EntryFacts
from actorllama.kvcache.file_head import FileHead, read_head
from actorllama.kvcache.file_system import FileSystem
from actorllama.kvcache.header import HEADER_BYTES, Header
from actorllama.kvcache.lineage import Lineage
from actorllama.kvcache.posix import PosixFileSystem

__all__ = ["Survey"]

_UNSEEN: Final = object()


class Survey:
    """Lists a root by its file names, and reads of each file only what is asked for.

    Other processes may write meanwhile: a file that goes is one that cannot be read.

    Owner: whoever made it; one thread.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, mac_key: bytes | None = None, files: FileSystem | None = None
    ) -> None:
        """Read the names.

        Args:
            root: As that of a `DiskTier`; a missing one is empty.
            mac_key: As that of the tier.
            files: The system; the real one by default.

        Raises:
            CacheError: The root cannot be read.

        Cost: a call of ``stat`` for each file.
        """
        self.root = os.path.abspath(root)  # noqa: PTH100 (paths are strings here, for speed)
        self.directory = Directory(self.root, files=files or PosixFileSystem(), mac_key=mac_key)
        self.files: tuple[KnownFile, ...] = ()
        self._heads: dict[str, FileHead | object] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the names again; what was read of files stays known.

        Raises:
            CacheError: The root cannot be read.

        Cost: as at first for directories that changed or were read within the last second.
        """
        try:
            self.directory.refresh()
        except OSError as exc:
            raise CacheError(f"{self.root}: {exc}. Give a root that can be read.") from exc
        self.files = tuple(self.directory.known())

    @property
    def used_bytes(self) -> int:
        """Bytes of all files, unfinished and quarantined ones included."""
        return self.directory.used_bytes

    def now_s(self) -> float:
        """Read the clock that times of use are of."""
        return self.directory.files.now_ns() / 1e9

    def entries(self) -> Iterator[tuple[KnownFile, EntryFacts]]:
        """Give the files that are named like entries."""
        for one in self.files:
            if one.kind == "entry" and one.facts is not None:
                yield one, one.facts

    def head(self, one: KnownFile) -> FileHead | None:
        """Read what a file says of itself; ``None`` if it cannot be read or used. Asked again, it is known.

        Cost: as `read_head`.
        """
        head = self._heads.get(one.path, _UNSEEN)
        if head is _UNSEEN:
            try:
                head = read_head(self.directory, one.path, one.key)
            except (OSError, SnapshotCorrupt, SnapshotMismatch):
                head = None
            self._heads[one.path] = head
        return head if isinstance(head, FileHead) else None

    def turns(self) -> Iterator[tuple[KnownFile, FileHead]]:
        """Give the snapshots that can be read.

        Cost: as `head` for each.
        """
        for one, facts in self.entries():
            head = self.head(one) if facts.kind == "snapshot" else None
            if head is not None and head.kind == "snapshot":
                yield one, head

    def read(self, one: KnownFile, *, limit_bytes: int) -> StoredEntry:
        """Read an entry whole and verify it. Unlike the tier's, this read sets nothing aside.

        Args:
            one: The file.
            limit_bytes: No more is allocated for it, nor for what its codec makes of it.

        Raises:
            OSError: The system could not read it.
            SnapshotCorrupt: It is damaged; it stays where it is.
            SnapshotMismatch: It is of another version or MAC key, or larger than the limit.

        Cost: one read and one digest over the file.
        """
        directory = self.directory
        fd = directory.files.open(one.path, os.O_RDONLY)
        try:
            n_bytes = directory.files.fstat(fd).st_size
            head = bytearray(HEADER_BYTES)
            n_read = directory.read_fully(fd, memoryview(head))
            header = Header.parse(memoryview(head)[:n_read], mac_key=directory.mac_key, path=one.path)
            if header.n_bytes != n_bytes or header.key != one.key:
                raise SnapshotCorrupt(key=one.key, path=one.path, section="length")
            if n_bytes > limit_bytes:
                raise SnapshotMismatch(expected=f"at most {limit_bytes} bytes", actual=f"{n_bytes} bytes")
            data = bytearray(n_bytes)
            data[:HEADER_BYTES] = head
            n_read += directory.read_fully(fd, memoryview(data)[HEADER_BYTES:])
        finally:
            directory.close(fd)
        whole = memoryview(data)[:n_read]
        return decode(whole, mac_key=directory.mac_key, path=one.path, limit_bytes=limit_bytes)

    def lineage(self) -> Lineage:
        """Find out what needs what.

        Cost: `head` of each snapshot, and of each block that belongs to none of them.
        """
        needs: dict[str, tuple[str, ...]] = {}
        parents: dict[str, str] = {}
        namespaces: dict[str, str] = {}
        alone: dict[str, str] = {}  # boundaries of models without blocks, and their namespace
        for one, head in self.turns():
            parts = head.parts()
            needs[one.key] = parts
            root = head.root
            if root is None or head.namespace is None:
                continue
            namespaces[root] = head.namespace
            blocks = parts[:-1] if head.has_boundary else parts
            parents.update(zip(blocks, (root, *blocks), strict=False))
            if head.has_boundary and not head.has_blocks:
                alone[parts[-1]] = head.namespace
        rows: dict[str, KnownFile] = {}
        for one, facts in self.entries():
            if facts.kind == "snapshot":
                continue
            rows[one.key] = one
            if facts.kind == "boundary" and facts.parent is not None:
                parents[one.key] = facts.parent
                if one.key in alone:
                    namespaces[facts.parent] = alone[one.key]
            elif one.key not in parents:
                head_of_row = self.head(one)
                if head_of_row is not None and head_of_row.parent is not None:
                    parents[one.key] = head_of_row.parent
        return Lineage(rows=rows, parents=parents, needs=needs, namespaces=namespaces)
