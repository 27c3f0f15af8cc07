"""How a snapshot gets its name on disk: whole and on stable storage, or not at all.

1. An existing file is verified, and adopted if it is sound.
2. Room is reserved and an exclusive temporary, mode 0600, is created in the same directory.
3. Header and payload are written, the file is fsynced.
4. It is linked to its name; whoever was faster is verified, then adopted or replaced.
5. The temporary name goes, the directory is fsynced, and only then the caller announces the snapshot.

A process that dies anywhere leaves a temporary, which a sweep finds by its owner, or a whole file under
its name. An fsync that fails says that the pages may be lost though they look clean: it is never tried
again, and the file is discarded (Rebello et al., ATC'20).

Source: erllama's protocol, with reservation, ownership of temporaries and replacement under the lock.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from actorllama.kvcache.directory import Directory, KnownFile, Temporary
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.reading import is_sound
from actorllama.kvcache.reserve import Limits, reserve

__all__ = ["How", "publish"]

How: TypeAlias = Literal["published", "adopted", "replaced"]

_N_PIECES_MAX = 64
_WITHOUT_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


def publish(
    directory: Directory,
    key: str,
    encode: Callable[[], Sequence[Buffer]],
    *,
    limits: Limits,
    on_gone: Callable[[KnownFile], None],
) -> How:
    """Publish the bytes of a snapshot under its key.

    Args:
        directory: The root.
        key: Its key.
        encode: Makes its bytes; not called if a sound file is there.
        limits: The bounds of the root.
        on_gone: Told of each file that was evicted or swept to make room.

    Returns:
        What happened; in each case a sound file of this key is on stable storage now.

    Raises:
        TierFull: There is no room.
        OSError: The system refused; whatever was under the name before is as it was, or quarantined.
    """
    shard = directory.path_of(key).rpartition("/")[0]
    if is_sound(directory, key, limit_bytes=limits.limit_bytes):
        directory.sync(shard)  # whoever wrote it may not have come to this step yet
        return "adopted"
    pieces = encode()
    n_bytes = sum(len(piece) for piece in pieces)
    temporary = reserve(directory, key, n_bytes=n_bytes, limits=limits, on_gone=on_gone)
    try:
        _write_and_close(directory, temporary.fd, pieces)
        how = _give_name(directory, temporary, key, limits)
    finally:
        with contextlib.suppress(OSError):  # gone after a rename; else a sweep has another chance
            directory.files.unlink(temporary.path)
    try:
        directory.sync(shard)
    except OSError:
        if how != "adopted":
            directory.withdraw(key, inode=temporary.inode)
        raise
    return how


def _write_and_close(directory: Directory, fd: int, pieces: Sequence[Buffer]) -> None:
    try:
        _write(directory, fd, pieces)
        directory.files.touch(fd)  # the kernel's own time stamp is a tick too coarse to order uses by
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


def _give_name(directory: Directory, temporary: Temporary, key: str, limits: Limits) -> How:
    path = directory.path_of(key)
    try:
        directory.files.link(temporary.path, path)
    except FileExistsError:
        if is_sound(directory, key, limit_bytes=limits.limit_bytes):
            return "adopted"
    except OSError as exc:
        if exc.errno not in _WITHOUT_LINKS:
            raise
    else:
        return "published"
    with directory.locked():  # whatever has the name is damaged, foreign, or as good as ours
        directory.files.rename(temporary.path, path)
    return "replaced"
