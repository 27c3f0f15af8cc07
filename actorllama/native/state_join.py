"""Put blocks and a boundary together to a state that any context takes (``state_blocks.py`` cuts them)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from attrs import evolve, frozen

from actorllama.native.state_part import PartSection, StatePart, header_at, read_part, refusal
from actorllama.native.state_parts import Allocate, fresh_memory
from actorllama.native.state_reader import SectionKind
from actorllama.native.state_rows import Bytes, RowGrid, copy_runs, row_grids
from actorllama.native.state_writer import StateWriter, state_bytes

__all__ = ["join_state"]


def join_state(
    blocks: Iterable[memoryview],
    boundary: memoryview | None,
    *,
    n_stream: int,
    n_blocks: int | None = None,
    allocate: Allocate = fresh_memory,
) -> memoryview:
    """Put a state together that ``set_state`` accepts, in a context with any number of sequences.

    Args:
        blocks: From block 0 on, without a gap. A prefix of a state's blocks makes a state of its own if the
            model has nothing but attention. Of what is no sequence, each block is copied to its place before
            the next is asked for, so that all of them may come in the same memory.
        boundary: What follows them; ``None`` only for whole blocks of pure attention.
        n_stream: Streams of the context that will take it: 1 if shared, else its number of sequences.
        n_blocks: How many blocks will come; only of a sequence may it be left out.
        allocate: Gives the memory for it; called once, and not where the parts at hand are refused.

    Raises:
        StateError: The parts are damaged, do not follow each other, or belong to different models or
            settings; or there are not so many.
        ValueError: ``n_stream`` is below 1, or nobody says how many blocks will come.

    Cost: one copy; two to four times memcpy where values are transposed.
    """
    if n_stream < 1:
        raise ValueError(f"{n_stream} streams")
    if isinstance(blocks, Sequence):
        n_blocks = len(blocks)
        runs: Iterable[Sequence[memoryview]] = (blocks,) if n_blocks else ()
    elif n_blocks is None:
        raise ValueError("of blocks that cannot be counted it must be said how many will come")
    else:
        runs = ((block,) for block in blocks)
    tail = None if boundary is None else read_part(boundary)
    joint: _Joint | None = None
    kind: _BlockKind | None = None
    for run in runs:
        if joint is None or kind is None:
            kind = _BlockKind.of(run[0])
            kind.check(run, n_before=0)
            joint = _Joint(kind.head, tail, n_blocks=n_blocks, n_stream=n_stream, allocate=allocate)
        else:
            kind.check(run, n_before=joint.n_placed)
        joint.place(run)
    if joint is None and n_blocks == 0:
        joint = _Joint(None, tail, n_blocks=0, n_stream=n_stream, allocate=allocate)
    if joint is None or joint.n_placed != n_blocks:
        raise refusal(f"is missing: there should be {n_blocks} blocks")
    if boundary is not None:
        joint.end_with(boundary)
    return joint.state


@frozen(kw_only=True)
class _BlockKind:
    """What all blocks of a state have in common."""

    head: StatePart
    header: bytes
    n_bytes: int

    @classmethod
    def of(cls, first: memoryview) -> _BlockKind:
        """Read the first block's header."""
        head = read_part(first)
        if head.is_boundary or head.first != 0:
            raise refusal("is in the place of the first block")
        return cls(head=head, header=head.header(), n_bytes=head.n_bytes)

    def check(self, blocks: Sequence[memoryview], *, n_before: int) -> None:
        """Make sure that these are the next blocks."""
        n_header, n_tokens = len(self.header), self.head.n_tokens
        for index, block in enumerate(blocks, start=n_before):
            is_like_it = len(block) == self.n_bytes
            if not is_like_it or bytes(block[:n_header]) != header_at(self.header, index * n_tokens):
                raise refusal(f"is in the place of block {index}")


class _Joint:
    """A state into which parts are copied, once what it will be is known. Owner: one call of `join_state`."""

    def __init__(
        self,
        head: StatePart | None,
        tail: StatePart | None,
        *,
        n_blocks: int,
        n_stream: int,
        allocate: Allocate,
    ) -> None:
        """Take memory for it, and write all but its rows.

        Args:
            head: The first block, if there are any.
            tail: The boundary, if there is one.
            n_blocks: Blocks before it.
            n_stream: Streams of the context.
            allocate: Gives the memory.
        """
        self.n_placed = 0
        self._tail = tail
        self._n_block = 0 if head is None else head.n_tokens
        forms = _forms(head, tail, n_blocks)
        n_cells = n_blocks * self._n_block if tail is None else tail.end
        n_bytes = state_bytes(forms, n_stream=n_stream)
        self.state = allocate(n_bytes)[:n_bytes]
        self._target: Bytes = np.frombuffer(self.state, dtype=np.uint8)
        writer = StateWriter(self._target, n_stream=n_stream)
        self._grids: dict[SectionKind, tuple[RowGrid, ...]] = {}
        for form in forms:
            positions = np.arange(n_cells - form.n_cells, n_cells, dtype=np.int32)
            placed = writer.section(form, positions)
            self._grids[form.kind] = row_grids(placed.rows, n_cells=form.n_cells)
        self._block_grids = () if head is None else _grids_of(head.sections[0])

    def place(self, blocks: Sequence[memoryview]) -> None:
        """Copy the rows of the next blocks, which were checked."""
        n, at = self._n_block, self.n_placed * self._n_block
        for grid, to_grid in zip(self._block_grids, self._grids["attention"], strict=True):
            copy_runs(blocks, grid, 0, self._target, to_grid, at=at, n_cells=n)
        self.n_placed += len(blocks)

    def end_with(self, boundary: memoryview) -> None:
        """Copy the rows of the boundary, behind the last block."""
        assert self._tail is not None
        for section in self._tail.sections:
            if section.n_cells:
                at = self.n_placed * self._n_block if section.kind == "attention" else 0
                for grid, to_grid in zip(_grids_of(section), self._grids[section.kind], strict=True):
                    copy_runs((boundary,), grid, 0, self._target, to_grid, at=at, n_cells=section.n_cells)


def _grids_of(section: PartSection) -> tuple[RowGrid, ...]:
    return row_grids(section.rows, n_cells=section.n_cells)


def _forms(head: StatePart | None, tail: StatePart | None, n_blocks: int) -> tuple[PartSection, ...]:
    """Say what sections the state will have; parts that do not belong together are refused."""
    if tail is None:
        if head is None or head.needs_boundary:
            raise refusal("is missing: what cannot be cut into blocks")
        return (evolve(head.sections[0], n_cells=n_blocks * head.n_tokens),)
    _check_boundary(tail, head, n_blocks=n_blocks)
    forms = tail.sections if head is None else (head.sections[0], *tail.sections[1:])
    if forms[0].kind != "attention":
        return forms
    return (evolve(forms[0], n_cells=tail.end), *forms[1:])


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
