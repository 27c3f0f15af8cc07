"""Laws of cutting states: nothing is lost or invented, and no damage is more than a StateError."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from actorllama.errors import StateError
from actorllama.native import StateParts
from actorllama.native.state_blocks import split_state
from actorllama.native.state_join import join_state
from actorllama.native.state_layout import read_state
from actorllama.native.state_part import float_rows, read_part
from actorllama.native.state_reader import SectionKind

KINDS: tuple[tuple[SectionKind, ...], ...] = (
    ("attention",),
    ("attention", "window"),
    ("attention", "recurrent"),
    ("attention", "window", "recurrent"),
    ("recurrent",),
)


@frozen(kw_only=True)
class Shape:
    """A model and a context, as far as their states show them."""

    kinds: tuple[SectionKind, ...]
    n_stream: int
    stream: int
    is_transposed: bool
    has_values: bool
    layers: tuple[int, ...] = field(repr=True)
    """Elements of each layer's row."""
    n_swa: int


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    kinds = draw(st.sampled_from(KINDS))
    n_stream = draw(st.integers(1, 5))
    return Shape(
        kinds=kinds,
        n_stream=n_stream,
        stream=draw(st.integers(0, n_stream - 1)),
        is_transposed=draw(st.booleans()),
        has_values=kinds != ("attention",) or draw(st.booleans()),
        layers=tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))),
        n_swa=draw(st.integers(1, 12)),
    )


def state_of(shape: Shape, n_cells: int, *, seed: int, is_shuffled: bool) -> memoryview:
    """Write a state as llama.cpp does; the bytes of a cell depend on its position, its layer and the seed."""
    generator = np.random.Generator(np.random.SFC64(seed))
    pieces = [struct.pack("<Ii", 0xAF143CD8, seed % 7)]
    for kind in shape.kinds:
        if kind == "recurrent":
            rows = b"".join(
                struct.pack("<iQ", 0, 4 * n) + generator.bytes(4 * n) for n in (*shape.layers, *shape.layers)
            )
            pieces += [struct.pack("<IiIII", 1, n_cells - 1, 0, 0, len(shape.layers)), rows]
            continue
        first = 0 if kind == "attention" else max(0, n_cells - shape.n_swa)
        pieces.append(attention_of(shape, first, n_cells, generator, is_shuffled=is_shuffled))
    return memoryview(b"".join(pieces))


def attention_of(
    shape: Shape, first: int, end: int, generator: np.random.Generator, *, is_shuffled: bool
) -> bytes:
    n = end - first
    order = generator.permutation(n) if is_shuffled else np.arange(n)
    pieces = [struct.pack("<I", shape.n_stream), bytes(4 * shape.stream), struct.pack("<I", n)]
    pieces += [struct.pack("<iIi", first + cell, 1, 3) for cell in order.tolist()]
    pieces.append(struct.pack("<II", shape.is_transposed, len(shape.layers)))
    for width in shape.layers:
        rows = np.frombuffer(np.random.Generator(np.random.SFC64(width)).bytes(2 * width * end), "<u2")
        pieces += [struct.pack("<iQ", 1, 2 * width), rows.reshape(end, width)[first:][order].tobytes()]
    for width in shape.layers if shape.has_values else ():
        rows = np.frombuffer(np.random.Generator(np.random.SFC64(width + 9)).bytes(2 * width * end), "<u2")
        held = rows.reshape(end, width)[first:][order]
        if shape.is_transposed:
            pieces += [struct.pack("<iII", 1, 2, width), np.ascontiguousarray(held.T).tobytes()]
        else:
            pieces += [struct.pack("<iQ", 1, 2 * width), held.tobytes()]
    return b"".join([*pieces, bytes(4 * (shape.n_stream - 1 - shape.stream))])


def split(shape: Shape, data: memoryview, block_tokens: int, first_block: int = 0) -> StateParts:
    return split_state(
        data,
        shape.kinds,
        n_stream=shape.n_stream,
        block_tokens=block_tokens,
        first_block=first_block,
    )


@given(shapes(), st.integers(1, 70), st.integers(1, 40), st.integers(0, 99), st.booleans(), st.integers(1, 6))
def prop_what_is_joined_is_the_state_in_order(
    shape: Shape, n_cells: int, block_tokens: int, seed: int, is_shuffled: bool, n_stream: int
) -> None:
    state = state_of(shape, n_cells, seed=seed, is_shuffled=is_shuffled)
    parts = split(shape, state, block_tokens)
    joined = join_state(parts.blocks, parts.boundary, n_stream=shape.n_stream)
    assert len(joined) == len(state)
    for before, after in zip(
        read_state(state, shape.kinds, n_stream=shape.n_stream),
        read_state(joined, shape.kinds, n_stream=shape.n_stream),
        strict=True,
    ):
        assert after.rows == before.rows
        assert after.positions == tuple(sorted(before.positions))
    if not is_shuffled and shape.stream == 0:
        assert bytes(joined[8:]) == ids_cleared(shape, state)
    elsewhere = join_state(parts.blocks, parts.boundary, n_stream=n_stream)
    again = split_state(elsewhere, shape.kinds, n_stream=n_stream, block_tokens=block_tokens)
    assert again == parts


def in_one_place(blocks: Iterable[memoryview]) -> Iterator[memoryview]:
    """Give each block where the one before it was; nobody may still look there, and nothing is there."""
    memory = bytearray()
    for block in blocks:
        memory[:] = block
        with memoryview(memory) as view:
            yield view
        memory[:] = b"\xee" * len(memory)


@given(shapes(), st.integers(1, 70), st.integers(1, 40), st.integers(0, 99), st.integers(0, 5))
def prop_blocks_that_come_one_by_one_make_the_same_state_or_none(
    shape: Shape, n_cells: int, block_tokens: int, seed: int, n_lost: int
) -> None:
    parts = split(shape, state_of(shape, n_cells, seed=seed, is_shuffled=False), block_tokens)
    whole = join_state(parts.blocks, parts.boundary, n_stream=shape.n_stream)
    n_blocks = len(parts.blocks)
    blocks = in_one_place(parts.blocks[: max(0, n_blocks - n_lost)])
    try:
        joined = join_state(blocks, parts.boundary, n_stream=shape.n_stream, n_blocks=n_blocks)
    except StateError:
        assert n_lost
        assert n_blocks
    else:
        assert joined == whole
        assert not (n_lost and n_blocks)


def ids_cleared(shape: Shape, state: memoryview) -> bytes:
    """Give a state with sequence id 0 in every cell, without its prefix."""
    data, offset = bytearray(state), 8
    for section in read_state(state, shape.kinds, n_stream=shape.n_stream):
        n, n_rows = len(section.positions), len(section.rows)
        payload = 12 * n_rows + sum(row_bytes for _, row_bytes in section.rows) * n
        if section.kind == "recurrent":
            offset += 20 + payload
            continue
        offset += 8
        for cell in range(n):
            struct.pack_into("<i", data, offset + 12 * cell + 8, 0)
        offset += 12 * n + 8 + payload + 4 * (shape.n_stream - 1)
    assert offset == len(data)
    return bytes(data[8:])


@given(shapes(), st.integers(1, 60), st.integers(1, 60), st.integers(1, 16), st.integers(0, 5))
def prop_states_that_begin_alike_share_their_blocks(
    shape: Shape, n_a: int, n_b: int, block_tokens: int, first_block: int
) -> None:
    a = split(shape, state_of(shape, n_a, seed=1, is_shuffled=False), block_tokens)
    b = split(shape, state_of(shape, n_b, seed=2, is_shuffled=True), block_tokens)
    n_shared = min(len(a.blocks), len(b.blocks))
    assert a.blocks[:n_shared] == b.blocks[:n_shared]
    later = split(shape, state_of(shape, n_a, seed=1, is_shuffled=False), block_tokens, first_block)
    assert later.blocks == a.blocks[first_block:]
    assert later.boundary == a.boundary


@given(shapes(), st.integers(1, 40), st.integers(1, 16), st.data())
def prop_damaged_parts_are_state_errors(
    shape: Shape, n_cells: int, block_tokens: int, data: st.DataObject
) -> None:
    """Flipped, cut, swapped or missing: a StateError, or a state of just that length; never anything else."""
    parts = split(shape, state_of(shape, n_cells, seed=5, is_shuffled=False), block_tokens)
    pieces = [*parts.blocks, *([] if parts.boundary is None else [parts.boundary])]
    at = data.draw(st.integers(0, len(pieces) - 1))
    damaged = bytearray(pieces[at])
    match data.draw(st.sampled_from(["byte", "word", "cut", "drop", "swap"])):
        case "byte":
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        case "word":
            word = data.draw(st.sampled_from([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
            struct.pack_into("<I", damaged, data.draw(st.integers(0, min(len(damaged), 160) - 4)), word)
        case "cut":
            del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
        case "drop":
            pieces[at : at + 1] = []
        case _:
            other = data.draw(st.integers(0, len(pieces) - 1))
            damaged = bytearray(pieces[other])
    if at < len(pieces):
        pieces[at] = memoryview(damaged)
    n_blocks = min(len(parts.blocks), len(pieces))
    blocks, boundary = pieces[:n_blocks], pieces[n_blocks] if n_blocks < len(pieces) else None
    asked: list[int] = []

    def allocate(n_bytes: int) -> memoryview:
        asked.append(n_bytes)
        return memoryview(bytearray(n_bytes))

    try:
        joined = join_state(blocks, boundary, n_stream=shape.n_stream, allocate=allocate)
    except StateError:
        assert not asked
        return
    assert asked == [len(joined)]


@given(st.binary(max_size=300), st.booleans())
def prop_no_bytes_make_the_reader_stumble(data: bytes, is_dressed: bool) -> None:
    dressed = b"ALSP\x01\x00" + data if is_dressed else data
    for read in (read_part, float_rows):
        with pytest.raises(StateError):
            read(memoryview(dressed))
    with pytest.raises(StateError):
        split_state(memoryview(dressed), ("attention",), n_stream=1, block_tokens=4)
