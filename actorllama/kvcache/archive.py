"""Entries in one file, to be carried to another machine: a plain tar, and nothing in it is believed.

Each member is the file of one entry, as it would lie under a root, rows before the turn that needs them.
Reading looks at no more of a member's header than its size, which only bounds how much is read: what it is,
its content says, and `decode` holds that against its digests. Links, folders and names of any kind are
passed over, so that an archive cannot write anywhere.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Final

from attrs import frozen

from actorllama.errors import CacheError, SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.decoding import StoredEntry, decode
from actorllama.kvcache.layout import entry_name

__all__ = ["ArchiveWriter", "Unusable", "read_archive"]

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_END: Final = bytes(2 * _BLOCK)
_SKIPPED_MAX: Final = 1 << 20  # members that are no files and still have content: names that are too long


@frozen(kw_only=True)
class Unusable:
    """A member that was not taken."""

    name: str
    """As the archive calls it; nothing is done with it but to tell it."""
    reason: str
    key: str | None = None


class ArchiveWriter:
    """Writes entries into a stream, one after the other; `close` ends the archive.

    Owner: one thread. The stream stays open.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        """Begin at the stream's place."""
        self._stream = stream
        self.n_bytes = 0

    def add(self, entry: StoredEntry, *, codec: str = "none") -> None:
        """Write an entry: those that it needs come before it.

        Raises:
            OSError: The stream takes no more.

        Cost: the codec's, and a digest over all bytes.
        """
        pieces = entry.encode(codec=codec)
        info = tarfile.TarInfo(entry_name(entry))
        info.size = sum(len(piece) for piece in pieces)
        info.mode = 0o600
        self._write(info.tobuf(tarfile.GNU_FORMAT))
        for piece in pieces:
            self._write(piece)
        self._write(bytes(-info.size % _BLOCK))

    def close(self) -> None:
        """Write the mark at the end of an archive."""
        self._write(_END)

    def _write(self, data: bytes | memoryview) -> None:
        self._stream.write(data)
        self.n_bytes += len(data)


def read_archive(stream: IO[bytes], *, limit_bytes: int) -> Iterator[StoredEntry | Unusable]:
    """Read the entries of an archive, one at a time.

    Args:
        stream: From its place on, to the mark at the end.
        limit_bytes: No more than this is ever held for one entry; a larger one is passed over.

    Yields:
        Each entry that passes every check, and what is wrong with each other.

    Raises:
        CacheError: The stream does not begin like an archive.
        OSError: The stream cannot be read.

    Cost: one pass over all bytes; memory for one entry, and its rows decoded.
    """
    is_first = True
    while True:
        head = _read(stream, _BLOCK)
        if not head.strip(b"\0") and len(head) == _BLOCK:
            return
        try:
            info = tarfile.TarInfo.frombuf(bytes(head), "utf-8", "replace")
            if info.size < 0:  # the field has room for it
                raise tarfile.InvalidHeaderError("a negative size")
        except tarfile.HeaderError as exc:
            if is_first:
                raise CacheError("this is no archive of saved turns. Make one with `cache export`.") from exc
            yield Unusable(name="the rest", reason="the archive ends too early, or is damaged from here on")
            return
        is_first = False
        padded = info.size + -info.size % _BLOCK
        if not info.isreg():
            if info.size and (padded > _SKIPPED_MAX or len(_read(stream, padded)) < padded):
                yield Unusable(name=info.name, reason="it is no file, and the archive ends inside it")
                return
            yield Unusable(name=info.name, reason="it is no file, as entries are")
        elif info.size > limit_bytes:
            yield Unusable(name=info.name, reason=f"its {info.size} bytes are more than {limit_bytes}")
            if not _skip(stream, padded):
                yield Unusable(name=info.name, reason="the archive ends inside it")
                return
        else:
            data = _read(stream, padded)
            if len(data) < padded:
                yield Unusable(name=info.name, reason="the archive ends inside it")
                return
            yield _judged(info.name, memoryview(data)[: info.size], limit_bytes)


def _judged(name: str, data: memoryview, limit_bytes: int) -> StoredEntry | Unusable:
    try:
        return decode(data, limit_bytes=limit_bytes)
    except SnapshotCorrupt as exc:
        return Unusable(name=name, reason=f"it is damaged in its {exc.section}", key=exc.key)
    except SnapshotMismatch as exc:
        return Unusable(name=name, reason=f"it is of {exc.actual}, here is {exc.expected}")


def _read(stream: IO[bytes], n_bytes: int) -> bytearray:
    """Read so many bytes, or what there is; a size that is made up allocates nothing."""
    data = bytearray()
    while len(data) < n_bytes:
        piece = stream.read(min(_CHUNK, n_bytes - len(data)))
        if not piece:
            break
        data += piece
    return data


def _skip(stream: IO[bytes], n_bytes: int) -> bool:
    left = n_bytes
    while left:
        piece = stream.read(min(_CHUNK, left))
        if not piece:
            return False
        left -= len(piece)
    return True
