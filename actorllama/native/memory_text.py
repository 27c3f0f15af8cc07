"""Small files of the kernel's, read whole: numbers, ``key value`` tables, pressure lines.

Everything here answers ``None`` to what is not there or makes no sense: such files come and go with cgroups,
kernels and containers, and a reading that is missing is no error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["read_number", "read_stall_share", "read_table", "read_text"]

_MOST_BYTES = 1 << 20  # a file that goes on for ever is not one of the kernel's
_PIECE_BYTES = 1 << 14  # a read of more takes as much of the heap of the thread, to put a line into it


def read_text(path: Path) -> str | None:
    """Read a small file; ``None`` if it cannot be read."""
    try:
        with path.open("rb", buffering=0) as stream:
            pieces = [stream.read(_PIECE_BYTES)]
            while pieces[-1] and len(pieces) < _MOST_BYTES // _PIECE_BYTES:
                pieces.append(stream.read(_PIECE_BYTES))
    except (OSError, ValueError):  # ValueError: a NUL in the path, which mountinfo may hold
        return None
    return b"".join(pieces).decode("utf-8", errors="replace")


def read_number(path: Path) -> int | None:
    """Read one whole number that is not negative; ``None`` for ``max`` and for anything else."""
    return _number(read_text(path))


def read_table(path: Path) -> Mapping[str, int]:
    """Read ``key value`` lines; lines that are none are left out."""
    table: dict[str, int] = {}
    for line in (read_text(path) or "").splitlines():
        key, _, rest = line.partition(" ")
        value = _number(rest)
        if value is not None:
            table[key] = value
    return table


def read_stall_share(path: Path) -> float | None:
    """Read how much of the last ten seconds some task waited for memory, 0 to 1 (a pressure file)."""
    for line in (read_text(path) or "").splitlines():
        fields = line.split()
        if fields[:1] != ["some"]:
            continue
        for name, _, value in (part.partition("=") for part in fields):
            if name == "avg10":
                return _percent(value)
    return None


def _percent(text: str) -> float | None:
    try:
        share = float(text) / 100.0
    except ValueError:
        return None
    return share if 0.0 <= share <= 1.0 else None  # also refuses NaN


def _number(text: str | None) -> int | None:
    stripped = (text or "").strip()
    # isdecimal() alone would take other scripts' digits, and int() would take underscores.
    return int(stripped) if stripped.isascii() and stripped.isdecimal() and len(stripped) <= 20 else None
