"""How entries get their names on disk: each whole and on stable storage, or not at all.

1. An existing file is verified, and adopted if it is sound.
2. Room for all others is reserved at once, and for each an exclusive temporary, mode 0600, is created in
   the directory where it will stay.
3. One after another: header and payload are written, the file is fsynced, and linked to its name; whoever
   was faster is verified, then adopted or replaced; the temporary name goes.
4. The directories are fsynced: those of the rows before the snapshot that needs them gets its name, and
   its own last. Only then the caller announces them.

A process that dies anywhere leaves temporaries, which a sweep finds by their owner, and whole files under
their names, none without those that it needs. An fsync that fails says that the pages may be lost though
they look clean: it is never tried again, and the file is discarded (Rebello et al., ATC'20).

Source: erllama's protocol, with reservation, ownership of temporaries and replacement under the lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from actorllama.kvcache.directory import Directory, KnownFile, Temporary
from actorllama.kvcache.entry import Entry
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.reading import is_sound
from actorllama.kvcache.reserve import Limits, reserve

__all__ = ["How", "publish"]

How: TypeAlias = Literal["published", "adopted", "replaced"]

_N_PIECES_MAX = 64
_WITHOUT_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


@frozen(kw_only=True)
class _Fresh:
    """An entry that must be written."""

    entry: Entry
    pieces: Sequence[Buffer]
    used_ns: int


@frozen(kw_only=True)
class _Named:
    """A file that has its name, and whose directory is not on stable storage yet."""

    path: str
    inode: int | None
    """``None`` if it is not ours to take back."""


def publish(
    directory: Directory,
    entries: Sequence[Entry],
    *,
    encode: Callable[[Entry], Sequence[Buffer]],
    used_ns: int,
    limits: Limits,
    on_gone: Callable[[KnownFile], None],
) -> dict[str, How]:
    """Publish entries under their keys.

    Args:
        directory: The root.
        entries: In the order in which they get their names: none is of use without those before it.
        encode: Makes an entry's bytes; not called if a sound file is there.
        used_ns: Time of use of the first; each one after it gets a nanosecond less, so that of a chain
            the last goes first when room is needed.
        limits: The bounds of the root.
        on_gone: Told of each file that was evicted or swept to make room.

    Returns:
        What happened to each; in each case a sound file of its key is on stable storage now.

    Raises:
        TierFull: There is no room for all of them together; none was written.
        OSError: The system refused. Whatever was under a name before is as it was, or quarantined; of
            the entries, some may be published, none without those before it.

    Cost: a digest and a write of all bytes, an fsync for each entry, and one for each directory.
    """
    hows: dict[str, How] = {}
    fresh: list[_Fresh] = []
    unsynced: list[_Named] = []
    for depth, entry in enumerate(entries):
        at_ns = used_ns - depth
        if is_sound(directory, entry, limit_bytes=limits.limit_bytes, used_ns=at_ns):
            hows[entry.key] = "adopted"
            # Whoever wrote it may not have come to this step yet.
            unsynced.append(_Named(path=directory.path_of(entry), inode=None))
        else:
            fresh.append(_Fresh(entry=entry, pieces=encode(entry), used_ns=at_ns))
    wanted = [(one.entry.key, sum(len(piece) for piece in one.pieces)) for one in fresh]
    temporaries = reserve(directory, wanted, limits=limits, on_gone=on_gone) if fresh else []
    left = deque(temporaries)
    try:
        for one in fresh:
            temporary = left[0]
            _write_and_close(directory, temporary, one)
            if one.entry.kind == "snapshot":
                _sync(directory, unsynced)
            how = _give_name(directory, temporary, one, limits)
            hows[one.entry.key] = how
            inode = None if how == "adopted" else temporary.inode
            unsynced.append(_Named(path=directory.path_of(one.entry), inode=inode))
            _discard(directory, left.popleft())
    finally:
        for temporary in left:
            _discard(directory, temporary)
    _sync(directory, unsynced)
    return hows


def _discard(directory: Directory, temporary: Temporary) -> None:
    with contextlib.suppress(OSError):  # gone after a rename; else a sweep has another chance
        directory.files.unlink(temporary.path)


def _sync(directory: Directory, unsynced: list[_Named]) -> None:
    """Bring names to stable storage; those that may vanish are taken back."""
    shards = dict.fromkeys(one.path.rpartition("/")[0] for one in unsynced)
    try:
        for shard in shards:
            directory.sync(shard)
    except OSError:
        for one in reversed(unsynced):
            if one.inode is not None:
                directory.withdraw(one.path, inode=one.inode)
        raise
    unsynced.clear()


def _write_and_close(directory: Directory, temporary: Temporary, one: _Fresh) -> None:
    fd = directory.files.open(temporary.path, os.O_WRONLY)
    try:
        _write(directory, fd, one.pieces)
        directory.files.touch(fd, one.used_ns)  # the kernel's own time stamp is too coarse to order uses by
        directory.files.fsync(fd)
    finally:
        directory.files.close(fd)


def _write(directory: Directory, fd: int, pieces: Sequence[Buffer]) -> None:
    rest = [memoryview(piece) for piece in pieces if len(piece)]
    while rest:
        n_written = directory.files.write(fd, rest[:_N_PIECES_MAX])
        if n_written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        while rest and n_written >= len(rest[0]):
            n_written -= len(rest.pop(0))
        if n_written:
            rest[0] = rest[0][n_written:]


def _give_name(directory: Directory, temporary: Temporary, one: _Fresh, limits: Limits) -> How:
    path = directory.path_of(one.entry)
    try:
        directory.files.link(temporary.path, path)
    except FileExistsError:
        if is_sound(directory, one.entry, limit_bytes=limits.limit_bytes, used_ns=one.used_ns):
            return "adopted"
    except OSError as exc:
        if exc.errno not in _WITHOUT_LINKS:
            raise
    else:
        return "published"
    with directory.locked():  # whatever has the name is damaged, foreign, or as good as ours
        directory.files.rename(temporary.path, path)
    return "replaced"
