"""A saved state in pieces."""

from __future__ import annotations

from attrs import frozen

__all__ = ["StateParts"]


@frozen(kw_only=True)
class StateParts:
    """A state in pieces: blocks ``first_block``, ``first_block + 1``, ... and what follows the last full one.

    ``boundary`` is ``None`` if nothing follows and nothing else belongs to the state.
    """

    n_cells: int
    first_block: int
    blocks: tuple[memoryview, ...]
    boundary: memoryview | None
