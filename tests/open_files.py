"""What this process has open below a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["open_below"]


def open_below(folder: Path) -> list[str]:
    """List it; elsewhere garbage of other tests, and their threads, may open and close at any moment."""
    links: list[str] = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was the one that lists them
            links.append(str(descriptor.readlink()))
    return sorted(link for link in links if link.startswith(str(folder)))
