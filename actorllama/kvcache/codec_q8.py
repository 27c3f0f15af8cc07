"""Eight bits for each KV value: lossy, and only where rows of numbers lie.

::

    0    4  tag
    4    4  number of spans
    8    8  raw bytes of all
    then for each span: 8 bytes offset, 8 bytes length, 1 byte kind (0: as it is, 1: f16, 2: f32)
    then what lies outside the spans, in order and as it is
    then for each span: its scales (f16 or f32, one per 32 values), then its values (one byte each)

Integers are little-endian. The last block of a span may be short.

Source: block size and scale as in ggml's ``q8_0`` (ggml-org/llama.cpp, ggml/src/ggml-quants.c); the scale is
rounded up, so that the largest value of a block is never cut.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from actorllama.kvcache.codec_chunks import target_array
from actorllama.kvcache.codec_q8_blocks import encoded_bytes, is_finite, pack_values, unpack_values
from actorllama.kvcache.codec_span import ELEMENT_BYTES, ElementKind, RowSpan, checked_spans
from actorllama.kvcache.header import Buffer

__all__ = ["Q8Codec"]

_TAG: Final = b"ALq1"
_HEAD: Final = struct.Struct("<4sIQ")
_SPAN: Final = struct.Struct("<QQB")
_CODES: Final[dict[ElementKind | None, int]] = {None: 0, "f16": 1, "f32": 2}
_KINDS: Final[dict[int, ElementKind | None]] = {code: kind for kind, code in _CODES.items()}


class Q8Codec:
    """Keeps 8 of 16 or 32 bits of each value in the spans; lossy.

    A value comes back within half a scale: the largest of its block of 32, over 254. A span that holds
    an infinity or a NaN is kept exactly, for there is no scale for it; and so is all that no span covers.
    """

    name = "q8"
    is_lossy = True

    def encode(self, data: Buffer, *, spans: Sequence[RowSpan] = ()) -> Buffer:
        """Encode bytes; without spans everything is kept exactly.

        Raises:
            ValueError: The spans overlap or leave the data.
        """
        raw = np.frombuffer(data, dtype=np.uint8)
        parts = [_Part.of(span, raw) for span in checked_spans(spans, n_bytes=len(raw))]
        plan = _Plan(n_bytes=len(raw), parts=tuple(parts))
        result = np.empty(plan.encoded_bytes, dtype=np.uint8)
        result[: plan.head_bytes] = np.frombuffer(plan.head(), dtype=np.uint8)
        at = plan.head_bytes
        for first, end in plan.gaps():
            result[at : at + end - first] = raw[first:end]
            at += end - first
        for part in parts:
            body = result[at : at + part.encoded_bytes]
            if part.kind is None:
                body[:] = raw[part.offset : part.end]
            else:
                pack_values(raw[part.offset : part.end], body, element=part.kind)
            at += part.encoded_bytes
        return result.data

    def decode(self, data: Buffer, *, n_bytes: int, into: memoryview | None = None) -> Buffer:
        """Give ``n_bytes`` bytes back, the values in the spans as near as eight bits come.

        Raises:
            ValueError: This is not the encoding of so many bytes.
        """
        plan = _Plan.read(data, n_bytes=n_bytes)
        encoded = np.frombuffer(data, dtype=np.uint8)
        raw = target_array(n_bytes, into)
        at = plan.head_bytes
        for first, end in plan.gaps():
            raw[first:end] = encoded[at : at + end - first]
            at += end - first
        for part in plan.parts:
            body = encoded[at : at + part.encoded_bytes]
            if part.kind is None:
                raw[part.offset : part.end] = body
            else:
                unpack_values(body, raw[part.offset : part.end], element=part.kind)
            at += part.encoded_bytes
        return raw.data


@frozen(kw_only=True)
class _Part:
    """A span, and what really happens to it."""

    offset: int
    n_bytes: int
    kind: ElementKind | None

    @classmethod
    def of(cls, span: RowSpan, raw: NDArray[np.uint8]) -> _Part:
        is_encodable = is_finite(raw[span.offset : span.end], element=span.element)
        return cls(offset=span.offset, n_bytes=span.n_bytes, kind=span.element if is_encodable else None)

    @property
    def end(self) -> int:
        return self.offset + self.n_bytes

    @property
    def encoded_bytes(self) -> int:
        if self.kind is None:
            return self.n_bytes
        return encoded_bytes(self.n_bytes // ELEMENT_BYTES[self.kind], element=self.kind)


@frozen(kw_only=True)
class _Plan:
    """Where everything goes; parts are ascending and do not overlap."""

    n_bytes: int
    parts: tuple[_Part, ...]

    @property
    def head_bytes(self) -> int:
        return _HEAD.size + len(self.parts) * _SPAN.size

    @property
    def encoded_bytes(self) -> int:
        exact = self.n_bytes - sum(part.n_bytes for part in self.parts)
        return self.head_bytes + exact + sum(part.encoded_bytes for part in self.parts)

    def head(self) -> bytes:
        rows = (_SPAN.pack(part.offset, part.n_bytes, _CODES[part.kind]) for part in self.parts)
        return _HEAD.pack(_TAG, len(self.parts), self.n_bytes) + b"".join(rows)

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Give what no span covers as (first, end)."""
        ends = (0, *(part.end for part in self.parts))
        starts = (*(part.offset for part in self.parts), self.n_bytes)
        return ((first, end) for first, end in zip(ends, starts, strict=True) if first < end)

    @classmethod
    def read(cls, data: Buffer, *, n_bytes: int) -> _Plan:
        """Read the head, and make sure that the rest has the length that follows from it."""
        view = memoryview(data)
        if len(view) < _HEAD.size:
            raise ValueError(f"{len(view)} bytes are too few for anything encoded")
        tag, n_spans, raw_bytes = _HEAD.unpack_from(view, 0)
        if tag != _TAG or raw_bytes != n_bytes:
            raise ValueError(f"these are not {n_bytes} bytes encoded as {_TAG!r}")
        table = view[_HEAD.size : _HEAD.size + n_spans * _SPAN.size]
        if len(table) != n_spans * _SPAN.size:
            raise ValueError(f"{len(view)} bytes are too few for {n_spans} spans")
        plan = cls(n_bytes=n_bytes, parts=tuple(_read_parts(table, n_bytes)))
        if plan.encoded_bytes != len(view):
            raise ValueError(f"{len(view)} bytes, where {plan.encoded_bytes} follow from the head")
        return plan


def _read_parts(table: memoryview, n_bytes: int) -> Iterator[_Part]:
    end = 0
    for offset, length, code in itertools.starmap(_as_ints, _SPAN.iter_unpack(table)):
        kind = _KINDS.get(code)
        if code not in _KINDS or (kind is not None and length % ELEMENT_BYTES[kind]):
            raise ValueError(f"a span of {length} bytes and kind {code}")
        if offset < end or length == 0 or offset + length > n_bytes:
            raise ValueError(f"span {offset} to {offset + length} overlaps or leaves the {n_bytes} bytes")
        end = offset + length
        yield _Part(offset=offset, n_bytes=length, kind=kind)


def _as_ints(offset: int, length: int, code: int) -> tuple[int, int, int]:
    return offset, length, code
