"""What a process takes: its own pages, those of mapped files, and the libraries it computes with."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from attrs import asdict, frozen

__all__ = ["LibraryUse", "MemoryUse", "cpu_s_of", "library_of", "memory_of"]

_LIBRARIES = re.compile(r"lib(?:llama|ggml|ggml-base|ggml-cpu[\w-]*)\.(?:so|dylib)[.\d]*")


@frozen(kw_only=True)
class MemoryUse:
    """Bytes of one process, as Linux counts them (``/proc/PID/smaps_rollup``)."""

    rss_bytes: int
    """All pages of it that are in memory."""
    pss_bytes: int
    """The same, shared pages counted by their share."""
    own_bytes: int
    """Pages of no file: what would be free if the process ended."""
    file_bytes: int
    """Pages of mapped files, the model and libraries: the page cache has them anyway."""
    peak_bytes: int
    """Most that was ever in memory since the process began."""
    cache_bytes: int | None = None
    """Of its own pages, those that hold saved states, where the contestant tells."""

    @property
    def own_without_cache_bytes(self) -> int:
        """What it takes apart from the cache's budget."""
        return self.own_bytes - (self.cache_bytes or 0)

    def to_json(self) -> dict[str, object]:
        """Give the figures as plain values."""
        return asdict(self)


@frozen(kw_only=True)
class LibraryUse:
    """Which llama.cpp a process has loaded."""

    path: str
    """Of libllama."""
    digest: str
    """Of libllama and its ggml libraries together: equal for two processes that compute with one build."""


def memory_of(pid: int, *, cache_bytes: int | None = None) -> MemoryUse:
    """Read what a process takes now.

    Raises:
        OSError: There is no such process, or the system does not tell.

    Cost: milliseconds for each gigabyte that it has mapped.
    """
    rollup = _kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))
    status = _kilobytes(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    own = rollup["Anonymous"]
    return MemoryUse(
        rss_bytes=rollup["Rss"],
        pss_bytes=rollup["Pss"],
        own_bytes=own,
        file_bytes=rollup["Rss"] - own,
        peak_bytes=status["VmHWM"],
        cache_bytes=cache_bytes,
    )


def library_of(pid: int) -> LibraryUse | None:
    """Say which llama.cpp a process has mapped; ``None`` if it has none, or the system does not tell."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    except OSError:
        return None
    mapped = {line.split(maxsplit=5)[5] for line in maps.splitlines() if line.count(" ") >= 5 and "/" in line}
    found = sorted(path for path in mapped if _LIBRARIES.fullmatch(Path(path).name))
    llama = next((path for path in found if Path(path).name.startswith("libllama.")), None)
    if llama is None:
        return None
    digest = sha256()
    for path in sorted(found, key=lambda path: Path(path).name.partition(".")[0]):
        digest.update(Path(path).read_bytes())
    return LibraryUse(path=llama, digest=digest.hexdigest()[:16])


def _kilobytes(text: str) -> dict[str, int]:
    lines = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[-2]) * 1024 for words in lines}


def cpu_s_of(pid: int) -> float:
    """Read the seconds of processor that a process has used, all of its threads together.

    Raises:
        OSError: There is no such process, or the system does not tell.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
