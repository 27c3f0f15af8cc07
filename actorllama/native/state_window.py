"""Put a sliding window's rows back into the cells that the unbroken run has them in.

llama.cpp fills a sequence's window cells in turn and begins again at the first: position p lies in cell p
modulo their number, and cells behind the window keep old rows that the mask hides. A state holds only the
window's rows, and restoring puts them into the first cells. The masked sums then run in another order and
round otherwise now and then. With rows of zeros for the positions that have left the window, all lie where
they lay, and the next tokens go where they would have gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from actorllama.native.state_part import PartSection
from actorllama.native.state_reader import SectionSpan
from actorllama.native.state_rows import cell_order, copy_cells, row_grids
from actorllama.native.state_writer import StateWriter, state_bytes

__all__ = ["first_real_position", "padded_window", "window_cells"]

_PAD_CELLS = 256


def window_cells(*, n_ctx_seq: int, n_swa: int, n_ubatch: int, is_full: bool) -> int:
    """Say how many window cells llama.cpp gives to each sequence of the isolated layout.

    Source: the constructor of `llama_kv_cache_iswa` in llama.cpp.
    """
    if is_full:
        return n_ctx_seq
    return -(-min(n_ctx_seq, n_swa + n_ubatch) // _PAD_CELLS) * _PAD_CELLS


def first_real_position(spans: Sequence[SectionSpan], *, n_cells: int) -> int:
    """Say from which position on a state has all rows: 0 if it has no window, or one not yet full."""
    return n_cells - min((len(span.positions) for span in spans if span.kind == "window"), default=n_cells)


def padded_window(
    data: memoryview, spans: Sequence[SectionSpan], *, n_cells: int, n_window_cells: int, n_stream: int
) -> memoryview | None:
    """Write the part of a state behind its attention section anew, each window row in its cell.

    Args:
        data: A state that ``check_state`` has passed.
        spans: What that returned.
        n_cells: Positions that the state stands for.
        n_window_cells: From :func:`window_cells`.
        n_stream: Streams of the context.

    Returns:
        What llama.cpp reads with the flag ``PARTIAL_ONLY``; ``None`` if nothing has left the window yet, so
        that the state's own rows go where they were. It may hold position ``n_cells``, to be removed then.

    Cost: one copy of the window's rows, and zeros for at most ``n_window_cells`` more.
    """
    skipped = first_real_position(spans, n_cells=n_cells)
    n_rows = min(n_cells, n_window_cells)
    if skipped == 0 or n_cells - skipped >= n_rows:
        return None
    behind = [span for span in spans if span.kind != "attention"]
    forms = [
        PartSection.of(span, n_cells=n_rows if span.kind == "window" else len(span.positions))
        for span in behind
    ]
    source = np.frombuffer(data, dtype=np.uint8)
    target = np.zeros(state_bytes(forms, n_stream=n_stream), dtype=np.uint8)
    writer = StateWriter(target, n_stream=n_stream)
    first = n_cells - n_rows
    in_turn = (first + (np.arange(n_rows) - first) % n_rows).astype(np.int32)
    if n_cells >= n_window_cells:
        # llama.cpp goes on behind the last cell that was filled, or from the first that was freed, if that
        # is before. No other section knows this position, so that cell can be freed alone.
        in_turn[n_cells % n_rows] = n_cells
    for span, form in zip(behind, forms, strict=True):
        n_held = len(span.positions)
        is_window = span.kind == "window"
        placed = writer.section(form, in_turn if is_window else span.positions)
        to_grids = row_grids(placed.rows, n_cells=form.n_cells)
        grids = row_grids(span.rows, n_cells=n_held)
        order = cell_order(span.positions)
        order = np.arange(n_held) if order is None else order
        begin = skipped % n_rows if is_window else 0
        n_before_end = min(n_held, form.n_cells - begin)
        copy_cells(source, grids, order[:n_before_end], target, to_grids, at=begin)
        if n_before_end < n_held:
            copy_cells(source, grids, order[n_before_end:], target, to_grids, at=0)
    return target.data
