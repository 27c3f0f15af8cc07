"""Write a sequence state as llama.cpp would read it (llama-notes 1.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
from attrs import evolve

from actorllama.native.state_part import PartSection
from actorllama.native.state_reader import CELL, MAGIC, RECURRENT_CELL, Positions, RowSpan
from actorllama.native.state_rows import Bytes

__all__ = ["StateWriter", "state_bytes"]

_PREFIX_BYTES = 8  # magic, sequence id
_ROW_HEAD_BYTES = 12  # of plain and of transposed rows


def state_bytes(sections: Iterable[PartSection], *, n_stream: int) -> int:
    """Say how long a state of these sections is."""
    return _PREFIX_BYTES + sum(_section_bytes(section, n_stream) for section in sections)


class StateWriter:
    """Write section after section into memory of the right size; the rows are the caller's to fill.

    Cells are said to belong to sequence 0 of stream 0: llama.cpp puts them where it is told to.
    """

    def __init__(self, target: Bytes, *, n_stream: int) -> None:
        """Begin a state for a context with this many streams."""
        self._target = target
        self._n_stream = n_stream
        self._offset = 0
        self._words(MAGIC, 0)

    def section(self, form: PartSection, positions: Positions) -> PartSection:
        """Write everything of a section but its rows; return where these belong."""
        if form.kind == "recurrent":
            self._words(1)
            self._raw(RECURRENT_CELL.pack(int(positions[0]), 0))
            self._words(0, form.n_layer)
            return self._rows(form)
        self._words(self._n_stream, form.n_cells)
        cells = np.zeros((form.n_cells, 3), dtype="<i4")
        cells[:, 0] = positions
        cells[:, 1] = 1
        self._raw(cells.tobytes())
        self._words(form.is_v_transposed, form.n_layer)
        placed = self._rows(form)
        self._raw(bytes(4 * (self._n_stream - 1)))
        return placed

    def _rows(self, form: PartSection) -> PartSection:
        rows: list[RowSpan] = []
        for index, row in enumerate(form.rows):
            is_transposed = form.is_v_transposed and index >= form.n_layer
            self._words(row.ggml_type)
            if is_transposed:
                self._words(row.unit_bytes, row.n_elements)
            else:
                self._raw(row.unit_bytes.to_bytes(8, "little"))
            rows.append(evolve(row, offset=self._offset))
            self._offset += row.cell_bytes * form.n_cells
        return evolve(form, rows=tuple(rows))

    def _words(self, *words: int) -> None:
        self._raw(struct.pack(f"<{len(words)}I", *words))

    def _raw(self, data: bytes) -> None:
        self._target[self._offset : self._offset + len(data)] = np.frombuffer(data, dtype=np.uint8)
        self._offset += len(data)


def _section_bytes(section: PartSection, n_stream: int) -> int:
    rows = _ROW_HEAD_BYTES * len(section.rows) + section.n_bytes
    if section.kind == "recurrent":
        return 4 + RECURRENT_CELL.size + 8 + rows
    return 4 + 4 * n_stream + CELL.size * section.n_cells + 8 + rows
