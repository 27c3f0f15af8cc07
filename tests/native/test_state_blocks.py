"""A state cut into blocks and joined is the state, and parts that do not fit together are refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from actorllama.errors import StateError
from actorllama.native import (
    ContextOptions,
    ModelOptions,
    StateParts,
    StepBatch,
    float_rows,
    join_state,
    section_kinds,
    split_state,
)
from actorllama.native.llama import LlamaBackend
from actorllama.native.state_layout import read_state
from actorllama.testing.random_models import write_random_model

N_CELLS = 70
BLOCK = 16
FAMILIES = ("llama", "gemma3", "mamba", "jamba")
CASES = [(family, is_flash) for family in FAMILIES for is_flash in (False, True)]


class Saved:
    """A real state of a tiny model of one family."""

    def __init__(self, path: Path, *, is_flash: bool = False, type_k: str = "f16") -> None:
        model = LlamaBackend().load(path, ModelOptions(), lambda _fraction: True)
        options = ContextOptions(
            n_seq=3, ctx_per_seq=256, n_threads=1, flash_attention=is_flash, type_k=type_k
        )
        context = model.open_context(options)
        tokens = [5 + index % 50 for index in range(N_CELLS)]
        context.decode(
            StepBatch(tokens=tokens, positions=range(N_CELLS), seq_ids=[1] * N_CELLS, outputs=[N_CELLS - 1])
        )
        buffer = bytearray(context.state_bytes(1))
        context.get_state(1, memoryview(buffer))
        self.data = memoryview(bytes(buffer))
        self.kinds = section_kinds(model.facts)
        self.is_pure_attention = self.kinds == ("attention",)
        context.close()
        model.close()

    def split(self, *, block_tokens: int = BLOCK, first_block: int = 0) -> StateParts:
        return split_state(
            self.data, self.kinds, n_stream=3, block_tokens=block_tokens, first_block=first_block
        )

    def join(self, blocks: tuple[memoryview, ...], boundary: memoryview | None) -> memoryview:
        return join_state(blocks, boundary, n_stream=3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: write_random_model(root / f"{family}.gguf", family, seed=1) for family in FAMILIES}


@pytest.fixture(scope="module", params=CASES, ids=str)
def saved(request: pytest.FixtureRequest, paths: dict[str, Path]) -> Saved:
    family, is_flash = request.param
    return Saved(paths[family], is_flash=is_flash)


# -- there and back --------------------------------------------------------------------------------


@pytest.mark.parametrize("block_tokens", [1, 7, 35, 64, 70, 71])
def test_what_is_joined_holds_what_was_split(saved: Saved, block_tokens: int) -> None:
    parts = saved.split(block_tokens=block_tokens)
    joined = saved.join(parts.blocks, parts.boundary)
    assert len(joined) == len(saved.data)
    assert read_state(joined, saved.kinds, n_stream=3) == read_state(saved.data, saved.kinds, n_stream=3)
    again = split_state(joined, saved.kinds, n_stream=3, block_tokens=block_tokens)
    assert (again.blocks, again.boundary) == (parts.blocks, parts.boundary)
    assert parts.n_cells == N_CELLS


def test_the_number_of_sequences_does_not_matter(saved: Saved) -> None:
    parts = saved.split()
    for n_stream in (1, 2, 64):
        joined = join_state(parts.blocks, parts.boundary, n_stream=n_stream)
        again = split_state(joined, saved.kinds, n_stream=n_stream, block_tokens=BLOCK)
        assert (again.blocks, again.boundary) == (parts.blocks, parts.boundary)


def test_a_state_of_one_stream_is_joined_to_the_last_byte(paths: dict[str, Path]) -> None:
    saved = Saved(paths["llama"])
    parts = saved.split()
    one = join_state(parts.blocks, parts.boundary, n_stream=1)
    three = saved.join(parts.blocks, parts.boundary)
    assert one[:8] == three[:8]
    assert bytes(one[16:]) == bytes(three[16 : len(three) - 8])
    cells_at_stream_1 = 8 + 4 + 8
    assert bytes(one[16 + 12 * N_CELLS :]) == bytes(saved.data[cells_at_stream_1 + 12 * N_CELLS : -4])


def test_only_full_blocks_are_blocks_and_the_rest_is_in_the_boundary(saved: Saved) -> None:
    parts = saved.split()
    n_full, n_tail = divmod(N_CELLS, BLOCK)
    assert n_tail
    assert len(parts.blocks) == (0 if saved.kinds == ("recurrent",) else n_full)
    assert len({len(block) for block in parts.blocks}) <= 1
    whole = saved.split(block_tokens=N_CELLS)
    assert (whole.boundary is None) == saved.is_pure_attention


def test_blocks_that_are_stored_already_are_not_made_again(saved: Saved) -> None:
    parts = saved.split()
    for first_block in (1, 3, 4, 99):
        later = saved.split(first_block=first_block)
        assert later.blocks == parts.blocks[first_block:]
        assert later.boundary == parts.boundary
        assert later.first_block == first_block


def test_memory_may_be_given_for_both_ways(saved: Saved) -> None:
    given: list[memoryview] = []

    def allocate(n_bytes: int) -> memoryview:
        given.append(memoryview(bytearray(n_bytes)))
        return given[-1]

    parts = split_state(saved.data, saved.kinds, n_stream=3, block_tokens=BLOCK, allocate=allocate)
    ends = [] if parts.boundary is None else [parts.boundary]
    assert [*parts.blocks, *ends] == given
    given.clear()
    joined = join_state(parts.blocks, parts.boundary, n_stream=3, allocate=allocate)
    assert joined == saved.join(parts.blocks, parts.boundary) == given[0]
    given[0][8] ^= 1
    assert joined[8] == given[0][8]


def test_memory_that_is_given_may_be_larger_and_hold_anything(saved: Saved) -> None:
    parts = saved.split()

    def allocate(n_bytes: int) -> memoryview:
        return memoryview(bytearray(b"\xa5" * (n_bytes + 5)))

    again = split_state(saved.data, saved.kinds, n_stream=3, block_tokens=BLOCK, allocate=allocate)
    assert (again.blocks, again.boundary) == (parts.blocks, parts.boundary)
    joined = join_state(parts.blocks, parts.boundary, n_stream=3, allocate=allocate)
    assert joined == saved.join(parts.blocks, parts.boundary)


def test_cells_in_any_order_give_the_same_parts(saved: Saved) -> None:
    """As llama.cpp writes them where a sequence took cells here and there."""
    joined = saved.join(saved.split().blocks, saved.split().boundary)
    sections = read_state(joined, saved.kinds, n_stream=3)
    if sections[0].kind != "attention":
        return
    shuffled = np.frombuffer(joined, np.uint8).copy()
    order = np.random.Generator(np.random.SFC64(4)).permutation(N_CELLS)
    offset = 8 + 8

    def permute(shape: tuple[int, ...], axis: int) -> None:
        nonlocal offset
        n = int(np.prod(shape))
        piece = shuffled[offset : offset + n].reshape(shape)
        piece[...] = np.take(piece, order, axis=axis)
        offset += n

    permute((N_CELLS, 12), 0)
    offset += 8
    n_layer = len(sections[0].rows) // 2
    for index, (_, row_bytes) in enumerate(sections[0].rows):
        offset += 12
        if sections[0].is_v_transposed and index >= n_layer:
            permute((row_bytes // 2, N_CELLS, 2), 1)
        else:
            permute((N_CELLS, row_bytes), 0)
    assert not np.array_equal(shuffled, np.frombuffer(joined, np.uint8))
    again = split_state(shuffled.data, saved.kinds, n_stream=3, block_tokens=BLOCK)
    parts = saved.split()
    assert (again.blocks, again.boundary) == (parts.blocks, parts.boundary)


def test_blocks_alone_are_a_state_of_pure_attention_and_of_nothing_else(saved: Saved) -> None:
    parts = saved.split()
    for n in range(1, len(parts.blocks) + 1):
        if saved.is_pure_attention:
            joined = saved.join(parts.blocks[:n], None)
            assert read_state(joined, saved.kinds, n_stream=3)[0].positions == tuple(range(n * BLOCK))
        else:
            with pytest.raises(StateError, match="missing"):
                saved.join(parts.blocks[:n], None)
    with pytest.raises(StateError, match="missing"):
        saved.join((), None)


# -- parts that do not fit together ----------------------------------------------------------------


def refused(saved: Saved, blocks: tuple[memoryview, ...], boundary: memoryview | None) -> None:
    with pytest.raises(StateError, match=r"join_state refused.*compute the prefix again"):
        saved.join(blocks, boundary)


def test_a_gap_another_order_and_a_wrong_place_are_refused(paths: dict[str, Path]) -> None:
    for family in ("llama", "gemma3", "jamba"):
        saved = Saved(paths[family])
        parts = saved.split()
        assert parts.boundary is not None
        a, b, c, d = parts.blocks
        for blocks in [(b, a, c, d), (a, c, d), (a, b, c), (b, c, d), (a, a, b, c), (a, b, c, d, d), ()]:
            refused(saved, blocks, parts.boundary)
        refused(saved, (a, b, c, d, parts.boundary), parts.boundary)
        refused(saved, (parts.boundary,), None)
        refused(saved, (a, b, c), d)
        refused(saved, (a, b, c, d), saved.split(block_tokens=60).boundary)
        # A boundary that is longer than a block belongs to longer blocks.
        refused(saved, saved.split(block_tokens=10).blocks[:6], saved.split(block_tokens=60).boundary)


def test_parts_of_another_layout_or_family_are_refused(paths: dict[str, Path]) -> None:
    base = Saved(paths["llama"]).split()
    others = [
        Saved(paths["llama"], is_flash=True),
        Saved(paths["llama"], type_k="q8_0"),
        Saved(paths["gemma3"]),
        Saved(paths["jamba"]),
        Saved(paths["mamba"]),
    ]
    for other in others:
        parts = other.split()
        refused(other, base.blocks, parts.boundary)
        if parts.blocks:
            refused(other, parts.blocks, base.boundary)
            refused(other, (*base.blocks[:2], *parts.blocks[2:]), parts.boundary)


def test_a_part_cut_or_lengthened_is_refused(saved: Saved) -> None:
    parts = saved.split()
    assert parts.boundary is not None
    for index in range(len(parts.blocks) + 1):
        part = [*parts.blocks, parts.boundary][index]
        lengths = {*range(0, min(len(part), 400), 3), len(part) // 2, len(part) - 1}
        for damaged in [*(part[:n] for n in sorted(lengths)), memoryview(bytes(part) + b"\0")]:
            changed = [*parts.blocks, parts.boundary]
            changed[index] = damaged
            refused(saved, tuple(changed[:-1]), changed[-1])


def test_no_flipped_bit_in_a_header_is_accepted_or_crashes(saved: Saved) -> None:
    parts = saved.split()
    assert parts.boundary is not None
    want = saved.join(parts.blocks, parts.boundary)
    for index in {0, len(parts.blocks)}:
        whole = [*parts.blocks, parts.boundary]
        header_bytes = struct.unpack_from("<I", whole[index], 8)[0]
        for bit in range(8 * header_bytes):
            damaged = bytearray(whole[index])
            damaged[bit // 8] ^= 1 << bit % 8
            changed = list(whole)
            changed[index] = memoryview(damaged)
            try:
                joined = saved.join(tuple(changed[:-1]), changed[-1])
            except StateError:
                continue
            assert joined != want  # another type or another row: what the context refuses


def patched(offset: int, form: str, *values: int) -> Callable[[memoryview], memoryview]:
    def patch(part: memoryview) -> memoryview:
        damaged = bytearray(part)
        struct.pack_into(form, damaged, offset, *values)
        return memoryview(damaged)

    return patch


def test_claims_without_sense_are_refused_before_anything_is_allocated(paths: dict[str, Path]) -> None:
    """Small pieces that agree with themselves: the sums that a reader could believe."""
    head, section, row = struct.Struct("<4sHBBIIIQ"), struct.Struct("<BBHIII"), struct.Struct("<IIQ")

    def piece(
        *, flags: int, first: int, n_tokens: int, kind: int, v: int, n_layer: int, rows: list[tuple[int, int]]
    ) -> memoryview:
        n_cells = 1 if kind == 2 else n_tokens
        n_bytes = 128 + sum(max(elements, 1) * unit for elements, unit in rows) * n_cells
        data = bytearray(n_bytes)
        head.pack_into(data, 0, b"ALSP", 1, flags, 1, 128, first, n_tokens, n_bytes)
        section.pack_into(data, head.size, kind, v, 0, n_layer, n_cells, len(rows))
        for index, (elements, unit) in enumerate(rows):
            row.pack_into(data, head.size + section.size + index * row.size, 1, elements, unit)
        return memoryview(data)

    plain = [(0, 4), (0, 4)]
    good = piece(flags=0, first=0, n_tokens=3, kind=0, v=0, n_layer=1, rows=plain)
    assert len(join_state([good], None, n_stream=1)) == 8 + 8 + 36 + 8 + 2 * (12 + 12)
    for bad in (
        piece(flags=0, first=0, n_tokens=0, kind=0, v=0, n_layer=1, rows=plain),
        piece(flags=1, first=0, n_tokens=0, kind=0, v=0, n_layer=1, rows=plain),
        piece(flags=1, first=2**31 - 2, n_tokens=3, kind=0, v=0, n_layer=1, rows=plain),
        piece(flags=0, first=0, n_tokens=2**31 - 1, kind=0, v=0, n_layer=1, rows=[(0, 0), (0, 0)]),
        piece(flags=0, first=0, n_tokens=3, kind=0, v=0, n_layer=0, rows=plain),
        piece(flags=0, first=0, n_tokens=3, kind=0, v=0, n_layer=3, rows=plain),
        piece(flags=0, first=0, n_tokens=3, kind=0, v=1, n_layer=1, rows=plain),
        piece(flags=0, first=0, n_tokens=3, kind=0, v=0, n_layer=1, rows=[(0, 4), (2, 2)]),
        piece(flags=0, first=0, n_tokens=3, kind=1, v=0, n_layer=1, rows=plain),
        piece(flags=3, first=5, n_tokens=0, kind=1, v=0, n_layer=1, rows=plain),
        piece(flags=3, first=0, n_tokens=3, kind=2, v=1, n_layer=1, rows=plain),
        piece(flags=1, first=0, n_tokens=3, kind=2, v=0, n_layer=1, rows=plain),
    ):
        with pytest.raises(StateError):
            join_state([], bad, n_stream=1)
        with pytest.raises(StateError):
            join_state([bad], None, n_stream=1)
    saved = Saved(paths["gemma3"])
    boundary = saved.split().boundary
    assert boundary is not None
    jamba = Saved(paths["jamba"])
    state_of_jamba = jamba.split().boundary
    assert state_of_jamba is not None
    n_rows = struct.unpack_from("<I", state_of_jamba, head.size + 12)[0]
    # Recurrent rows that claim to be two cells.
    refused(
        jamba,
        jamba.split().blocks,
        patched(head.size + section.size + row.size * n_rows + 8, "<I", 2)(state_of_jamba),
    )
    window_at = head.size + section.size + row.size * struct.unpack_from("<I", boundary, head.size + 12)[0]
    for patch in (
        patched(window_at, "<B", 0),  # two attention sections
        patched(window_at, "<B", 3),
        patched(window_at + 8, "<I", 0),
        patched(window_at + 12, "<I", 2**32 - 1),
        patched(8, "<I", 2**32 - 1),
    ):
        refused(saved, saved.split().blocks, patch(boundary))


def test_a_state_that_is_none_is_not_split(saved: Saved) -> None:
    for data in (b"", b"\0" * 64, saved.data[:-1], bytes(saved.data) + b"\0"):
        with pytest.raises(StateError):
            split_state(memoryview(data), saved.kinds, n_stream=3, block_tokens=BLOCK)
    if saved.kinds != ("recurrent",):  # which knows no streams
        with pytest.raises(StateError, match="streams"):
            split_state(saved.data, saved.kinds, n_stream=2, block_tokens=BLOCK)


def test_a_state_with_a_hole_is_not_split(saved: Saved) -> None:
    at = bytes(saved.data).index(struct.pack("<i", N_CELLS - 1), 8)
    for position in (N_CELLS + 3, -1, 2**31 - 1):
        damaged = bytearray(saved.data)
        struct.pack_into("<i", damaged, at, position)
        if saved.kinds == ("recurrent",) and position > 0:
            continue  # its one position is all it knows
        with pytest.raises(StateError, match="positions"):
            split_state(memoryview(damaged), saved.kinds, n_stream=3, block_tokens=BLOCK)


def test_arguments_out_of_bounds_are_a_mistake_of_the_caller(saved: Saved) -> None:
    for block_tokens, first_block in ((0, 0), (-1, 0), (4, -1)):
        with pytest.raises(ValueError, match="blocks of"):
            saved.split(block_tokens=block_tokens, first_block=first_block)
    parts = saved.split()
    with pytest.raises(ValueError, match="streams"):
        join_state(parts.blocks, parts.boundary, n_stream=0)


# -- what a lossy codec may touch ------------------------------------------------------------------


def test_the_numbers_of_a_part_are_its_keys_and_values(saved: Saved) -> None:
    parts = saved.split()
    assert parts.boundary is not None
    for part in (*parts.blocks, parts.boundary):
        runs = float_rows(part)
        assert all(run.element == "f16" and run.n_bytes > 0 for run in runs)
        assert all(a.offset + a.n_bytes <= b.offset for a, b in pairwise(runs))
    for block in parts.blocks:
        runs = float_rows(block)
        assert runs[0].offset == len(block) - sum(run.n_bytes for run in runs)
    assert (float_rows(parts.boundary) == ()) == (saved.kinds == ("recurrent",))


def test_quantised_keys_are_no_numbers(paths: dict[str, Path]) -> None:
    plain, quantised = Saved(paths["llama"]).split(), Saved(paths["llama"], type_k="q8_0").split()
    assert len(float_rows(quantised.blocks[0])) == len(float_rows(plain.blocks[0])) // 2
