"""Where everything lies in a sequence state that llama.cpp wrote (llama-notes 1.1); no byte is trusted."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from attrs import frozen

from actorllama.errors import StateError

__all__ = [
    "CELL",
    "MAGIC",
    "MAX_LAYERS",
    "RECURRENT_CELL",
    "Positions",
    "RowSpan",
    "SectionKind",
    "SectionSpan",
    "read_sections",
]

SectionKind: TypeAlias = Literal["attention", "window", "recurrent"]

Positions: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int32]]

MAGIC = 0xAF143CD8
CELL = struct.Struct("<iIi")  # position, number of sequence ids (1), sequence id
RECURRENT_CELL = struct.Struct("<iI")  # position, number of sequence ids (0)
MAX_LAYERS = 4096


@frozen(kw_only=True)
class RowSpan:
    """One layer's keys, values or recurrent rows: of what kind, and where.

    ``n_elements`` is 0 where a row is a cell (``unit_bytes`` long), else the rows are transposed: as many
    runs as a cell has elements, each with one element of ``unit_bytes`` per cell.
    """

    ggml_type: int
    n_elements: int
    unit_bytes: int
    offset: int

    @property
    def cell_bytes(self) -> int:
        """Give the bytes that one cell has here."""
        return self.unit_bytes * (self.n_elements or 1)


@frozen(kw_only=True, eq=False)
class SectionSpan:
    """One section: its records in file order, and the positions in its cells, shape ``(n_cells,)``."""

    kind: SectionKind
    is_v_transposed: bool
    n_layer: int
    rows: tuple[RowSpan, ...]
    positions: Positions


def read_sections(
    data: memoryview, kinds: Sequence[SectionKind], *, n_stream: int
) -> tuple[SectionSpan, ...]:
    """Take a state apart without copying its payload.

    Args:
        data: As ``get_state`` wrote it.
        kinds: From ``state_layout.section_kinds``.
        n_stream: Streams of the context: 1 if shared, else its number of sequences.

    Raises:
        StateError: It is not such a state, down to the last byte.
    """
    cursor = _Cursor(data)
    if cursor.u32() != MAGIC:
        raise _refusal("does not begin like a state")
    cursor.u32()  # the sequence id that it was saved from means nothing
    sections = tuple(
        _recurrent(cursor) if kind == "recurrent" else _attention(cursor, kind, n_stream) for kind in kinds
    )
    if not cursor.is_at_end:
        raise _refusal(f"has {cursor.n_left} bytes too many")
    return sections


def _attention(cursor: _Cursor, kind: SectionKind, n_stream: int) -> SectionSpan:
    if cursor.u32() != n_stream:
        raise _refusal("was saved from another number of streams")
    found: SectionSpan | None = None
    for stream in range(n_stream):
        n_cells = cursor.u32()
        if n_cells == 0:
            continue
        if found is not None:
            raise _refusal("has cells in two streams")
        found = _cells(cursor, kind, n_cells, n_after=4 * (n_stream - 1 - stream))
    if found is None:
        raise _refusal("has no cells")
    return found


def _cells(cursor: _Cursor, kind: SectionKind, n_cells: int, *, n_after: int) -> SectionSpan:
    meta = np.frombuffer(cursor.take(n_cells * CELL.size), dtype="<i4").reshape(n_cells, 3)
    if (meta[:, 1] != 1).any():
        raise _refusal("has cells of several sequences")
    is_transposed = cursor.u32()
    n_layer = cursor.u32()
    if is_transposed > 1 or not 0 < n_layer <= MAX_LAYERS:
        raise _refusal(f"claims {n_layer} layers")
    rows = [_row(cursor, n_cells) for _layer in range(n_layer)]
    # Multi-head latent attention caches no values: only the counts of the streams behind this one are left.
    if cursor.n_left != n_after:
        read = _transposed_row if is_transposed else _row
        rows += [read(cursor, n_cells) for _layer in range(n_layer)]
    return SectionSpan(
        kind=kind,
        is_v_transposed=bool(is_transposed),
        n_layer=n_layer,
        rows=tuple(rows),
        positions=meta[:, 0].astype(np.int32),
    )


def _recurrent(cursor: _Cursor) -> SectionSpan:
    n_cells = cursor.u32()
    if n_cells == 0:
        raise _refusal("has no recurrent cell")
    if n_cells != 1:
        raise _refusal(f"has {n_cells} recurrent cells")
    position, n_seq_id = RECURRENT_CELL.unpack(cursor.take(RECURRENT_CELL.size))
    if n_seq_id != 0:
        raise _refusal("has cells of several sequences")
    is_transposed, n_layer = cursor.u32(), cursor.u32()
    if is_transposed != 0 or not 0 < n_layer <= MAX_LAYERS:
        raise _refusal("has a recurrent section of unknown form")
    rows: list[RowSpan] = []
    while not cursor.is_at_end:
        rows.append(_row(cursor, n_cells))
    return SectionSpan(
        kind="recurrent",
        is_v_transposed=False,
        n_layer=n_layer,
        rows=tuple(rows),
        positions=np.array([position], dtype=np.int32),
    )


def _row(cursor: _Cursor, n_cells: int) -> RowSpan:
    ggml_type, row_bytes = cursor.u32(), cursor.u64()
    return cursor.rows(n_cells, ggml_type=ggml_type, n_elements=0, unit_bytes=row_bytes)


def _transposed_row(cursor: _Cursor, n_cells: int) -> RowSpan:
    ggml_type, element_bytes, n_elements = cursor.u32(), cursor.u32(), cursor.u32()
    if n_elements == 0:
        raise _refusal("has values without elements")
    return cursor.rows(n_cells, ggml_type=ggml_type, n_elements=n_elements, unit_bytes=element_bytes)


class _Cursor:
    """Read forward; never past the end."""

    def __init__(self, data: memoryview) -> None:
        self._data = data.cast("B") if data.format != "B" else data
        self._offset = 0

    @property
    def n_left(self) -> int:
        return len(self._data) - self._offset

    @property
    def is_at_end(self) -> bool:
        return self.n_left == 0

    def take(self, n: int) -> memoryview:
        if n > self.n_left:
            raise _refusal("ends too early")
        piece = self._data[self._offset : self._offset + n]
        self._offset += n
        return piece

    def rows(self, n_cells: int, *, ggml_type: int, n_elements: int, unit_bytes: int) -> RowSpan:
        span = RowSpan(ggml_type=ggml_type, n_elements=n_elements, unit_bytes=unit_bytes, offset=self._offset)
        self.take(span.cell_bytes * n_cells)
        return span

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")


def _refusal(reason: str) -> StateError:
    # Who restores empties the sequence before the state is read: this holds for a reader and for a restorer.
    return StateError(
        operation="set_state",
        reason=f"the saved state {reason}",
        hint="No sequence holds any of it; compute the prefix again.",
    )
