"""The host's memory as machine and process see it: psutil, stalls, the process's own limit."""

from __future__ import annotations

import resource
from pathlib import Path

from actorllama.native.memory import HOST, MemoryReading, SourceReport
from actorllama.native.memory_text import read_stall_share, read_text

__all__ = ["ProcessLimitSource", "StallSource", "SystemSource"]


class SystemSource:
    """Reads the machine's memory through psutil, on any system that psutil knows.

    Owner: whoever made it. psutil is imported at the first reading.
    """

    name = "system"

    def read(self) -> SourceReport:
        """Read total and available memory. Cost: 0.1 ms."""
        try:
            import psutil

            memory = psutil.virtual_memory()
        except (ImportError, OSError, RuntimeError, ValueError, KeyError) as exc:
            return SourceReport(source=self.name, why_not=f"psutil: {type(exc).__name__}: {exc}")
        if not 0 <= memory.available <= memory.total or not memory.total:
            why_not = f"psutil: {memory.available} of {memory.total} bytes available, which cannot be"
            return SourceReport(source=self.name, why_not=why_not)
        used = int(memory.total - memory.available)
        reading = MemoryReading(domain=HOST, source=self.name, used_bytes=used, limit_bytes=int(memory.total))
        return SourceReport(source=self.name, readings=(reading,))

    def close(self) -> None:
        """Do nothing: nothing is held."""


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
