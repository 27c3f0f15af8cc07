"""Sizes and times as people write them: pure."""

from __future__ import annotations

import math
import re
from typing import Final

from actorllama.errors import RequestError

__all__ = ["ago", "bytes_from", "seconds_from"]

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.IGNORECASE)
_POWERS: Final = "kmgt"
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES_MAX: Final = 1 << 60
_AGE_MAX_S: Final = 1e10
_STEPS: Final = (("s", 1.0, 100.0), ("min", 60.0, 100.0), ("h", 3600.0, 48.0), ("d", 86400.0, math.inf))


def bytes_from(text: str, *, field: str) -> int:
    """Read a size: ``1000``, ``500MB`` (of a million bytes), ``2GiB`` (of 1024 times 1024 times 1024).

    Raises:
        RequestError: It is none.
    """
    found = _SIZE.fullmatch(text.strip())
    n_bytes = math.inf
    if found is not None and (found[2] or not found[3]):
        base = 1024 if found[3] else 1000
        n_bytes = float(found[1]) * base ** (_POWERS.find(found[2].lower()) + 1 if found[2] else 0)
    if n_bytes > _BYTES_MAX:
        raise RequestError(field=field, value=text, reason="is no size: write 1000, 500MB, or 2GiB")
    return int(n_bytes)


def seconds_from(text: str, *, field: str) -> float:
    """Read a length of time: ``90s``, ``30m``, ``12h``, ``30d``, ``2w``.

    Raises:
        RequestError: It is none.
    """
    found = _AGE.fullmatch(text.strip())
    seconds = math.inf if found is None else float(found[1]) * _SECONDS[found[2].lower()]
    if seconds > _AGE_MAX_S:
        raise RequestError(field=field, value=text, reason="is no length of time: write 90s, 12h, 30d, or 2w")
    return seconds


def ago(seconds: float) -> str:
    """Tell a length of time for people, in one unit."""
    passed = max(seconds, 0.0)
    unit, unit_s = next((unit, unit_s) for unit, unit_s, most in _STEPS if passed / unit_s < most)
    return f"{passed / unit_s:.0f} {unit}"
