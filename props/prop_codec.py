"""Laws of the codecs: nothing is lost, and damage is an error of one kind or bytes of the right number."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actorllama.kvcache.codec import CODECS, codec_named
from actorllama.kvcache.codec_span import ElementKind, RowSpan

_ELEMENTS: tuple[ElementKind, ...] = ("f16", "f32")
_LOSSLESS = st.sampled_from(["none", "lz4", "zstd"])


def _repeated(piece: bytes, n_times: int) -> bytes:
    return piece * n_times


_DATA = st.one_of(st.binary(max_size=600), st.builds(_repeated, st.binary(max_size=40), st.integers(0, 400)))


@st.composite
def spans_in(draw: st.DrawFn, n_bytes: int) -> list[RowSpan]:
    """Draw ascending spans with gaps of any size between them."""
    spans: list[RowSpan] = []
    end = 0
    for _span in range(draw(st.integers(0, 4))):
        element = draw(st.sampled_from(_ELEMENTS))
        size = 2 if element == "f16" else 4
        offset = end + draw(st.integers(0, 9))
        if offset > n_bytes:
            break
        length = draw(st.integers(0, (n_bytes - offset) // size)) * size
        spans.append(RowSpan(offset=offset, n_bytes=length, element=element))
        end = offset + length
    return spans


@given(_LOSSLESS, _DATA)
def prop_what_a_lossless_codec_encoded_comes_back(name: str, data: bytes) -> None:
    codec = codec_named(name)
    assert bytes(codec.decode(codec.encode(data), n_bytes=len(data))) == data


@given(_DATA, st.data())
def prop_q8_changes_finite_values_a_little_and_all_else_not_at_all(data: bytes, draw: st.DataObject) -> None:
    spans = draw.draw(spans_in(len(data)))
    codec = codec_named("q8")
    decoded = bytes(codec.decode(codec.encode(data, spans=spans), n_bytes=len(data)))
    assert len(decoded) == len(data)
    end = 0
    for span in spans:
        assert decoded[end : span.offset] == data[end : span.offset]
        end = span.end
        _check_span(data[span.offset : end], decoded[span.offset : end], span.element)
    assert decoded[end:] == data[end:]


def _check_span(before: bytes, after: bytes, element: ElementKind) -> None:
    dtype = np.float16 if element == "f16" else np.float32
    raw_old, raw_new = np.frombuffer(before, dtype=dtype), np.frombuffer(after, dtype=dtype)
    if not np.isfinite(raw_old).all():  # asked before widening, which complains of a signalling NaN
        assert after == before
        return
    assert np.isfinite(raw_new).all()
    old, new = raw_old.astype(np.float64), raw_new.astype(np.float64)
    floor = 1e-7 if element == "f16" else 1e-43  # where scales themselves are subnormal
    for first in range(0, len(old), 32):
        block, back = old[first : first + 32], new[first : first + 32]
        bound = np.abs(block).max() * (1 / 254 * (1 + 2**-9) + 2**-11) + floor
        assert np.abs(block - back).max() <= bound


@given(st.sampled_from(CODECS), st.binary(max_size=200), st.integers(0, 300))
def prop_arbitrary_bytes_are_refused_or_give_the_number_of_bytes_asked_for(
    name: str, data: bytes, n_bytes: int
) -> None:
    _decode_or_refuse(name, data, n_bytes)


@given(
    st.sampled_from(CODECS),
    _DATA,
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4),
    st.sampled_from(["set", "cut", "insert"]),
    st.data(),
)
def prop_damage_is_refused_or_gives_the_number_of_bytes_asked_for(
    name: str, data: bytes, damage: list[tuple[int, int]], how: str, draw: st.DataObject
) -> None:
    """What keeps its form but not its content is for the digests; nothing crashes or lies about lengths."""
    encoded = bytearray(codec_named(name).encode(data, spans=draw.draw(spans_in(len(data)))))
    for at, value in damage:
        place = at % (len(encoded) + 1)
        if how == "cut":
            del encoded[place:]
        elif how == "insert":
            encoded.insert(place, value)
        elif place < len(encoded):
            encoded[place] = value
    _decode_or_refuse(name, bytes(encoded), len(data))


def _decode_or_refuse(name: str, encoded: bytes, n_bytes: int) -> None:
    try:
        decoded = codec_named(name).decode(encoded, n_bytes=n_bytes)
    except ValueError:
        return
    assert len(decoded) == n_bytes
