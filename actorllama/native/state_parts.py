"""A saved state in pieces."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

__all__ = ["Element", "FloatRows", "StateParts"]

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
