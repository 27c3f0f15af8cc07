"""A saved state in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from attrs import frozen

__all__ = ["Allocate", "Element", "FloatRows", "StateParts", "fresh_memory"]

Allocate: TypeAlias = Callable[[int], memoryview]
"""Gives writable memory of at least a size in bytes; what it holds is of no meaning."""
Element: TypeAlias = Literal["f16", "f32"]


@frozen(kw_only=True)
class StateParts:
    """A state in pieces: blocks ``first_block``, ``first_block + 1``, ... and what follows the last full one.

    ``boundary`` is ``None`` if nothing follows and nothing else belongs to the state.
    """

    n_cells: int
    first_block: int
    blocks: tuple[memoryview, ...]
    boundary: memoryview | None


@frozen(kw_only=True)
class FloatRows:
    """A run of numbers in a part: keys or values of one layer, one after the other, little-endian."""

    offset: int
    n_bytes: int
    element: Element


def fresh_memory(n_bytes: int) -> memoryview:
    """Allocate memory whose pages were never touched: the first write to each costs more than the copy."""
    return np.empty(n_bytes, dtype=np.uint8).data
