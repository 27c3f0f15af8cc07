"""How the fake's saved states are cut into blocks."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from actorllama.errors import StateError
from actorllama.native import Allocate, FloatRows, StateParts, fresh_memory

__all__ = ["FakeCutter"]

_MAGIC = b"FAKE"
_HEADER = struct.Struct("<4sI")
_CELL_BYTES = 16  # position and token, eight bytes each


class FakeCutter:
    """Cuts lists of cells; any part of one is a list of cells. Immutable."""

    has_blocks = True
    needs_boundary = False

    def split(
        self,
        data: memoryview,
        *,
        block_tokens: int,
        first_block: int = 0,
        allocate: Allocate = fresh_memory,
    ) -> StateParts:
        """Cut a state into full blocks and the rest.

        Raises:
            StateError: These bytes are no state.
        """
        cells = memoryview(self._cells(bytes(data)))
        size = block_tokens * _CELL_BYTES
        n_blocks = len(cells) // size
        firsts = range(min(first_block, n_blocks) * size, n_blocks * size, size)
        rest = cells[n_blocks * size :]
        return StateParts(
            n_cells=len(cells) // _CELL_BYTES,
            first_block=first_block,
            blocks=tuple(_placed(cells[at : at + size], allocate) for at in firsts),
            boundary=_placed(rest, allocate) if len(rest) else None,
        )

    def float_rows(self, part: memoryview) -> tuple[FloatRows, ...]:
        """There are none: its cells are integers."""
        return ()

    def join(
        self,
        blocks: Iterable[memoryview],
        boundary: memoryview | None,
        *,
        n_blocks: int | None = None,
        allocate: Allocate = fresh_memory,
    ) -> memoryview:
        """Put a state together again.

        Raises:
            StateError: A part is no list of cells, or there are not so many.
        """
        copies = [bytes(block) for block in blocks]
        if n_blocks is not None and len(copies) != n_blocks:
            raise StateError(operation="join", reason=f"{len(copies)} blocks, not {n_blocks}")
        cells = b"".join((*copies, b"" if boundary is None else boundary))
        if len(cells) % _CELL_BYTES:
            raise StateError(operation="join", reason=f"{len(cells)} bytes are no whole cells")
        return _placed(_HEADER.pack(_MAGIC, len(cells) // _CELL_BYTES) + cells, allocate)

    def _cells(self, data: bytes) -> bytes:
        cells = data[_HEADER.size :]
        if len(data) < _HEADER.size or data[:4] != _MAGIC or len(cells) % _CELL_BYTES:
            raise StateError(operation="split", reason="these bytes are no state")
        return cells


def _placed(data: bytes | memoryview, allocate: Allocate) -> memoryview:
    placed = allocate(len(data))[: len(data)]
    placed[:] = data
    return placed
