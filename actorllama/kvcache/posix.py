"""The file system of a POSIX machine; process identities from Linux's /proc where there is one."""

from __future__ import annotations

import fcntl
import os
import stat as modes
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from actorllama.kvcache.file_system import FileFacts
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.owner import Owner

__all__ = ["PosixFileSystem"]

_OPEN_ALWAYS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # non-blocking: a planted FIFO must not hang us
_START_FIELD = 19  # "starttime" of /proc/<pid>/stat, counted after the command's closing parenthesis
_UNKNOWN_BOOT = "0" * 8


class PosixFileSystem:
    """System calls as they are; see `FileSystem` for what each promises. Stateless."""

    proc = Path("/proc")
    """Where processes are listed; where it is missing, nobody can be judged."""

    def now_ns(self) -> int:
        """Read the wall clock."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Read the clock that only goes forward."""
        return time.monotonic()

    def owner(self) -> Owner:
        """Name this process; asked each time, for a fork changes the answer."""
        pid = os.getpid()
        return Owner(boot=self._boot(), pid_space=self._pid_space(), pid=pid, started=self._started(pid) or 0)

    def is_running(self, owner: Owner) -> bool | None:
        """Look a process up in /proc, if it can be one of those listed there."""
        here = self.owner()
        is_listed = (owner.boot, owner.pid_space) == (here.boot, here.pid_space)
        if not is_listed or here.started == 0 or owner.boot == _UNKNOWN_BOOT:
            return None
        return self._started(owner.pid) == owner.started

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """Call ``open``."""
        return os.open(path, flags | _OPEN_ALWAYS, mode)

    def close(self, fd: int) -> None:
        """Call ``close``."""
        os.close(fd)

    def truncate(self, fd: int, n_bytes: int) -> None:
        """Call ``ftruncate``."""
        os.ftruncate(fd, n_bytes)

    def write(self, fd: int, pieces: Sequence[Buffer]) -> int:
        """Call ``writev``."""
        return os.writev(fd, pieces)

    def read(self, fd: int, buffer: memoryview) -> int:
        """Call ``readv``."""
        return os.readv(fd, [buffer])

    def fsync(self, fd: int) -> None:
        """Call ``fsync``."""
        os.fsync(fd)

    def flock(self, fd: int) -> None:
        """Call ``flock``; the holder works for milliseconds, and its death lets go."""
        fcntl.flock(fd, fcntl.LOCK_EX)

    def fstat(self, fd: int) -> os.stat_result:
        """Call ``fstat``."""
        return os.fstat(fd)

    def stat(self, path: str) -> os.stat_result:
        """Call ``lstat``."""
        return os.stat(path, follow_symlinks=False)  # noqa: PTH116 (paths are strings here, for speed)

    def scan(self, path: str) -> Iterator[FileFacts]:
        """List a directory; a file that goes meanwhile is left out."""
        with os.scandir(path) as listing:
            for entry in listing:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if modes.S_ISREG(facts.st_mode):
                    yield FileFacts(entry.name, facts.st_size, facts.st_ino, facts.st_mtime_ns)

    def touch(self, fd: int, used_ns: int) -> None:
        """Call ``futimens``."""
        os.utime(fd, ns=(used_ns, used_ns))

    def mkdir(self, path: str) -> None:
        """Call ``mkdir``, mode 0700."""
        os.mkdir(path, 0o700)  # noqa: PTH102 (paths are strings here)

    def link(self, source: str, target: str) -> None:
        """Call ``link``."""
        os.link(source, target)

    def rename(self, source: str, target: str) -> None:
        """Call ``rename``."""
        os.replace(source, target)  # noqa: PTH105 (paths are strings here)

    def unlink(self, path: str) -> None:
        """Call ``unlink``."""
        os.unlink(path)  # noqa: PTH108 (paths are strings here)

    def _boot(self) -> str:
        try:
            return (self.proc / "sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        except OSError:
            return _UNKNOWN_BOOT

    def _pid_space(self) -> int:
        try:
            return (self.proc / "self/ns/pid").stat().st_ino
        except OSError:
            return 0

    def _started(self, pid: int) -> int | None:
        """Read when a process started; ``None`` if there is no such process (or no /proc)."""
        try:
            line = (self.proc / str(pid) / "stat").read_bytes()
        except OSError:
            return None
        return int(line.rpartition(b")")[2].split()[_START_FIELD])
