"""Codecs give back what they were given, or say that they cannot."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray

from actorllama.kvcache.codec import CODECS, codec_named
from actorllama.kvcache.codec_chunks import CHUNK_BYTES
from actorllama.kvcache.codec_span import RowSpan

LOSSLESS = ("none", "lz4", "zstd")
ENCODING = ("lz4", "zstd", "q8")


def noise(n_bytes: int) -> bytes:
    return np.random.default_rng(7).bytes(n_bytes)


def smooth(n_values: int) -> bytes:
    return np.random.default_rng(7).standard_normal(n_values).astype(np.float16).tobytes()


def whole(data: bytes, element: str = "f16") -> list[RowSpan]:
    return [RowSpan(offset=0, n_bytes=len(data), element="f16" if element == "f16" else "f32")]


def halves(data: bytes | memoryview) -> NDArray[np.float32]:
    return np.frombuffer(data, dtype=np.float16).astype(np.float32)


def packed(values: NDArray[np.float64], element: str) -> bytes:
    return (values.astype(np.float16) if element == "f16" else values.astype(np.float32)).tobytes()


def unpacked(data: bytes | memoryview, element: str) -> NDArray[np.float64]:
    if element == "f16":
        return np.frombuffer(data, dtype=np.float16).astype(np.float64)
    return np.frombuffer(data, dtype=np.float32).astype(np.float64)


def lz4_block(data: bytes) -> bytes:
    """Take the block out of what the codec makes."""
    return bytes(codec_named("lz4").encode(data)[20:])


# -- all of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_knows_its_name(name: str) -> None:
    assert codec_named(name).name == name


@pytest.mark.parametrize("name", CODECS)
def test_only_q8_is_lossy(name: str) -> None:
    assert codec_named(name).is_lossy == (name == "q8")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="choose one of none, lz4, zstd, q8"):
        codec_named("gzip")


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    "n_bytes", [0, 1, 2, 3, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 7]
)
def test_without_spans_every_codec_gives_back_the_very_bytes(name: str, n_bytes: int) -> None:
    codec = codec_named(name)
    for data in (noise(n_bytes), bytes(n_bytes)):
        decoded = codec.decode(codec.encode(data), n_bytes=n_bytes)
        assert bytes(decoded) == data


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_takes_a_read_only_view_at_an_odd_address(name: str) -> None:
    data = memoryview(noise(1001))[1:]
    codec = codec_named(name)
    spans = [RowSpan(offset=3, n_bytes=64, element="f16")] if name == "q8" else []
    encoded = memoryview(b"." + bytes(codec.encode(data, spans=spans)))[1:]
    assert len(codec.decode(encoded, n_bytes=1000)) == 1000


@pytest.mark.parametrize("name", CODECS)
def test_decoding_fills_the_memory_it_is_given(name: str) -> None:
    data = smooth(5000)
    codec = codec_named(name)
    target = memoryview(bytearray(len(data)))
    decoded = codec.decode(codec.encode(data), n_bytes=len(data), into=target)
    assert bytes(target) == data
    assert np.shares_memory(np.frombuffer(decoded, np.uint8), np.frombuffer(target, np.uint8))


@pytest.mark.parametrize("name", CODECS)
def test_memory_of_another_size_is_refused(name: str) -> None:
    codec = codec_named(name)
    with pytest.raises(ValueError):
        codec.decode(codec.encode(b"abcd"), n_bytes=4, into=memoryview(bytearray(5)))


@pytest.mark.parametrize("name", ENCODING)
def test_memory_that_cannot_be_written_is_refused(name: str) -> None:
    codec = codec_named(name)
    with pytest.raises(ValueError, match="cannot be written"):
        codec.decode(codec.encode(b"abcd"), n_bytes=4, into=memoryview(bytes(4)))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("n_bytes", [0, 99, 101, 1 << 40])
def test_another_number_of_bytes_is_refused(name: str, n_bytes: int) -> None:
    codec = codec_named(name)
    with pytest.raises(ValueError):
        codec.decode(codec.encode(noise(100)), n_bytes=n_bytes)


@pytest.mark.parametrize("name", ENCODING)
def test_the_encoding_of_another_codec_is_refused(name: str) -> None:
    for other in ENCODING:
        if other != name:
            with pytest.raises(ValueError, match="these are not"):
                codec_named(name).decode(codec_named(other).encode(bytes(4096)), n_bytes=4096)


@pytest.mark.parametrize("name", ENCODING)
def test_every_truncation_is_refused(name: str) -> None:
    codec = codec_named(name)
    data = bytes(64) + noise(100)
    encoded = bytes(codec.encode(data, spans=[RowSpan(offset=0, n_bytes=64, element="f32")]))
    for end in range(len(encoded)):
        with pytest.raises(ValueError):
            codec.decode(encoded[:end], n_bytes=len(data))


@pytest.mark.parametrize("name", ENCODING)
def test_trailing_bytes_are_refused(name: str) -> None:
    codec = codec_named(name)
    encoded = bytes(codec.encode(bytes(5000)))
    with pytest.raises(ValueError):
        codec.decode(encoded + b"x", n_bytes=5000)


# -- none, lz4, zstd ---------------------------------------------------------------------------------


def test_none_hands_the_bytes_on_without_a_copy() -> None:
    data = noise(10)
    codec = codec_named("none")
    assert codec.encode(data) is data
    assert codec.decode(data, n_bytes=10) is data


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_what_does_not_shrink_costs_a_header_and_four_bytes_a_chunk(name: str) -> None:
    data = noise(2 * CHUNK_BYTES + 5)
    assert len(codec_named(name).encode(data)) == 16 + 3 * 4 + len(data)


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_what_repeats_shrinks(name: str) -> None:
    assert len(codec_named(name).encode(b"abcdefgh" * 10_000)) < 2_000


def test_sorting_bytes_by_significance_is_what_makes_zstd_work_on_f16() -> None:
    data = smooth(200_000)
    unsorted = zstandard.ZstdCompressor(level=1).compress(data)
    assert len(codec_named("zstd").encode(data)) < 0.95 * len(unsorted)


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_a_bomb_allocates_no_more_than_was_asked_for(name: str) -> None:
    codec = codec_named(name)
    bomb = bytearray(codec.encode(bytes(8 << 20)))
    struct.pack_into("<Q", bomb, 8, 4096)  # the header now agrees with a caller who expects a page
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            codec.decode(bytes(bomb), n_bytes=4096)
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


def test_a_frame_that_claims_more_than_its_chunk_is_refused_unopened() -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    forged = struct.pack("<4sIQI", b"ALz1", CHUNK_BYTES, 100, len(frame)) + frame
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="does not hold 100 bytes"):
            codec_named("zstd").decode(forged, n_bytes=100)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_a_huge_claim_over_few_bytes_is_refused_before_memory_is_taken(name: str) -> None:
    tag = {"lz4": b"ALl1", "zstd": b"ALz1"}[name]
    forged = struct.pack("<4sIQ", tag, CHUNK_BYTES, 1 << 46)
    with pytest.raises(ValueError, match="too few"):
        codec_named(name).decode(forged, n_bytes=1 << 46)


@pytest.mark.parametrize("chunk_bytes", [0, 1, 4095, (1 << 24) + 1])
def test_chunks_of_an_absurd_size_are_refused(chunk_bytes: int) -> None:
    forged = struct.pack("<4sIQ", b"ALl1", chunk_bytes, 10) + b"." * 40
    with pytest.raises(ValueError, match="chunks of"):
        codec_named("lz4").decode(forged, n_bytes=10)


def test_a_stored_chunk_of_the_wrong_length_is_refused() -> None:
    forged = struct.pack("<4sIQI", b"ALl1", CHUNK_BYTES, 10, 9 | 1 << 31) + b"." * 9
    with pytest.raises(ValueError, match="stored"):
        codec_named("lz4").decode(forged, n_bytes=10)


def test_a_length_cut_off_is_refused() -> None:
    chunk = struct.pack("<I", CHUNK_BYTES | 1 << 31) + bytes(CHUNK_BYTES)
    head = struct.pack("<4sIQ", b"ALl1", CHUNK_BYTES, 2 * CHUNK_BYTES)
    with pytest.raises(ValueError, match="end too early"):
        codec_named("lz4").decode(head + chunk + b"...", n_bytes=2 * CHUNK_BYTES)


def test_a_block_that_holds_less_than_its_chunk_is_refused() -> None:
    block = lz4_block(bytes(50))
    forged = struct.pack("<4sIQI", b"ALl1", CHUNK_BYTES, 60, len(block)) + block
    with pytest.raises(ValueError, match="holds 50 bytes, not 60"):
        codec_named("lz4").decode(forged, n_bytes=60)


def test_a_frame_damaged_inside_is_refused() -> None:
    frame = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(smooth(50) * 2))
    frame[-10] ^= 0xFF
    forged = struct.pack("<4sIQI", b"ALz1", CHUNK_BYTES, 200, len(frame)) + frame
    with pytest.raises(ValueError, match="no zstd frame"):
        codec_named("zstd").decode(forged, n_bytes=200)


# -- q8 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_values", [1, 31, 32, 33, 65_535, 65_536, 65_537, 200_001])
def test_each_value_comes_back_within_half_a_scale(n_values: int) -> None:
    data = smooth(n_values)
    codec = codec_named("q8")
    encoded = codec.encode(data, spans=whole(data))
    decoded = codec.decode(encoded, n_bytes=len(data))
    before, after = halves(data), halves(bytes(decoded))
    padded = np.zeros(-(-n_values // 32) * 32, dtype=np.float32)
    padded[:n_values] = np.abs(before)
    largest = np.repeat(padded.reshape(-1, 32).max(axis=1), 32)[:n_values]
    # half a step of the scale as rounded up, and half a step of f16 for the result
    assert (np.abs(after - before) <= largest * (1 / 254 * (1 + 2**-9) + 2**-11) + 1e-7).all()


def test_f16_shrinks_to_17_of_32_and_f32_to_9_of_32() -> None:
    half, single = smooth(32_000), np.ones(32_000, dtype=np.float32).tobytes()
    codec = codec_named("q8")
    head_bytes = 16 + 17
    assert len(codec.encode(half, spans=whole(half))) == head_bytes + len(half) * 17 // 32
    assert len(codec.encode(single, spans=whole(single, "f32"))) == head_bytes + len(single) * 9 // 32


def test_what_no_span_covers_is_kept_exactly() -> None:
    data = noise(100) + smooth(64) + noise(33) + smooth(32) + noise(5)
    spans = [
        RowSpan(offset=100, n_bytes=128, element="f16"),
        RowSpan(offset=261, n_bytes=64, element="f16"),
    ]
    codec = codec_named("q8")
    decoded = bytes(codec.decode(codec.encode(data, spans=spans), n_bytes=len(data)))
    for first, end in ((0, 100), (228, 261), (325, 330)):
        assert decoded[first:end] == data[first:end]
    assert decoded[100:228] != data[100:228]


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("element", ["f16", "f32"])
def test_a_span_with_a_value_that_is_no_finite_number_is_kept_exactly(odd: float, element: str) -> None:
    values = np.linspace(-1, 1, 70_000)
    values[69_000] = odd
    data = packed(values, element)
    codec = codec_named("q8")
    spans = whole(data, element)
    assert bytes(codec.decode(codec.encode(data, spans=spans), n_bytes=len(data))) == data


@pytest.mark.parametrize(("element", "signalling"), [("f16", "017c"), ("f16", "01fc"), ("f32", "0100807f")])
def test_a_signalling_nan_is_kept_exactly_and_complained_of_by_nobody(element: str, signalling: str) -> None:
    data = bytes(256) + bytes.fromhex(signalling) + bytes(64)
    codec = codec_named("q8")
    assert bytes(codec.decode(codec.encode(data, spans=whole(data, element)), n_bytes=len(data))) == data


@pytest.mark.parametrize(
    ("element", "extremes"),
    [
        ("f16", (65504.0, -65504.0, 2.0**-24, 2.0**-14, 0.0)),
        ("f32", (float.fromhex("0x1.fffffep127"), float.fromhex("-0x1.fffffep127"), 2.0**-149, 0.0)),
    ],
)
def test_the_largest_and_the_smallest_numbers_stay_finite(element: str, extremes: tuple[float, ...]) -> None:
    for extreme in extremes:
        data = packed(np.full(40, extreme), element)
        codec = codec_named("q8")
        decoded = codec.decode(codec.encode(data, spans=whole(data, element)), n_bytes=len(data))
        after = unpacked(decoded, element)
        assert np.isfinite(after).all()
        assert float(np.abs(after - extreme).max()) <= abs(extreme) * 2**-7 + 1e-7


@pytest.mark.parametrize(
    "spans",
    [
        [RowSpan(offset=0, n_bytes=3, element="f16")],
        [RowSpan(offset=0, n_bytes=6, element="f32")],
        [RowSpan(offset=-2, n_bytes=4, element="f16")],
        [RowSpan(offset=8, n_bytes=-2, element="f16")],
        [RowSpan(offset=60, n_bytes=8, element="f16")],
        [RowSpan(offset=0, n_bytes=8, element="f16"), RowSpan(offset=6, n_bytes=8, element="f16")],
        [RowSpan(offset=8, n_bytes=8, element="f16"), RowSpan(offset=0, n_bytes=8, element="f16")],
    ],
)
def test_spans_that_cannot_be_are_refused(spans: list[RowSpan]) -> None:
    with pytest.raises(ValueError, match="span"):
        codec_named("q8").encode(bytes(64), spans=spans)


def test_a_kind_of_number_that_cannot_be_encoded_is_refused() -> None:
    span = RowSpan(offset=0, n_bytes=4, element="bf16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only f16 and f32"):
        codec_named("q8").encode(bytes(64), spans=[span])


def test_an_empty_span_is_as_none() -> None:
    span = RowSpan(offset=4, n_bytes=0, element="f32")
    assert codec_named("q8").encode(bytes(8), spans=[span]) == codec_named("q8").encode(bytes(8))


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0])
def test_a_scale_that_no_encoder_writes_is_refused(scale: float) -> None:
    codec = codec_named("q8")
    encoded = bytearray(codec.encode(bytes(64), spans=[RowSpan(offset=0, n_bytes=64, element="f16")]))
    encoded[33:35] = np.float16(scale).tobytes()
    with pytest.raises(ValueError, match="scale"):
        codec.decode(bytes(encoded), n_bytes=64)


@pytest.mark.parametrize("row", [(0, 64, 9), (0, 63, 1), (0, 0, 0), (60, 8, 1), (0, 1 << 62, 1)], ids=str)
def test_a_table_of_spans_that_no_encoder_writes_is_refused(row: tuple[int, int, int]) -> None:
    forged = struct.pack("<4sIQQQB", b"ALq1", 1, 64, *row) + bytes(66)
    with pytest.raises(ValueError):
        codec_named("q8").decode(forged, n_bytes=64)
