"""Giving what the C heap holds free back to the system."""

from __future__ import annotations

import ctypes

__all__ = ["trim_heap"]


def trim_heap() -> bool:
    """Have glibc give free memory back to the system; False where the C library has no such call.

    What was allocated in pieces and freed stays with the process otherwise: the heap keeps it for later.

    Cost: some milliseconds for a heap of gigabytes; call it in a thread.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return False if trim is None else bool(trim(0))
