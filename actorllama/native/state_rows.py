"""Copy cells between states and their pieces, all layers of a kind at once, whichever way values lie."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

import numpy as np
from attrs import frozen

from actorllama.native.state_reader import Positions, RowSpan

__all__ = ["Bytes", "Order", "RowView", "cell_order", "copy_cells", "row_views"]

Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
Order: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

_ELEMENTS = {1: "u1", 2: "<u2", 4: "<u4", 8: "<u8"}


@frozen(kw_only=True, eq=False)
class RowView:
    """Equal layers that lie at equal distances, seen as one array.

    Shape ``(layers, cells, bytes)``, or transposed ``(layers, elements, cells)``: ``cell_axis`` is 1 or 2.
    """

    array: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
    cell_axis: int


def cell_order(positions: Positions) -> Order | None:
    """Say in which order cells must be read to be in order of position; ``None`` if they are already."""
    if bool((positions[1:] > positions[:-1]).all()):
        return None
    return np.argsort(positions, kind="stable").astype(np.int64)


def row_views(data: Bytes, rows: Sequence[RowSpan], *, n_cells: int) -> tuple[RowView, ...]:
    """See a section's rows as few arrays; equal forms give views that correspond.

    Rows without bytes have none.

    Args:
        data: The whole state or piece that the rows' offsets count in.
        rows: All of them lie inside.
        n_cells: How many cells each of them has.
    """
    views: list[RowView] = []
    for form, group in groupby(rows, key=lambda row: (row.n_elements, row.unit_bytes)):
        run = list(group)
        n_elements, unit_bytes = form
        row_bytes = (n_elements or 1) * unit_bytes * n_cells
        if not row_bytes:
            continue
        stride = run[1].offset - run[0].offset if len(run) > 1 else row_bytes
        if n_elements:
            dtype = _ELEMENTS.get(unit_bytes, f"V{unit_bytes}")
            shape, strides = (len(run), n_elements, n_cells), (stride, n_cells * unit_bytes, unit_bytes)
        else:
            dtype = "u1"
            shape, strides = (len(run), n_cells, unit_bytes), (stride, unit_bytes, 1)
        array = np.ndarray(shape, np.dtype(dtype), data.data, run[0].offset, strides)
        views.append(RowView(array=array, cell_axis=2 if n_elements else 1))
    return tuple(views)


def copy_cells(
    source: Sequence[RowView], cells: range | Order, target: Sequence[RowView], *, at: range
) -> None:
    """Copy some cells of all rows into a run of cells.

    Args:
        source: Where from.
        cells: Which of them, in this order; what is no range costs a copy more.
        target: Where to: the same forms.
        at: As many cells of the target.
    """
    for from_rows, to_rows in zip(source, target, strict=True):
        axis, array = from_rows.cell_axis, from_rows.array
        if isinstance(cells, range):
            chosen = array[_between(cells, axis)]
        else:
            chosen = np.take(array, cells, axis=axis)
        to_rows.array[_between(at, axis)] = chosen


def _between(cells: range, axis: int) -> tuple[slice[int, int], ...]:
    everything = slice(0, sys.maxsize)
    return (*[everything] * axis, slice(cells.start, cells.stop))
