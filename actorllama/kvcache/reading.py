"""Reading one published file, with every doubt about it."""

from __future__ import annotations

import os
import stat as modes

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.directory import Directory
from actorllama.kvcache.header import HEADER_BYTES, Header
from actorllama.kvcache.snapshot import Snapshot, decode

__all__ = ["is_sound", "read_entry"]


def read_entry(directory: Directory, key: str, *, limit_bytes: int, is_use: bool) -> Snapshot:
    """Read and check the file of a key.

    A damaged file is quarantined before the error is raised; its ``path`` says where it was.

    Args:
        directory: The root.
        key: A well-formed key.
        limit_bytes: No more than this is ever allocated.
        is_use: Whether this keeps the file from eviction for longer.

    Raises:
        FileNotFoundError: There is none.
        OSError: The system could not read it.
        SnapshotCorrupt: It is damaged, cut off, or not ours.
        SnapshotMismatch: It is of another version or MAC key, or larger than the limit.

    Cost: one read and one blake2b over the file.
    """
    path = directory.path_of(key)
    fd = directory.files.open(path, os.O_RDONLY)
    try:
        facts = directory.files.fstat(fd)
        try:
            snapshot = _read(directory, fd, facts, key, limit_bytes)
        except SnapshotCorrupt:
            directory.quarantine(key, inode=facts.st_ino)  # while it is open, nothing else gets its inode
            raise
        if is_use:
            _touch(directory, fd)
    finally:
        directory.close(fd)
    return snapshot


def is_sound(directory: Directory, key: str, *, limit_bytes: int) -> bool:
    """Tell whether a key's file exists and passes every check; a damaged one is quarantined."""
    try:
        read_entry(directory, key, limit_bytes=limit_bytes, is_use=True)
    except (OSError, MemoryError, SnapshotCorrupt, SnapshotMismatch):
        return False
    return True


def _read(directory: Directory, fd: int, facts: os.stat_result, key: str, limit_bytes: int) -> Snapshot:
    path = directory.path_of(key)
    if not modes.S_ISREG(facts.st_mode):
        raise SnapshotCorrupt(key=key, path=path, section="file type")
    head = bytearray(HEADER_BYTES)
    n_read = directory.read_fully(fd, memoryview(head))
    header = Header.parse(memoryview(head)[:n_read], mac_key=directory.mac_key, path=path)
    if header.n_bytes != facts.st_size:  # before anything is allocated for it
        raise SnapshotCorrupt(key=key, path=path, section="length")
    if header.key != key:
        raise SnapshotCorrupt(key=key, path=path, section="name")
    if header.n_bytes > limit_bytes:
        raise SnapshotMismatch(expected=f"at most {limit_bytes} bytes", actual=f"{header.n_bytes} bytes")
    data = bytearray(header.n_bytes)
    data[:HEADER_BYTES] = head
    n_read += directory.read_fully(fd, memoryview(data)[HEADER_BYTES:])
    return decode(memoryview(data)[:n_read], mac_key=directory.mac_key, path=path)


def _touch(directory: Directory, fd: int) -> None:
    """Note the use; where the root may only be read, eviction is not ours either."""
    try:
        directory.files.touch(fd)
    except OSError:
        return
