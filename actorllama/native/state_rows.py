"""Copy cells between states and their pieces, all layers of a kind at once, whichever way values lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

import numpy as np
from attrs import frozen

from actorllama.native.state_reader import Positions, RowSpan

__all__ = ["Bytes", "Order", "RowGrid", "cell_order", "copy_cells", "copy_runs", "row_grids"]

Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
Order: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
_Cells: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.void]]


@frozen(kw_only=True)
class RowGrid:
    """Where equal layers lie that have equal distances; the bytes that it is laid over are another's.

    A layer is a number of lines, and a line has the cells one after the other: one line of whole rows, or
    as many lines as a transposed row has elements.
    """

    offset: int
    n_layers: int
    layer_stride: int
    n_lines: int
    n_cells: int
    unit_bytes: int

    @property
    def line_strides(self) -> tuple[int, int]:
        """Bytes from layer to layer, and from line to line."""
        return self.layer_stride, self.n_cells * self.unit_bytes

    def cells(self, data: Bytes | memoryview) -> _Cells:
        """See each cell of each line: shape ``(layers, lines, cells)``."""
        shape = (self.n_layers, self.n_lines, self.n_cells)
        strides = (*self.line_strides, self.unit_bytes)
        return np.ndarray(shape, np.dtype((np.void, self.unit_bytes)), data, self.offset, strides)


def cell_order(positions: Positions) -> Order | None:
    """Say in which order cells must be read to be in order of position; ``None`` if they are already."""
    if bool((positions[1:] > positions[:-1]).all()):
        return None
    return np.argsort(positions, kind="stable").astype(np.int64)


def row_grids(rows: Sequence[RowSpan], *, n_cells: int) -> tuple[RowGrid, ...]:
    """See a section's rows as few grids; equal forms give grids that correspond.

    Rows without bytes have none.

    Args:
        rows: All of them lie inside of what the grids will be laid over.
        n_cells: How many cells each of them has.
    """
    grids: list[RowGrid] = []
    for (n_elements, unit_bytes), group in groupby(rows, key=lambda row: (row.n_elements, row.unit_bytes)):
        run = list(group)
        n_lines = n_elements or 1
        row_bytes = n_lines * unit_bytes * n_cells
        if row_bytes:
            grids.append(
                RowGrid(
                    offset=run[0].offset,
                    n_layers=len(run),
                    layer_stride=run[1].offset - run[0].offset if len(run) > 1 else row_bytes,
                    n_lines=n_lines,
                    n_cells=n_cells,
                    unit_bytes=unit_bytes,
                )
            )
    return tuple(grids)


def copy_runs(
    sources: Sequence[Bytes | memoryview],
    grid: RowGrid,
    first: int,
    target: Bytes,
    to_grid: RowGrid,
    *,
    at: int,
    n_cells: int,
) -> None:
    """Copy a run of cells out of each of several equal pieces, one run behind the other.

    A run is one thing for numpy, which so spends a third less on the short ones of transposed values.

    Args:
        sources: What the grid is laid over in turn.
        grid: Some rows of each.
        first: The cell where the run begins in each.
        target: Where to.
        to_grid: The same rows there.
        at: The cell where the first run goes.
        n_cells: Cells of a run, at least 1.
    """
    shape = (grid.n_layers, grid.n_lines)
    run = np.dtype((np.void, n_cells * grid.unit_bytes))
    offset, strides = grid.offset + first * grid.unit_bytes, grid.line_strides
    to_offset, to_strides = to_grid.offset + at * grid.unit_bytes, to_grid.line_strides
    for source in sources:
        to_runs: _Cells = np.ndarray(shape, run, target, to_offset, to_strides)
        to_runs[...] = np.ndarray(shape, run, source, offset, strides)
        to_offset += run.itemsize


def copy_cells(
    source: Bytes,
    grids: Sequence[RowGrid],
    cells: Order,
    target: Bytes,
    to_grids: Sequence[RowGrid],
    *,
    at: int,
) -> None:
    """Copy these cells of all rows, in this order, to a run of cells from ``at`` on.

    Cost: a copy more than :func:`copy_runs`.
    """
    for grid, to_grid in zip(grids, to_grids, strict=True):
        chosen = np.take(grid.cells(source), cells, axis=2)
        to_grid.cells(target)[:, :, at : at + len(cells)] = chosen
