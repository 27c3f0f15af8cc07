"""Where memory for bytes on their way comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Allocate", "fresh_memory"]

Allocate: TypeAlias = Callable[[int], memoryview]
"""Gives writable memory of a size in bytes; what it holds is of no meaning."""


def fresh_memory(n_bytes: int) -> memoryview:
    """Allocate memory of its own."""
    return memoryview(bytearray(n_bytes))
