"""How saved bytes become fewer bytes and come back: the codecs that a tier may use.

=====  ======  =====================================================================================
name   lossy   what it does
=====  ======  =====================================================================================
none   no      nothing; the bytes are handed on, not copied
lz4    no      LZ4 blocks of 1 MiB; what does not shrink is stored
zstd   no      the same with zstd level 1, after the bytes of 16-bit values were sorted by significance
q8     yes     8 bits for each f16 or f32 value in the spans given, with a scale per 32; all else exact
=====  ======  =====================================================================================

What was encoded describes itself: decoding needs the codec's name and the number of raw bytes, no more.
Which ratio and which speed a codec has on a model is measured by ``actorllama bench codec``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from actorllama.kvcache.codec_span import RowSpan
from actorllama.kvcache.header import Buffer

__all__ = ["CODECS", "Codec", "codec_named"]

CODECS: Final = ("none", "lz4", "zstd", "q8")
"""Names that `codec_named` knows; they are written into files and never change their meaning."""


class Codec(Protocol):
    """Encodes and decodes. Has no state: any number of threads may use one, and the GIL is free meanwhile."""

    @property
    def name(self) -> str:
        """One of `CODECS`."""
        ...

    @property
    def is_lossy(self) -> bool:
        """Whether values come back changed: such an entry needs a namespace of its own."""
        ...

    def encode(self, data: Buffer, *, spans: Sequence[RowSpan] = ()) -> Buffer:
        """Encode bytes.

        Args:
            data: Any bytes. They may be kept by reference, so nobody may change them any more.
            spans: Where rows of numbers lie, ascending; lossless codecs do not look at them, and a lossy
                one keeps exactly whatever lies outside.

        Raises:
            ValueError: The spans overlap or leave the data.
        """
        ...

    def decode(self, data: Buffer, *, n_bytes: int, into: memoryview | None = None) -> Buffer:
        """Take back what `encode` made of ``n_bytes`` bytes.

        Args:
            data: As encoded, in whatever state a disk gave it back.
            n_bytes: How many raw bytes are expected. Beside them at most two chunks are allocated.
            into: Writable memory of exactly ``n_bytes`` for the result, best with pages touched before
                (`Arena`); new memory if ``None``. After a failure it holds anything.

        Returns:
            Exactly ``n_bytes`` bytes; a view of ``into`` if that was given.

        Raises:
            ValueError: This is not the encoding of ``n_bytes`` bytes. Damage that keeps the form is not
                noticed: that is what digests are for.
        """
        ...


def codec_named(name: str) -> Codec:
    """Return a codec.

    Its library is loaded now and not with this module: options are read by commands that never encode.

    Raises:
        ValueError: There is none of that name.
    """
    if name == "none":
        return _Plain()
    if name == "lz4":
        from actorllama.kvcache.codec_lz4 import Lz4Codec

        return Lz4Codec()
    if name == "zstd":
        from actorllama.kvcache.codec_zstd import ZstdCodec

        return ZstdCodec()
    if name == "q8":
        from actorllama.kvcache.codec_q8 import Q8Codec

        return Q8Codec()
    raise ValueError(f"no codec is called {name!r}, choose one of {', '.join(CODECS)}")


class _Plain:
    """Hands bytes on."""

    name = "none"
    is_lossy = False

    def encode(self, data: Buffer, *, spans: Sequence[RowSpan] = ()) -> Buffer:
        del spans
        return data

    def decode(self, data: Buffer, *, n_bytes: int, into: memoryview | None = None) -> Buffer:
        if len(data) != n_bytes:
            raise ValueError(f"{len(data)} bytes are not {n_bytes}")
        if into is None:
            return data
        if into.nbytes != n_bytes:
            raise ValueError(f"{n_bytes} bytes do not fill {into.nbytes}")
        into[:] = data
        return into
