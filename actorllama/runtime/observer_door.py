"""The socket through which a runtime is watched: who may open it, under which name, and who cleans up."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from attrs import define

__all__ = ["SOCKET_GLOB", "Door", "address_of", "is_ours", "open_door"]

SOCKET_GLOB = "observe*.sock"
_LOCK = "observe.lock"
_SHORT = 100  # the kernel takes 107 bytes of a path, other systems 103
_N_BACKLOG = 128
_N_OF_ONE_PROCESS = 32
_PRIVATE = 0o600
_N_TRIES, _TRY_S = 100, 0.01


@define(kw_only=True)
class Door:
    """A listening socket under a name of its own. Owner: whoever opened it, who closes it."""

    path: Path
    listening: socket.socket
    inode: tuple[int, int]

    def close(self) -> None:
        """Listen no more, and take the name away unless somebody else has it by now."""
        # In this order: as long as somebody listens, nobody else takes the name.
        with suppress(OSError):
            if _inode_of(self.path) == self.inode:
                self.path.unlink()
        self.listening.close()


def open_door(state_dir: Path) -> Door:
    """Listen under the first name that is free.

    ``observe.sock`` is the first runtime's of a directory; others have their process id in the name. What a
    dead process left behind is replaced.

    Raises:
        OSError: The directory is not ours or cannot be written to, every name is taken, or somebody has been
            choosing one for too long.

    Cost: some local system calls; blocks.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_ours(state_dir):
        raise PermissionError(errno.EPERM, "the state directory belongs to another user", str(state_dir))
    with _alone(state_dir):
        for name in _names():
            path = state_dir / name
            if _make_free(path):
                return _bind(path)
    raise FileExistsError(errno.EADDRINUSE, "every name for the observer's socket is taken", str(state_dir))


def is_ours(path: Path) -> bool:
    """Tell whether the user who asks owns a file; symbolic links are followed."""
    return path.stat().st_uid == os.geteuid()


@contextmanager
def address_of(path: Path) -> Generator[str, None, None]:
    """Give a name for a socket that is short enough for the kernel while the block lasts."""
    if len(os.fsencode(path)) <= _SHORT or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _names() -> Iterator[str]:
    pid = os.getpid()
    yield "observe.sock"
    yield f"observe-{pid}.sock"
    yield from (f"observe-{pid}-{number}.sock" for number in range(2, _N_OF_ONE_PROCESS))


@contextmanager
def _alone(state_dir: Path) -> Generator[None, None, None]:
    """Keep others, in this process and elsewhere, from choosing a name at the same time.

    Without it, two could find the same dead socket, and the slower one would remove the other's.
    """
    lock = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
    try:
        _take(lock)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    pause = Event()  # nobody sets it: this is a thread's way to wait a little
    for n_left in reversed(range(_N_TRIES)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # whoever has it needs it for some system calls, unless it is stopped
            if not n_left:
                raise
            pause.wait(_TRY_S)
        else:
            return


def _make_free(path: Path) -> bool:
    """Remove a socket on which nobody listens; tell whether the name is free."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    if not stat.S_ISSOCK(mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, address_of(path) as address:
        probe.setblocking(False)  # noqa: FBT003 - the socket's own interface
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return True
        except OSError:
            return False  # it is busy, or we may not look: somebody has it
    return False


def _bind(path: Path) -> Door:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)  # noqa: FBT003 - the socket's own interface
        # Linux makes the file with the socket's own mode, so it is private from its first moment on.
        os.fchmod(listening.fileno(), _PRIVATE)
        with address_of(path) as address:
            listening.bind(address)
        path.chmod(_PRIVATE)
        listening.listen(_N_BACKLOG)
        return Door(path=path, listening=listening, inode=_inode_of(path))
    except OSError:
        listening.close()
        raise


def _inode_of(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
