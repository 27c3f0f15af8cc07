"""Rows on their way to a file and back: through a codec, which META names."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from actorllama.errors import SnapshotMismatch
from actorllama.kvcache.codec import CODECS, codec_named
from actorllama.kvcache.codec_span import RowSpan
from actorllama.kvcache.header import HEADER_BYTES, SECTIONS, Buffer, Header
from actorllama.kvcache.meta import Facts, int_fact, text_fact, write_facts

__all__ = ["Payload", "seal", "sealed_bytes"]


@frozen(kw_only=True)
class Payload:
    """Bytes as they stand in a file, and how they got there."""

    data: Buffer
    codec: str
    raw_bytes: int

    @classmethod
    def of(cls, raw: Buffer, *, codec: str = "none", spans: tuple[RowSpan, ...] = ()) -> Payload:
        """Encode rows; what does not shrink is kept as it is.

        Cost: the codec's. No copy where it is ``none``.
        """
        encoded = raw if codec == "none" else codec_named(codec).encode(raw, spans=spans)
        if len(encoded) >= len(raw):
            return cls(data=raw, codec="none", raw_bytes=len(raw))
        return cls(data=encoded, codec=codec, raw_bytes=len(raw))

    @classmethod
    def read(cls, sections: Mapping[str, memoryview], facts: Facts, *, limit_bytes: int | None) -> Payload:
        """Find the payload of a file whose digests hold, and what META says of it.

        Raises:
            ValueError: META does not say it, or it cannot be.
            SnapshotMismatch: It would become longer than ``limit_bytes``, or its codec is not known here.
        """
        data = sections["KVST"]
        codec, raw_bytes = text_fact(facts, "codec"), int_fact(facts, "raw_bytes")
        if codec not in CODECS:
            raise SnapshotMismatch(expected=f"one of the codecs {', '.join(CODECS)}", actual=f"{codec!r}")
        if limit_bytes is not None and raw_bytes > limit_bytes:
            raise SnapshotMismatch(expected=f"at most {limit_bytes} bytes", actual=f"{raw_bytes} bytes")
        if (codec == "none" and raw_bytes != len(data)) or (codec != "none" and raw_bytes <= len(data)):
            raise ValueError(f"{len(data)} bytes of codec {codec} cannot be {raw_bytes} raw bytes")
        return cls(data=data, codec=codec, raw_bytes=raw_bytes)

    @property
    def facts(self) -> Facts:
        """What META says of it."""
        return {"codec": self.codec, "raw_bytes": self.raw_bytes}

    def to_raw(self) -> Buffer:
        """Decode it; a view of ``data`` where the codec is ``none``.

        Raises:
            ValueError: It is not what its codec makes of as many bytes.
        """
        if self.codec == "none":
            return self.data
        return codec_named(self.codec).decode(self.data, n_bytes=self.raw_bytes)


def seal(key: str, sections: Mapping[str, Buffer], facts: Facts, *, mac_key: bytes | None) -> list[Buffer]:
    """Put a header before the sections of an entry; a section that is not given is empty.

    Cost: one digest over all bytes.
    """
    whole = {tag: sections.get(tag, b"") for tag in SECTIONS} | {"META": write_facts(facts)}
    header = Header.describe(key, whole, mac_key=mac_key)
    return [header.to_bytes(mac_key=mac_key), *whole.values()]


def sealed_bytes(sections: Mapping[str, int], facts: Facts) -> int:
    """Count the bytes that `seal` makes of sections of these lengths."""
    return HEADER_BYTES + sum(sections.values()) + len(write_facts(facts))
