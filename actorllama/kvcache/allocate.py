"""Where memory for bytes on their way comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Allocate", "ReusedMemory", "fresh_memory"]

Allocate: TypeAlias = Callable[[int], memoryview]
"""Gives writable memory of a size in bytes; what it holds is of no meaning."""


def fresh_memory(n_bytes: int) -> memoryview:
    """Allocate memory of its own."""
    return memoryview(bytearray(n_bytes))


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
