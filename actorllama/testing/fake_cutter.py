"""How the fake's saved states are cut into blocks."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from actorllama.errors import StateError
from actorllama.native import FloatRows, StateParts

__all__ = ["FakeCutter"]

_MAGIC = b"FAKE"
_HEADER = struct.Struct("<4sI")
_CELL_BYTES = 16  # position and token, eight bytes each


class FakeCutter:
    """Cuts lists of cells; any part of one is a list of cells. Immutable."""

    has_blocks = True
    needs_boundary = False

    def split(self, data: memoryview, *, block_tokens: int, first_block: int = 0) -> StateParts:
        """Cut a state into full blocks and the rest.

        Raises:
            StateError: These bytes are no state.
        """
        cells = memoryview(self._cells(bytes(data)))
        size = block_tokens * _CELL_BYTES
        n_blocks = len(cells) // size
        blocks = tuple(cells[i * size : (i + 1) * size] for i in range(first_block, n_blocks))
        rest = cells[n_blocks * size :]
        return StateParts(
            n_cells=len(cells) // _CELL_BYTES,
            first_block=first_block,
            blocks=blocks,
            boundary=rest if len(rest) else None,
        )

    def float_rows(self, part: memoryview) -> tuple[FloatRows, ...]:
        """There are none: its cells are integers."""
        return ()

    def joined_bytes(self, blocks: Sequence[memoryview], boundary: memoryview | None) -> int:
        """Count the bytes of the state that these parts make."""
        return _HEADER.size + sum(map(len, blocks)) + len(boundary or b"")

    def join(
        self, blocks: Sequence[memoryview], boundary: memoryview | None, *, into: memoryview | None = None
    ) -> memoryview:
        """Put a state together again, in ``into`` if that is given.

        Raises:
            StateError: A part is no list of cells.
        """
        cells = b"".join((*blocks, b"" if boundary is None else boundary))
        if len(cells) % _CELL_BYTES:
            raise StateError(operation="join", reason=f"{len(cells)} bytes are no whole cells")
        state = _HEADER.pack(_MAGIC, len(cells) // _CELL_BYTES) + cells
        if into is None:
            return memoryview(state)
        into[: len(state)] = state
        return into[: len(state)]

    def _cells(self, data: bytes) -> bytes:
        cells = data[_HEADER.size :]
        if len(data) < _HEADER.size or data[:4] != _MAGIC or len(cells) % _CELL_BYTES:
            raise StateError(operation="split", reason="these bytes are no state")
        return cells
