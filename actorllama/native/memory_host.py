"""The host's memory as machine and process see it: what is available, stalls, the process's own limit."""

from __future__ import annotations

import resource
from pathlib import Path

from actorllama.native.memory import HOST, MemoryReading, SourceReport
from actorllama.native.memory_text import read_stall_share, read_text

__all__ = ["ProcessLimitSource", "StallSource", "SystemSource"]


class SystemSource:
    """Reads the machine's memory from Linux's ``/proc/meminfo``, elsewhere through psutil.

    Owner: whoever made it. psutil would read the same two lines; importing it takes 0.7 MB of every process.
    """

    name = "system"

    def __init__(self, *, meminfo: Path = Path("/proc/meminfo")) -> None:
        """Take the kernel's table."""
        self._meminfo = meminfo

    def read(self) -> SourceReport:
        """Read total and available memory. Cost: 0.1 ms."""
        try:
            total, available = _told_by_kernel(self._meminfo) or _told_by_psutil()
        except (ImportError, OSError, RuntimeError, ValueError, KeyError) as exc:
            return SourceReport(source=self.name, why_not=f"psutil: {type(exc).__name__}: {exc}")
        if not 0 <= available <= total or not total:
            why_not = f"{available} of {total} bytes available, which cannot be"
            return SourceReport(source=self.name, why_not=why_not)
        reading = MemoryReading(
            domain=HOST, source=self.name, used_bytes=total - available, limit_bytes=total
        )
        return SourceReport(source=self.name, readings=(reading,))

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _told_by_kernel(meminfo: Path) -> tuple[int, int] | None:
    """Read total and available bytes; ``None`` where there is no such table, or not both in it."""
    lines = (line.split() for line in (read_text(meminfo) or "").splitlines())
    table = {words[0]: words[1] for words in lines if len(words) == 3 and words[2] == "kB"}
    found = table.get("MemTotal:", ""), table.get("MemAvailable:", "")
    if not all(number.isascii() and number.isdecimal() for number in found):
        return None
    total, available = (int(number) << 10 for number in found)
    # A container may be told more available than it has in all; psutil knows what to make of that.
    return (total, available) if available <= total else None


def _told_by_psutil() -> tuple[int, int]:
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


class StallSource:
    """Reads how long tasks wait for memory (Linux's pressure stall information). Owner: whoever made it."""

    name = "stall"

    def __init__(self, *, path: Path = Path("/proc/pressure/memory")) -> None:
        """Take the pressure file."""
        self._path = path

    def read(self) -> SourceReport:
        """Read the machine's share of the last ten seconds. Cost: 0.05 ms."""
        share = read_stall_share(self._path)
        if share is None:
            return SourceReport(source=self.name, why_not=f"{self._path} tells no pressure")
        reading = MemoryReading(domain=HOST, source=self.name, stall_share=share)
        return SourceReport(source=self.name, readings=(reading,))

    def close(self) -> None:
        """Do nothing: nothing is held."""


class ProcessLimitSource:
    """Reads the address space that this process was limited to (``ulimit -v``). Owner: whoever made it.

    The limit is on addresses, not on pages: a mapped model file counts whole.
    """

    name = "process"

    def __init__(self, *, statm: Path = Path("/proc/self/statm")) -> None:
        """Take the file whose first number is the address space in pages."""
        self._statm = statm

    def read(self) -> SourceReport:
        """Read the limit and what is used of it. Cost: 0.05 ms."""
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY or limit <= 0:
            return SourceReport(source=self.name, why_not="this process has no limit of its own")
        text = read_text(self._statm)
        pages = (text or "").split(" ", 1)[0]
        if not (pages.isascii() and pages.isdecimal()):
            return SourceReport(source=self.name, why_not=f"{self._statm} cannot be read")
        used = int(pages) * resource.getpagesize()
        reading = MemoryReading(domain=HOST, source=self.name, used_bytes=used, limit_bytes=limit)
        return SourceReport(source=self.name, readings=(reading,))

    def close(self) -> None:
        """Do nothing: nothing is held."""
