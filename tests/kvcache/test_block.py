"""Blocks and boundaries as values and as bytes."""

import struct
from collections.abc import Mapping

import attrs
import pytest

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache import (
    HEADER_BYTES,
    Block,
    Boundary,
    Buffer,
    Snapshot,
    StoredEntry,
    block_key,
    boundary_key,
    decode,
)
from actorllama.kvcache.meta import Facts, write_facts
from actorllama.kvcache.payload import seal
from tests.kvcache.samples import encoded, state_of

MAC_KEY = b"0123456789abcdef"
ROWS = bytes(range(256)) * 16
BLOCK = Block(parent="0" * 32, tokens=(1, 2, 3), payload=ROWS, worth_s=0.25)
BOUNDARY = Boundary(parent="1" * 32, tail=(4,), payload=ROWS)
EMPTY = Boundary(parent="1" * 32, tail=(), payload=b"")
ENTRIES = [BLOCK, BOUNDARY, EMPTY]
CODECS = ["none", "lz4", "zstd"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_comes_back_as_it_was(entry: Block | Boundary, codec: str) -> None:
    data = encoded(entry, codec=codec)
    assert decode(data) == entry
    assert len(encoded(entry)) == entry.n_bytes
    assert len(data) <= entry.n_bytes + 8


def test_what_a_codec_makes_smaller_is_smaller() -> None:
    assert len(encoded(BLOCK, codec="zstd")) < BLOCK.n_bytes / 2
    assert len(encoded(BLOCK, MAC_KEY, codec="lz4")) < BLOCK.n_bytes / 2
    assert decode(encoded(BLOCK, MAC_KEY, codec="lz4"), mac_key=MAC_KEY) == BLOCK


def test_uncoded_rows_are_neither_copied_out_nor_in() -> None:
    rows = memoryview(bytearray(ROWS)).toreadonly()
    pieces = attrs.evolve(BLOCK, payload=rows).encode()
    assert any(isinstance(piece, memoryview) and piece.obj is rows.obj for piece in pieces)
    data = bytearray(b"".join(pieces))
    read = decode(data)
    assert isinstance(read, Block)
    assert isinstance(read.payload, memoryview)
    assert read.payload.obj is data


def test_a_key_is_of_parent_and_tokens_and_of_nothing_else() -> None:
    assert BLOCK.key == block_key("0" * 32, (1, 2, 3))
    assert BOUNDARY.key == boundary_key("1" * 32, (4,))
    assert attrs.evolve(BLOCK, payload=b"", worth_s=9).key == BLOCK.key
    assert (
        len({BLOCK.key, attrs.evolve(BLOCK, parent="1" * 32).key, attrs.evolve(BLOCK, tokens=(1,)).key}) == 3
    )
    assert (BLOCK.n_tail, BOUNDARY.n_tail) == (0, 1)
    assert BLOCK.has_right_key()
    assert BOUNDARY.has_right_key()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_one_flipped_bit_or_a_cut_at_any_byte_is_found(entry: Block | Boundary, codec: str) -> None:
    data = encoded(attrs.evolve(entry, payload=entry.payload[:200]), codec=codec)
    for offset in range(len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= 1 << offset % 8
        with pytest.raises(SnapshotCorrupt):
            decode(damaged)
        with pytest.raises(SnapshotCorrupt):
            decode(data[:offset])


def test_a_state_of_entries_hangs_together() -> None:
    *blocks, boundary, snapshot = state_of()
    assert isinstance(snapshot, Snapshot)
    assert snapshot.parts == tuple(entry.key for entry in (*blocks, boundary))
    assert (snapshot.parent, boundary.parent) == (boundary.key, blocks[-1].key)
    assert [entry.n_tail for entry in state_of()] == [0, 0, 0, 1, 0]
    assert decode(encoded(snapshot)) == snapshot
    bare = attrs.evolve(snapshot, has_boundary=False)
    assert (bare.key, bare.parent) == (snapshot.key, blocks[-1].key)
    recurrent = attrs.evolve(snapshot, has_blocks=False)
    assert recurrent.parts == (boundary.key,)
    assert decode(encoded(recurrent)) == recurrent


@pytest.mark.parametrize(
    "change",
    [
        {"parent": "x" * 32},
        {"parent": "0" * 31},
        {"tokens": ()},
        {"tokens": (-1,)},
        {"tokens": (1 << 31,)},
        {"worth_s": -1.0},
        {"worth_s": float("nan")},
    ],
)
def test_a_field_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        attrs.evolve(BLOCK, **change)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] (on purpose)


def sealed(entry: StoredEntry, sections: Mapping[str, Buffer], facts: Facts) -> bytes:
    """Write a file whose digests hold, whatever is in it."""
    return b"".join(seal(entry.key, sections, facts, mac_key=None))


GOOD: Facts = {"codec": "none", "kind": "block", "parent": "0" * 32, "raw_bytes": 4096, "worth_s": 0.25}
TOKENS = struct.pack("<3i", 1, 2, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"parent": "2" * 32},
        {"parent": None},
        {"kind": "boundary"},
        {"raw_bytes": 4095},
        {"raw_bytes": True},
        {"codec": "lz4"},
        {"codec": "lz4", "raw_bytes": 5000},
        {"codec": "zstd", "raw_bytes": 5000},
        {"worth_s": 1},
        {"other": 1},
    ],
)
def test_content_that_no_block_has_is_refused_though_its_digests_hold(change: Facts) -> None:
    sections = {"TOKN": TOKENS, "KVST": ROWS}
    assert sealed(BLOCK, sections, GOOD) == encoded(BLOCK)
    with pytest.raises(SnapshotCorrupt) as caught:
        decode(sealed(BLOCK, sections, {**GOOD, **change}))
    assert caught.value.section == "content"


def test_a_section_that_a_block_does_not_have_is_refused() -> None:
    with pytest.raises(SnapshotCorrupt):
        decode(sealed(BLOCK, {"TOKN": TOKENS, "KVST": ROWS, "SMPL": b"x"}, GOOD))


def test_a_codec_that_is_not_known_here_is_no_damage() -> None:
    with pytest.raises(SnapshotMismatch, match="codecs"):
        decode(sealed(BLOCK, {"TOKN": TOKENS, "KVST": ROWS}, {**GOOD, "codec": "later"}))


def test_a_payload_that_would_outgrow_the_limit_is_not_decoded() -> None:
    data = encoded(BLOCK, codec="zstd")
    assert decode(data, limit_bytes=4096) == BLOCK
    with pytest.raises(SnapshotMismatch, match="at most 4095"):
        decode(data, limit_bytes=4095)


def test_facts_have_one_form() -> None:
    assert write_facts({"b": 1, "a": None}) == b'{"a":null,"b":1}'
    assert len(encoded(EMPTY)) > HEADER_BYTES


def test_the_words_of_a_user_are_not_in_the_repr() -> None:
    assert "<3 tokens>" in repr(BLOCK)
    assert "<4096 bytes>" in repr(BLOCK)
    assert "(4,)" not in repr(BOUNDARY)
