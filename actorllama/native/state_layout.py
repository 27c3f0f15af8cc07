"""What a saved sequence state must look like, checked before llama.cpp sees one byte of it.

llama.cpp's reader accepts flipped payload bytes, absurd positions and trailing garbage (llama-notes
1.2). A checksum guards the bytes; this module guards the structure: which sections, how many cells, at
which positions, how long each row.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from attrs import frozen

from actorllama.errors import StateError
from actorllama.native.backend import ModelFacts

__all__ = ["Section", "SectionKind", "StateLayout", "check_state", "read_state", "section_kinds"]

SectionKind: TypeAlias = Literal["attention", "window", "recurrent"]

_MAGIC = 0xAF143CD8
_MAX_LAYERS = 4096
_CELL = struct.Struct("<iIi")  # position, number of sequence ids (1), sequence id
_RECURRENT_CELL = struct.Struct("<iI")  # position, number of sequence ids (0)


@frozen(kw_only=True)
class Section:
    """One part of a state, without its payload.

    ``rows`` are the layers' records in file order: (ggml type, bytes per cell). They depend on the
    model and the context, not on the sequence; ``positions`` are the sequence's.
    """

    kind: SectionKind
    is_v_transposed: bool
    rows: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]


@frozen(kw_only=True)
class StateLayout:
    """What all states of one context have in common."""

    n_stream: int
    shape: tuple[tuple[SectionKind, bool, tuple[tuple[int, int], ...]], ...]

    @classmethod
    def of(cls, sections: Sequence[Section], *, n_stream: int) -> StateLayout:
        """Take the layout from a state that this context has just written."""
        return cls(n_stream=n_stream, shape=tuple((s.kind, s.is_v_transposed, s.rows) for s in sections))


def section_kinds(facts: ModelFacts) -> tuple[SectionKind, ...]:
    """Say which sections a model's states have, in order (llama-notes 1.1)."""
    if facts.is_recurrent:
        return ("recurrent",)
    attention: tuple[SectionKind, ...] = ("attention", "window") if facts.n_swa > 0 else ("attention",)
    return (*attention, "recurrent") if facts.is_hybrid else attention


def read_state(data: memoryview, kinds: Sequence[SectionKind], *, n_stream: int) -> tuple[Section, ...]:
    """Take a state apart without copying its payload.

    Args:
        data: As ``get_state`` wrote it.
        kinds: From :func:`section_kinds`.
        n_stream: Streams of the context: 1 if shared, else its number of sequences.

    Raises:
        StateError: It is not such a state, down to the last byte.
    """
    cursor = _Cursor(data)
    if cursor.u32() != _MAGIC:
        raise _refusal("does not begin like a state")
    cursor.u32()  # the sequence id that it was saved from means nothing
    sections = tuple(
        _recurrent(cursor) if kind == "recurrent" else _attention(cursor, kind, n_stream) for kind in kinds
    )
    if cursor.offset != len(data):
        raise _refusal(f"has {len(data) - cursor.offset} bytes too many")
    return sections


def check_state(
    data: memoryview, layout: StateLayout, kinds: Sequence[SectionKind], *, n_cells: int
) -> tuple[Section, ...]:
    """Make sure that a state fits this context and holds exactly positions ``0 .. n_cells - 1``.

    A window section holds the last of them, a recurrent one stands at the last.

    Raises:
        StateError: It does not; llama.cpp must not see it.
    """
    sections = read_state(data, kinds, n_stream=layout.n_stream)
    if StateLayout.of(sections, n_stream=layout.n_stream) != layout:
        raise _refusal("was saved from another layout")
    for section in sections:
        held = sorted(section.positions)
        first = 0 if section.kind == "attention" else n_cells - len(held)
        if not held or first < 0 or held != list(range(first, n_cells)):
            raise _refusal(f"holds other positions than 0 to {n_cells - 1}")
    return sections


def _attention(cursor: _Cursor, kind: SectionKind, n_stream: int) -> Section:
    if cursor.u32() != n_stream:
        raise _refusal("was saved from another number of streams")
    found: Section | None = None
    for _stream in range(n_stream):
        n_cells = cursor.u32()
        if n_cells == 0:
            continue
        if found is not None:
            raise _refusal("has cells in two streams")
        found = _cells(cursor, kind, n_cells)
    if found is None:
        raise _refusal("has no cells")
    return found


def _cells(cursor: _Cursor, kind: SectionKind, n_cells: int) -> Section:
    meta = np.frombuffer(cursor.take(n_cells * _CELL.size), dtype="<i4").reshape(n_cells, 3)
    if (meta[:, 1] != 1).any():
        raise _refusal("has cells of several sequences")
    is_transposed = cursor.u32()
    n_layer = cursor.u32()
    if is_transposed > 1 or not 0 < n_layer <= _MAX_LAYERS:
        raise _refusal(f"claims {n_layer} layers")
    rows = [_row(cursor, n_cells) for _layer in range(n_layer)]
    for _layer in range(n_layer):
        if cursor.is_at_end:
            break  # multi-head latent attention caches no values
        rows.append(_transposed_row(cursor, n_cells) if is_transposed else _row(cursor, n_cells))
    return Section(
        kind=kind,
        is_v_transposed=bool(is_transposed),
        rows=tuple(rows),
        positions=tuple(int(position) for position in meta[:, 0]),
    )


def _recurrent(cursor: _Cursor) -> Section:
    n_cells = cursor.u32()
    if n_cells == 0:
        raise _refusal("has no recurrent cell")
    if n_cells != 1:
        raise _refusal(f"has {n_cells} recurrent cells")
    position, n_seq_id = _RECURRENT_CELL.unpack(cursor.take(_RECURRENT_CELL.size))
    if n_seq_id != 0:
        raise _refusal("has cells of several sequences")
    if cursor.u32() != 0 or not 0 < cursor.u32() <= _MAX_LAYERS:
        raise _refusal("has a recurrent section of unknown form")
    rows: list[tuple[int, int]] = []
    while not cursor.is_at_end:
        rows.append(_row(cursor, n_cells))
    return Section(kind="recurrent", is_v_transposed=False, rows=tuple(rows), positions=(position,))


def _row(cursor: _Cursor, n_cells: int) -> tuple[int, int]:
    ggml_type, row_bytes = cursor.u32(), cursor.u64()
    cursor.take(row_bytes * n_cells)
    return ggml_type, row_bytes


def _transposed_row(cursor: _Cursor, n_cells: int) -> tuple[int, int]:
    ggml_type, element_bytes, n_rows = cursor.u32(), cursor.u32(), cursor.u32()
    row_bytes = element_bytes * n_rows
    cursor.take(row_bytes * n_cells)
    return ggml_type, row_bytes


class _Cursor:
    """Read forward; never past the end."""

    def __init__(self, data: memoryview) -> None:
        self._data = data.cast("B") if data.format != "B" else data
        self.offset = 0

    @property
    def is_at_end(self) -> bool:
        return self.offset == len(self._data)

    def take(self, n: int) -> memoryview:
        end = self.offset + n
        if end > len(self._data):
            raise _refusal("ends too early")
        piece = self._data[self.offset : end]
        self.offset = end
        return piece

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")


def _refusal(reason: str) -> StateError:
    return StateError(operation="set_state", reason=f"the saved state {reason}")
