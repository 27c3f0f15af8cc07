"""Entries in one file, to be carried to another machine: a plain tar, and nothing in it is believed.

Each member is the file of one entry, as it would lie under a root, rows before the turn that needs them.
Reading looks at no more of a member's header than its size, which only bounds how much is read: what it is,
its content says, and `decode` holds that against its digests. Links, folders and names of any kind are
passed over, so that an archive cannot write anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Final

from attrs import frozen

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.decoding import StoredEntry, decode
from actorllama.kvcache.layout import entry_name

if TYPE_CHECKING:
    import tarfile

__all__ = ["ArchiveWriter", "Unusable", "read_archive"]

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_END: Final = bytes(2 * _BLOCK)


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
        import tarfile  # a quarter of a megabyte of every process, for commands

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
        SnapshotMismatch: The stream does not begin like an archive.
        OSError: The stream cannot be read.

    Cost: one pass over all bytes; memory for one entry, and its rows decoded.
    """
    is_first = True
    while any(head := _read(stream, _BLOCK)) or len(head) < _BLOCK:
        info = _member(bytes(head))
        if info is None and is_first:
            raise SnapshotMismatch(expected="a tar archive of entries", actual="something else")
        if info is None:
            yield Unusable(name="the rest", reason="the archive ends too early, or is damaged from here on")
            return
        is_first = False
        is_whole, found = _taken(stream, info, limit_bytes)
        yield found
        if not is_whole:
            return


def _member(head: bytes) -> tarfile.TarInfo | None:
    """Read the header of a member; ``None`` if it is none."""
    import tarfile

    try:
        info = tarfile.TarInfo.frombuf(head, "utf-8", "replace")
    except tarfile.HeaderError:
        return None
    return info if info.size >= 0 else None  # the field has room for a sign


def _taken(stream: IO[bytes], info: tarfile.TarInfo, limit_bytes: int) -> tuple[bool, StoredEntry | Unusable]:
    """Read what follows a header; tell too whether the stream goes on behind it."""
    padded = info.size + -info.size % _BLOCK
    reason = ""
    if not info.isreg():
        reason = "it is no file, as entries are"
    elif info.size > limit_bytes:
        reason = f"its {info.size} bytes are more than the limit of {limit_bytes}"
    if reason:
        return _skip(stream, padded), Unusable(name=info.name, reason=reason)
    data = _read(stream, padded)
    if len(data) < padded:
        return False, Unusable(name=info.name, reason="the archive ends inside it")
    return True, _judged(info.name, memoryview(data)[: info.size], limit_bytes)


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
