"""Where memory for bytes on their way comes from."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["Allocate", "ReusedMemory", "fresh_memory"]

Allocate: TypeAlias = Callable[[int], memoryview]
"""Gives writable memory of a size in bytes; what it holds is of no meaning."""

_LEAST_MAPPED_BYTES: Final = 1 << 16


def fresh_memory(n_bytes: int) -> memoryview:
    """Allocate memory of its own, which the system has back as soon as nobody refers to it.

    A bytearray comes from the heap of the thread that makes it. Once a few have been freed, glibc keeps up to
    64 MB of such pages in every thread's heap: in a cache whose jobs run in threads, several times what is
    in use. A bytearray is also written with zeros before it is written with what it is for.

    Cost: two calls of the system, and a fault for each page that is written.
    """
    if n_bytes < _LEAST_MAPPED_BYTES:
        return memoryview(bytearray(n_bytes))
    return memoryview(mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class ReusedMemory:
    """Gives out the same memory again and again, for what is done with before the next comes.

    A few hundred kilobytes that were written just now are in the processor's cache still, and their pages are
    mapped: what is read, checked and copied on this way costs half of what it does in memory of its own.

    Owner: one job, in its thread.
    """

    def __init__(self, allocate: Allocate = fresh_memory) -> None:
        """Have no memory yet; ``allocate`` gives it."""
        self._allocate = allocate
        self._memory = memoryview(b"")

    def __call__(self, n_bytes: int) -> memoryview:
        """Give writable memory of a size, in the place of what was given before."""
        if n_bytes > len(self._memory):
            self._memory = self._allocate(n_bytes)
        return self._memory[:n_bytes]
