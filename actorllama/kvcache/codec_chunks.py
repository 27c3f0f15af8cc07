"""The form that compressed bytes have: chunks of 1 MiB, each with its length.

::

    0    4  tag of the codec
    4    4  raw bytes of each chunk but the last
    8    8  raw bytes of all
    then for each chunk: 4 bytes length (highest bit: stored as it is), and as many bytes

Integers are little-endian. Chunks stay in the processor's cache while they are transformed, keep what is
allocated beside the result small, and have no trouble with states above the 2 GB that LZ4 can take.
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from actorllama.kvcache.header import Buffer

__all__ = ["CHUNK_BYTES", "Packer", "decode_chunks", "encode_chunks", "target_array"]

CHUNK_BYTES: Final = 1 << 20
_MIN_CHUNK_BYTES: Final = 1 << 12  # damage must not make us walk through millions of tiny chunks
_MAX_CHUNK_BYTES: Final = 1 << 24
_HEAD: Final = struct.Struct("<4sIQ")
_LENGTH: Final = struct.Struct("<I")
_IS_STORED: Final = 1 << 31


class Packer(Protocol):
    """What a codec does to one chunk."""

    def pack(self, raw: memoryview) -> Buffer:
        """Encode a chunk."""
        ...

    def unpack(self, packed: memoryview, into: NDArray[np.uint8]) -> None:
        """Decode a chunk that has exactly ``len(into)`` raw bytes.

        Raises:
            ValueError: It has not.
        """
        ...


def encode_chunks(data: Buffer, *, tag: bytes, packer: Packer) -> memoryview:
    """Encode bytes chunk by chunk; what does not shrink is stored as it is.

    Cost: the result never has more than 16 bytes plus 4 for each chunk beyond the raw bytes.
    """
    view = memoryview(data)
    n_chunks = -(-len(view) // CHUNK_BYTES)
    # Not joined from a list: a join keeps the GIL, and filling fresh pages takes a second for 450 MB.
    result = np.empty(_HEAD.size + n_chunks * _LENGTH.size + len(view), dtype=np.uint8)
    target = result.data
    _HEAD.pack_into(target, 0, tag, CHUNK_BYTES, len(view))
    end = _HEAD.size
    for offset in range(0, len(view), CHUNK_BYTES):
        raw = view[offset : offset + CHUNK_BYTES]
        packed = packer.pack(raw)
        is_stored = len(packed) >= len(raw)
        kept = raw if is_stored else packed
        _LENGTH.pack_into(target, end, len(kept) | (_IS_STORED if is_stored else 0))
        end += _LENGTH.size
        result[end : end + len(kept)] = np.frombuffer(kept, dtype=np.uint8)
        end += len(kept)
    return target[:end]


def decode_chunks(
    data: Buffer, *, tag: bytes, packer: Packer, n_bytes: int, into: memoryview | None
) -> memoryview:
    """Take back what `encode_chunks` made of ``n_bytes`` bytes.

    Raises:
        ValueError: It is something else. Nothing is allocated before the header agrees.
    """
    view = memoryview(data)
    if len(view) < _HEAD.size:
        raise ValueError(f"{len(view)} bytes are too few for anything encoded")
    found_tag, chunk_bytes, raw_bytes = _HEAD.unpack_from(view, 0)
    if found_tag != tag or raw_bytes != n_bytes:
        raise ValueError(f"these are not {n_bytes} bytes encoded as {tag!r}")
    if not _MIN_CHUNK_BYTES <= chunk_bytes <= _MAX_CHUNK_BYTES:
        raise ValueError(f"chunks of {chunk_bytes} bytes")
    n_chunks = -(-n_bytes // chunk_bytes)
    if len(view) < _HEAD.size + n_chunks * (_LENGTH.size + 1):
        raise ValueError(f"{len(view)} bytes are too few for {n_chunks} chunks")
    result = target_array(n_bytes, into)
    at = _HEAD.size
    for offset in range(0, n_bytes, chunk_bytes):
        at = _decode_chunk(view, at, packer, result[offset : offset + chunk_bytes])
    if at != len(view):
        raise ValueError(f"{len(view) - at} bytes too many")
    return result.data


def target_array(n_bytes: int, into: memoryview | None) -> NDArray[np.uint8]:
    """Return the memory that a decoder writes to.

    Raises:
        ValueError: ``into`` has another size or cannot be written.
    """
    if into is None:
        return np.empty(n_bytes, dtype=np.uint8)
    if into.nbytes != n_bytes or into.readonly:
        raise ValueError(f"{n_bytes} bytes do not go into {into.nbytes}, or these cannot be written")
    return np.frombuffer(into, dtype=np.uint8)


def _decode_chunk(view: memoryview, at: int, packer: Packer, into: NDArray[np.uint8]) -> int:
    if at + _LENGTH.size > len(view):
        raise ValueError("the encoded bytes end too early")
    word = int.from_bytes(view[at : at + _LENGTH.size], "little")
    is_stored, length = bool(word & _IS_STORED), word & ~_IS_STORED
    at += _LENGTH.size
    packed = view[at : at + length]
    if len(packed) != length:
        raise ValueError("the encoded bytes end too early")
    if not is_stored:
        packer.unpack(packed, into)
    elif length == len(into):
        into[:] = np.frombuffer(packed, dtype=np.uint8)
    else:
        raise ValueError(f"{length} stored bytes are not {len(into)}")
    return at + length
