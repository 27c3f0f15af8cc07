"""Cut a sequence's state into blocks and a boundary, and put it together again for any context.

Rows of attention belong to one token each, so they can be stored in blocks that states with a common
beginning share. A sliding window and a recurrent state belong to where the state ends: they go whole into the
boundary, with the rows of the last, unfinished block. Rows are stored in the order of their positions,
whatever cells they lay in; of the sequence id and of the number of sequences nothing remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from attrs import evolve, frozen

from actorllama.native.state_layout import check_positions
from actorllama.native.state_part import PartSection, StatePart, header_at, read_part, refusal
from actorllama.native.state_parts import Allocate, StateParts, fresh_memory
from actorllama.native.state_reader import SectionKind, SectionSpan, read_sections
from actorllama.native.state_rows import Bytes, Order, RowGrid, cell_order, copy_cells, copy_runs, row_grids
from actorllama.native.state_writer import StateWriter, state_bytes

__all__ = ["join_state", "split_state"]

_Run: TypeAlias = tuple[PartSection, Sequence[memoryview]]


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


def join_state(
    blocks: Sequence[memoryview],
    boundary: memoryview | None,
    *,
    n_stream: int,
    allocate: Allocate = fresh_memory,
) -> memoryview:
    """Put a state together that ``set_state`` accepts, in a context with any number of sequences.

    Args:
        blocks: From block 0 on, without a gap. A prefix of a state's blocks makes a state of its own if the
            model has nothing but attention.
        boundary: What follows them; ``None`` only for whole blocks of pure attention.
        n_stream: Streams of the context that will take it: 1 if shared, else its number of sequences.
        allocate: Gives the memory for it; called once, and not for parts that are refused.

    Raises:
        StateError: The parts are damaged, do not follow each other, or belong to different models or
            settings.
        ValueError: ``n_stream`` is below 1.

    Cost: one copy; two to four times memcpy where values are transposed.
    """
    plan = _plan(blocks, boundary, n_stream)
    state = allocate(plan.n_bytes)[: plan.n_bytes]
    target = np.frombuffer(state, dtype=np.uint8)
    writer = StateWriter(target, n_stream=n_stream)
    for form, runs in plan.sections:
        positions = np.arange(plan.n_cells - form.n_cells, plan.n_cells, dtype=np.int32)
        to_grids = row_grids(writer.section(form, positions).rows, n_cells=form.n_cells)
        at = 0
        for piece, pieces in runs:
            n = piece.n_cells
            for grid, to_grid in zip(row_grids(piece.rows, n_cells=n), to_grids if n else (), strict=True):
                copy_runs(pieces, grid, 0, target, to_grid, at=at, n_cells=n)
            at += n * len(pieces)
    return state


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


@frozen(kw_only=True, eq=False)
class _JoinPlan:
    """What goes into a state, in order: each section whole, and the runs of equal pieces with its rows."""

    n_cells: int
    n_bytes: int
    sections: tuple[tuple[PartSection, Sequence[_Run]], ...]


def _plan(blocks: Sequence[memoryview], boundary: memoryview | None, n_stream: int) -> _JoinPlan:
    if n_stream < 1:
        raise ValueError(f"{n_stream} streams")
    head = _check_blocks(blocks)
    if boundary is None:
        if head is None or head.needs_boundary:
            raise refusal("is missing: what cannot be cut into blocks")
        n_cells, ends = head.n_tokens * len(blocks), head.sections[:0]
    else:
        tail = read_part(boundary)
        _check_boundary(tail, head, n_blocks=len(blocks))
        n_cells, ends = tail.end, tail.sections
    runs: dict[SectionKind, list[_Run]] = {}
    forms: dict[SectionKind, PartSection] = {}
    if head is not None:
        forms["attention"] = head.sections[0]
        runs["attention"] = [(head.sections[0], blocks)]
    for section in ends:
        forms[section.kind] = section
        assert boundary is not None
        runs.setdefault(section.kind, []).append((section, (boundary,)))
    if "attention" in forms:
        forms["attention"] = evolve(forms["attention"], n_cells=n_cells)
    return _JoinPlan(
        n_cells=n_cells,
        n_bytes=state_bytes(forms.values(), n_stream=n_stream),
        sections=tuple((form, runs[kind]) for kind, form in forms.items()),
    )


def _check_blocks(blocks: Sequence[memoryview]) -> StatePart | None:
    """Make sure that these are blocks 0, 1, ... of one kind; give what they have in common."""
    if not blocks:
        return None
    head = read_part(blocks[0])
    if head.is_boundary or head.first != 0:
        raise refusal("is in the place of the first block")
    header, n_bytes = head.header(), head.n_bytes
    for index, block in enumerate(blocks):
        if len(block) != n_bytes or bytes(block[: len(header)]) != header_at(header, index * head.n_tokens):
            raise refusal(f"is in the place of block {index}")
    return head


def _check_boundary(tail: StatePart, head: StatePart | None, *, n_blocks: int) -> None:
    if not tail.is_boundary:
        raise refusal("is a block in the place of the boundary")
    if head is None:
        if tail.sections[0].kind == "attention" and tail.first != 0:
            raise refusal(f"begins at position {tail.first} and nothing is before it")
        return
    if tail.first != n_blocks * head.n_tokens or tail.n_tokens >= head.n_tokens:
        raise refusal(f"holds positions {tail.first} to {tail.end - 1} behind {n_blocks} blocks")
    if tail.needs_boundary != head.needs_boundary or tail.sections[0].form != head.sections[0].form:
        raise refusal("is of another model or of other settings")
