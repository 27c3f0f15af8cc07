"""Blocks may come one after the other in the same memory; they make the same state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from actorllama.errors import StateError
from actorllama.native import join_state
from tests.native.test_state_blocks import Saved, paths, saved

__all__ = ["paths", "saved"]


def in_the_same_memory(blocks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Give each block where the one before it was; nothing of it is there afterwards."""
    memory = bytearray()
    for block in blocks:
        memory = memory if len(memory) == len(block) else bytearray(len(block))
        memory[:] = block
        yield memoryview(memory)
        memory[:] = b"\xee" * len(block)


def test_blocks_that_come_in_the_same_memory_make_the_same_state(saved: Saved) -> None:
    parts = saved.split()
    expected = saved.join(parts.blocks, parts.boundary)
    streamed = join_state(
        in_the_same_memory(parts.blocks), parts.boundary, n_stream=3, n_blocks=len(parts.blocks)
    )
    assert streamed == expected


def test_blocks_without_a_boundary_may_come_so_too(saved: Saved) -> None:
    parts = saved.split()
    for n_blocks in range(1, len(parts.blocks) + 1):
        blocks = in_the_same_memory(parts.blocks[:n_blocks])
        if saved.is_pure_attention:
            expected = saved.join(parts.blocks[:n_blocks], None)
            assert join_state(blocks, None, n_stream=3, n_blocks=n_blocks) == expected
        else:
            with pytest.raises(StateError, match="missing"):
                join_state(blocks, None, n_stream=3, n_blocks=n_blocks)


def test_fewer_or_more_blocks_than_were_said_are_refused(saved: Saved) -> None:
    parts = saved.split()
    n_blocks = len(parts.blocks)
    for blocks in (parts.blocks[:-1], parts.blocks[:1], (), (*parts.blocks, *parts.blocks[-1:])):
        if len(blocks) != n_blocks:
            with pytest.raises(StateError, match=r"join_state refused.*compute the prefix again"):
                join_state(iter(blocks), parts.boundary, n_stream=3, n_blocks=n_blocks)


def test_a_wrong_block_in_any_place_is_refused_when_it_comes(saved: Saved) -> None:
    parts = saved.split()
    n_blocks = len(parts.blocks)
    for index in range(n_blocks):
        blocks = list(parts.blocks)
        blocks[index] = blocks[index - 1] if n_blocks > 1 else memoryview(bytes(blocks[index]) + b"\0")
        with pytest.raises(StateError, match=r"join_state refused"):
            join_state(in_the_same_memory(blocks), parts.boundary, n_stream=3, n_blocks=n_blocks)


def test_how_many_will_come_must_be_said_where_nobody_can_count(saved: Saved) -> None:
    parts = saved.split()
    with pytest.raises(ValueError, match="how many"):
        join_state(iter(parts.blocks), parts.boundary, n_stream=3)


def test_no_memory_is_taken_for_parts_that_are_refused(saved: Saved) -> None:
    parts = saved.split()

    def allocate(n_bytes: int) -> memoryview:
        raise AssertionError(f"{n_bytes} bytes for nothing")

    if len(parts.blocks) > 1:
        with pytest.raises(StateError):
            join_state(parts.blocks[::-1], parts.boundary, n_stream=3, allocate=allocate)
        with pytest.raises(StateError):
            join_state(
                iter(parts.blocks[1:]),
                parts.boundary,
                n_stream=3,
                n_blocks=len(parts.blocks),
                allocate=allocate,
            )
