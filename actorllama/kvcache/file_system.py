"""The seam between the disk tier and the system: every system call and clock that it uses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from actorllama.kvcache.header import Buffer
from actorllama.kvcache.owner import Owner

__all__ = ["FileFacts", "FileSystem"]


class FileFacts(NamedTuple):
    """What a listing tells of one regular file. A tuple, not an attrs value: 100,000 are made at start."""

    name: str
    n_bytes: int
    inode: int
    used_ns: int


class FileSystem(Protocol):
    """What the disk tier asks of its surroundings; tests give one that fails, or dies, when told to.

    Paths are strings, for speed. Every method that touches a file raises `OSError` as the system call
    does. Any thread may call any method.
    """

    def now_ns(self) -> int:
        """Wall clock in nanoseconds since the epoch; it may jump."""
        ...

    def monotonic_s(self) -> float:
        """Clock that only goes forward, in seconds."""
        ...

    def owner(self) -> Owner:
        """Name this process."""
        ...

    def is_running(self, owner: Owner) -> bool | None:
        """Tell whether a process still runs; ``None`` if that cannot be known from here."""
        ...

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """Open a file, close-on-exec, never through a symbolic link."""
        ...

    def close(self, fd: int) -> None:
        """Close a file."""
        ...

    def truncate(self, fd: int, n_bytes: int) -> None:
        """Set a file's length."""
        ...

    def write(self, fd: int, pieces: Sequence[Buffer]) -> int:
        """Write what is taken of these pieces; tell how many bytes."""
        ...

    def read(self, fd: int, buffer: memoryview) -> int:
        """Read into a buffer; tell how many bytes, 0 at the end."""
        ...

    def fsync(self, fd: int) -> None:
        """Wait until a file, or a directory, is on stable storage."""
        ...

    def flock(self, fd: int) -> None:
        """Wait for the exclusive lock of an open file; closing it lets go."""
        ...

    def fstat(self, fd: int) -> os.stat_result:
        """Describe an open file."""
        ...

    def stat(self, path: str) -> os.stat_result:
        """Describe a path, a symbolic link itself."""
        ...

    def scan(self, path: str) -> Iterator[FileFacts]:
        """List the regular files of a directory."""
        ...

    def touch(self, fd: int, used_ns: int) -> None:
        """Set a file's time of last use."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a directory for its owner only."""
        ...

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, which must be free."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Rename a file, over another if there is one."""
        ...

    def unlink(self, path: str) -> None:
        """Take a name away."""
        ...
