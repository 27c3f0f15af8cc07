"""Reading one published file, with every doubt about it."""

from __future__ import annotations

import os
import stat as modes

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.allocate import Allocate, fresh_memory
from actorllama.kvcache.decoding import StoredEntry, decode
from actorllama.kvcache.directory import Directory
from actorllama.kvcache.entry import Entry
from actorllama.kvcache.header import HEADER_BYTES, Header
from actorllama.kvcache.layout import entry_name

__all__ = ["is_sound", "mark_used", "read_entry", "read_file"]


def read_entry(
    directory: Directory,
    key: str,
    *,
    limit_bytes: int,
    used_ns: int | None,
    allocate: Allocate = fresh_memory,
) -> StoredEntry:
    """Read and check the file of a key, whatever its kind.

    Args:
        directory: The root.
        key: A well-formed key.
        limit_bytes: No more than this is ever allocated for the file, nor for what its codec makes of it.
        used_ns: Time of this use; ``None`` if it is none and shall not keep the file from eviction.
        allocate: Gives the memory of the whole file; the entry's payload stays where it was read.

    Raises:
        FileNotFoundError: There is none.
        OSError: The system could not read it.
        SnapshotCorrupt: As `read_file`.
        SnapshotMismatch: As `read_file`.

    Cost: as `read_file`, and a failed ``open`` for each kind that it is not.
    """
    for path in directory.paths_of(key):
        try:
            return read_file(
                directory, path, key, limit_bytes=limit_bytes, used_ns=used_ns, allocate=allocate
            )
        except FileNotFoundError:
            continue
    raise FileNotFoundError(key)


def read_file(
    directory: Directory,
    path: str,
    key: str,
    *,
    limit_bytes: int,
    used_ns: int | None,
    allocate: Allocate = fresh_memory,
) -> StoredEntry:
    """Read and check one file, which should be that of a key.

    A damaged file is quarantined before the error is raised; its ``path`` says where it was.

    Raises:
        FileNotFoundError: There is none.
        OSError: The system could not read it.
        SnapshotCorrupt: It is damaged, cut off, or not ours.
        SnapshotMismatch: It is of another version or MAC key, or larger than the limit.

    Cost: one read and one digest over the file.
    """
    fd = directory.files.open(path, os.O_RDONLY)
    try:
        facts = directory.files.fstat(fd)
        try:
            entry = _read(directory, fd, facts, path, key, limit_bytes, allocate)
        except SnapshotCorrupt:
            directory.quarantine(path, inode=facts.st_ino)  # while it is open, nothing else gets its inode
            raise
        except SnapshotMismatch:
            directory.note_foreign(path, inode=facts.st_ino)
            raise
        if used_ns is not None:
            _touch(directory, fd, used_ns)
    finally:
        directory.close(fd)
    return entry


def is_sound(directory: Directory, entry: Entry, *, limit_bytes: int, used_ns: int) -> bool:
    """Tell whether an entry's file exists and passes every check; a damaged one is quarantined."""
    path = directory.path_of(entry)
    try:
        read_file(directory, path, entry.key, limit_bytes=limit_bytes, used_ns=used_ns)
    except (OSError, MemoryError, SnapshotCorrupt, SnapshotMismatch):
        return False
    return True


def mark_used(directory: Directory, key: str, *, used_ns: int) -> bool:
    """Note the use of a file that is not read; ``False`` if there is none."""
    try:
        for path in directory.paths_of(key):
            try:
                fd = directory.files.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                _touch(directory, fd, used_ns)
            finally:
                directory.close(fd)
            return True
    except OSError:
        return False
    return False


def _read(
    directory: Directory,
    fd: int,
    facts: os.stat_result,
    path: str,
    key: str,
    limit_bytes: int,
    allocate: Allocate,
) -> StoredEntry:
    if not modes.S_ISREG(facts.st_mode):
        raise SnapshotCorrupt(key=key, path=path, section="file type")
    head = bytearray(HEADER_BYTES)
    n_read = directory.read_fully(fd, memoryview(head))
    header = Header.parse(memoryview(head)[:n_read], mac_key=directory.mac_key, path=path)
    n_bytes = header.n_bytes
    if n_bytes != facts.st_size:  # before anything is allocated for it
        raise SnapshotCorrupt(key=key, path=path, section="length")
    if header.key != key:
        raise SnapshotCorrupt(key=key, path=path, section="name")
    if n_bytes > limit_bytes:
        raise SnapshotMismatch(expected=f"at most {limit_bytes} bytes", actual=f"{n_bytes} bytes")
    data = allocate(n_bytes)[:n_bytes]
    data[:HEADER_BYTES] = head
    n_read += directory.read_fully(fd, data[HEADER_BYTES:])
    whole = data[:n_read]
    entry = decode(whole, mac_key=directory.mac_key, path=path, limit_bytes=limit_bytes, header=header)
    if not path.endswith(entry_name(entry)):
        raise SnapshotCorrupt(key=key, path=path, section="name")
    return entry


def _touch(directory: Directory, fd: int, used_ns: int) -> None:
    """Note the use; where the root may only be read, eviction is not ours either."""
    try:
        directory.files.touch(fd, used_ns)
    except OSError:
        return
