"""Zstandard over bytes that were sorted by significance first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zstandard
from numpy.typing import NDArray

from actorllama.kvcache.codec_chunks import decode_chunks, encode_chunks
from actorllama.kvcache.codec_span import RowSpan
from actorllama.kvcache.header import Buffer

__all__ = ["ZstdCodec"]

_TAG = b"ALz1"
_LEVEL = 1  # level 3 found no more in f16 values (llama-notes 5)


class ZstdCodec:
    """zstd level 1 in chunks of 1 MiB, with the low and the high bytes of 16-bit values apart; lossless.

    Sign and exponent of neighbouring values are alike, mantissas are noise: apart, the one half
    compresses and the other is passed over quickly.
    """

    name = "zstd"
    is_lossy = False

    def encode(self, data: Buffer, *, spans: Sequence[RowSpan] = ()) -> Buffer:
        """Encode bytes; the spans make no difference."""
        del spans
        return encode_chunks(data, tag=_TAG, packer=_Packer())

    def decode(self, data: Buffer, *, n_bytes: int, into: memoryview | None = None) -> Buffer:
        """Take back ``n_bytes`` bytes.

        Raises:
            ValueError: This is not the encoding of so many bytes.
        """
        return decode_chunks(data, tag=_TAG, packer=_Packer(), n_bytes=n_bytes, into=into)


class _Packer:
    """Owner: one call; zstd's contexts are not for two threads."""

    def __init__(self) -> None:
        self._compressor: zstandard.ZstdCompressor | None = None
        self._decompressor: zstandard.ZstdDecompressor | None = None

    def pack(self, raw: memoryview) -> Buffer:
        if self._compressor is None:
            self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        return self._compressor.compress(_apart(raw).data)

    def unpack(self, packed: memoryview, into: NDArray[np.uint8]) -> None:
        if self._decompressor is None:
            self._decompressor = zstandard.ZstdDecompressor()
        try:
            # Asked first: decompress() allocates whatever the frame claims to hold.
            if zstandard.frame_content_size(packed) != len(into):
                raise ValueError(f"a chunk does not hold {len(into)} bytes")
            planes = self._decompressor.decompress(packed, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ValueError(f"a chunk is no zstd frame: {error}") from error
        _together(planes, into)


def _apart(raw: memoryview) -> NDArray[np.uint8]:
    """Put the low bytes of all 16-bit values first, the high bytes after, an odd byte last."""
    n = len(raw) // 2
    values = np.frombuffer(raw, dtype="<u2", count=n)
    planes = np.empty(len(raw), dtype=np.uint8)
    # Written as arithmetic, which numpy vectorises: strided copies of bytes are three times slower.
    np.bitwise_and(values, 0xFF, out=planes[:n], casting="unsafe")
    np.right_shift(values, 8, out=planes[n : 2 * n], casting="unsafe")
    planes[2 * n :] = np.frombuffer(raw[2 * n :], dtype=np.uint8)
    return planes


def _together(planes: bytes, into: NDArray[np.uint8]) -> None:
    n = len(planes) // 2
    source = np.frombuffer(planes, dtype=np.uint8)
    values = into[: 2 * n].view("<u2")
    np.left_shift(source[n : 2 * n], 8, out=values, dtype=np.uint16)
    np.bitwise_or(values, source[:n], out=values)
    into[2 * n :] = source[2 * n :]
