"""Cut a sequence's state into blocks and a boundary; ``state_join.py`` puts it together again.

Rows of attention belong to one token each, so they can be stored in blocks that states with a common
beginning share. A sliding window and a recurrent state belong to where the state ends: they go whole into the
boundary, with the rows of the last, unfinished block. Rows are stored in the order of their positions,
whatever cells they lay in; of the sequence id and of the number of sequences nothing remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from actorllama.native.state_layout import check_positions
from actorllama.native.state_part import PartSection, StatePart, header_at
from actorllama.native.state_parts import Allocate, StateParts, fresh_memory
from actorllama.native.state_reader import SectionKind, SectionSpan, read_sections
from actorllama.native.state_rows import Bytes, Order, RowGrid, cell_order, copy_cells, copy_runs, row_grids

__all__ = ["split_state"]


def split_state(
    data: memoryview,
    kinds: Sequence[SectionKind],
    *,
    n_stream: int,
    block_tokens: int,
    first_block: int = 0,
    allocate: Allocate = fresh_memory,
) -> StateParts:
    """Cut a state into blocks of ``block_tokens`` tokens and a boundary.

    Equal rows give equal blocks, byte for byte, whatever sequence and whatever cells they come from.

    Args:
        data: As ``get_state`` wrote it.
        kinds: From ``section_kinds``; without ``"attention"`` all is in the boundary.
        n_stream: Streams of the context: 1 if shared, else its number of sequences.
        block_tokens: At least 1.
        first_block: Blocks before this one are known already and are not copied.
        allocate: Gives writable memory of a size in bytes; called once per part.

    Raises:
        StateError: The bytes are no such state, or do not hold positions 0 to the last.
        ValueError: ``block_tokens`` or ``first_block`` is out of bounds.

    Cost: one copy of what is returned; two to four times memcpy where values are transposed.
    """
    if block_tokens < 1 or first_block < 0:
        raise ValueError(f"blocks of {block_tokens} tokens from block {first_block}")
    spans = read_sections(data, kinds, n_stream=n_stream)
    attention = spans[0] if spans[0].kind == "attention" else None
    n_cells = int(spans[0].positions.max()) + 1
    check_positions(spans, n_cells=n_cells)
    cutter = _Cutter(np.frombuffer(data, dtype=np.uint8), spans, allocate)
    n_full, n_tail = divmod(n_cells, block_tokens)
    blocks: tuple[memoryview, ...] = ()
    if attention is not None and first_block < n_full:
        block = StatePart(
            is_boundary=False,
            needs_boundary=len(spans) > 1,
            first=0,
            n_tokens=block_tokens,
            sections=(PartSection.of(attention, n_cells=block_tokens),),
        ).placed()
        firsts = range(first_block * block_tokens, n_full * block_tokens, block_tokens)
        blocks = cutter.cut(block, firsts)
    boundary: memoryview | None = None
    if n_tail or len(spans) > 1 or attention is None:
        n_kept = {"attention": n_tail}
        forms = (PartSection.of(span, n_cells=n_kept.get(span.kind, len(span.positions))) for span in spans)
        boundary_part = StatePart(
            is_boundary=True,
            needs_boundary=len(spans) > 1 or attention is None,
            first=n_cells - n_tail,
            n_tokens=n_tail,
            sections=tuple(forms),
        ).placed()
        (boundary,) = cutter.cut(boundary_part, (boundary_part.first,))
    return StateParts(n_cells=n_cells, first_block=first_block, blocks=blocks, boundary=boundary)


class _Cutter:
    """Copies cells, in order of their positions, out of one state into parts."""

    def __init__(self, data: Bytes, spans: Sequence[SectionSpan], allocate: Allocate) -> None:
        self._allocate = allocate
        self._data = data
        self._grids: Mapping[SectionKind, tuple[RowGrid, ...]] = {
            span.kind: row_grids(span.rows, n_cells=len(span.positions)) for span in spans
        }
        self._orders: Mapping[SectionKind, Order | None] = {
            span.kind: cell_order(span.positions) for span in spans
        }

    def cut(self, part: StatePart, firsts: Iterable[int]) -> tuple[memoryview, ...]:
        """Make the parts of this form that begin at these positions."""
        header = part.header()
        to_grids = [row_grids(section.rows, n_cells=section.n_cells) for section in part.sections]
        parts: list[memoryview] = []
        for first in firsts:
            payload = self._allocate(part.n_bytes)[: part.n_bytes]
            target = np.frombuffer(payload, dtype=np.uint8)
            target[: part.header_bytes] = np.frombuffer(header_at(header, first), dtype=np.uint8)
            for section, grids in zip(part.sections, to_grids, strict=True):
                if section.n_cells:
                    self._copy(section, first if section.kind == "attention" else 0, target, grids)
            parts.append(payload)
        return tuple(parts)

    def _copy(self, section: PartSection, first: int, target: Bytes, to_grids: Sequence[RowGrid]) -> None:
        grids, order, n = self._grids[section.kind], self._orders[section.kind], section.n_cells
        if order is not None:
            copy_cells(self._data, grids, order[first : first + n], target, to_grids, at=0)
            return
        for grid, to_grid in zip(grids, to_grids, strict=True):
            copy_runs((self._data,), grid, first, target, to_grid, at=0, n_cells=n)
