"""The fixed header of a saved entry: what follows it, how long each part is, and the digests of all.

::

    prologue   32 bytes   the same in every version to come
        0   8  magic
        8   4  format version
       12   4  bytes of the whole header
       16   8  id of the MAC key, zero without one
       24   8  digest of the 24 bytes before
    body      352 bytes   of version 2
       32   8  bytes of the whole file
       40  16  key of the entry
       56 260  five sections, in file order: tag (4), offset (8), length (8), digest (32)
      316  36  zero
      352  32  blake2b of the 352 bytes before; keyed where there is a MAC key

All integers are little-endian and unsigned. The prologue has a digest of its own so that a damaged
version number is told apart from a file that a later version wrote.

A section's digest is xxh3 (128 bits, then zeros) where there is no MAC key: it finds every accident, at
the speed of memory, and whoever means harm could compute any other digest too. With a MAC key it is keyed
blake2b, for xxh3 collides on purpose with ease, and a signed header would vouch for another payload.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import TypeAlias

import xxhash
from attrs import field, frozen

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch

__all__ = ["FORMAT_VERSION", "HEADER_BYTES", "SECTIONS", "Buffer", "Header", "mac_key_id"]

Buffer: TypeAlias = bytes | memoryview
"""Bytes that nobody changes any more; a view is flat (format ``B``)."""

FORMAT_VERSION = 2
HEADER_BYTES = 384
SECTIONS = ("TOKN", "LGTS", "KVST", "SMPL", "META")
"""In file order. The arrays of numbers come first, so that each begins at a multiple of four bytes."""

_MAX_BYTES: Mapping[str, int] = {
    "TOKN": 1 << 26,
    "LGTS": 1 << 26,
    "KVST": 1 << 42,
    "SMPL": 1 << 29,
    "META": 1 << 16,
}
_MAGIC = b"\x89ALkv\r\n\x1a"  # as PNG's: a transfer that meddles with line ends breaks it visibly
_PROLOGUE = struct.Struct("<8sII8s")
_PROLOGUE_END = 32
_BODY = struct.Struct("<Q16s")
_SECTION = struct.Struct("<4sQQ32s")
_DIGEST_AT = HEADER_BYTES - 32
_RESERVED_AT = _PROLOGUE_END + _BODY.size + len(SECTIONS) * _SECTION.size
_TABLE = struct.Struct("<" + len(SECTIONS) * "4sQQ32s" + f"{_DIGEST_AT - _RESERVED_AT}s")
_TAGS = tuple(tag.encode() for tag in SECTIONS)
_RESERVED = bytes(_DIGEST_AT - _RESERVED_AT)
_NO_MAC = bytes(8)
_MAC_KEY_BYTES_MIN = 16
_DIGEST_BYTES = 32
_OF_NOTHING = xxhash.xxh3_128_digest(b"") + bytes(_DIGEST_BYTES - 16)


def mac_key_id(mac_key: bytes | None) -> bytes:
    """Name a MAC key in 8 bytes without telling it; zeros for none.

    Raises:
        ValueError: The key has less than 16 or more than 64 bytes.
    """
    if mac_key is None:
        return _NO_MAC
    if not _MAC_KEY_BYTES_MIN <= len(mac_key) <= blake2b.MAX_KEY_SIZE:
        raise ValueError(f"a MAC key has 16 to 64 bytes, not {len(mac_key)}")
    return blake2b(b"id", digest_size=8, key=mac_key, person=b"ALkv mac id").digest()


def _section_digest(tag: str, data: Buffer, mac_key: bytes | None) -> bytes:
    if mac_key is None and not data:  # most sections of most entries
        return _OF_NOTHING
    if mac_key is None:
        return xxhash.xxh3_128_digest(data) + bytes(_DIGEST_BYTES - 16)
    return blake2b(data, digest_size=_DIGEST_BYTES, key=mac_key, person=tag.encode()).digest()


@frozen(kw_only=True)
class Header:
    """The header as a value. One that was parsed has passed every check that needs no section."""

    key: str
    """Content address of the entry, 32 hex digits."""
    lengths: tuple[int, ...]
    """Bytes of each section, in the order of `SECTIONS`; zero where it is absent."""
    digests: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def describe(cls, key: str, sections: Mapping[str, Buffer], *, mac_key: bytes | None = None) -> Header:
        """Make the header of these sections.

        Raises:
            ValueError: A section is longer than the format allows, or the MAC key is not 16 to 64 bytes.

        Cost: one pass over all bytes; with a MAC key about a second per gigabyte. The GIL is free meanwhile.
        """
        mac_key_id(mac_key)
        for tag in SECTIONS:
            if len(sections[tag]) > _MAX_BYTES[tag]:
                raise ValueError(
                    f"{tag} has {len(sections[tag])} bytes, at most {_MAX_BYTES[tag]} are allowed"
                )
        return cls(
            key=key,
            lengths=tuple(len(sections[tag]) for tag in SECTIONS),
            digests=tuple(_section_digest(tag, sections[tag], mac_key) for tag in SECTIONS),
        )

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole file."""
        return HEADER_BYTES + sum(self.lengths)

    def to_bytes(self, *, mac_key: bytes | None = None) -> bytes:
        """Write the header."""
        prologue = _PROLOGUE.pack(_MAGIC, FORMAT_VERSION, HEADER_BYTES, mac_key_id(mac_key))
        parts = [prologue, _prologue_digest(prologue), _BODY.pack(self.n_bytes, bytes.fromhex(self.key))]
        offset = HEADER_BYTES
        for tag, length, digest in zip(SECTIONS, self.lengths, self.digests, strict=True):
            parts.append(_SECTION.pack(tag.encode(), offset, length, digest))
            offset += length
        parts.append(bytes(_DIGEST_AT - _RESERVED_AT))
        body = b"".join(parts)
        return body + _header_digest(body, mac_key)

    @classmethod
    def parse(cls, data: Buffer, *, mac_key: bytes | None = None, path: str | None = None) -> Header:
        """Read and check the header at the beginning of ``data``; what follows is not looked at.

        Raises:
            SnapshotCorrupt: It is damaged, cut off, or not ours; ``section`` says ``magic``, ``prologue``
                or ``header``.
            SnapshotMismatch: Another version wrote it, or it is signed with another key.
        """
        view = memoryview(data)[:HEADER_BYTES]
        _check_prologue(view, mac_key, path)
        if len(view) < HEADER_BYTES:
            raise SnapshotCorrupt(key="of unknown key", path=path, section="header")
        body = bytes(view[:_DIGEST_AT])
        if not hmac.compare_digest(_header_digest(body, mac_key), bytes(view[_DIGEST_AT:])):
            raise SnapshotCorrupt(key="of unknown key", path=path, section="header")
        total_bytes, key = _BODY.unpack_from(body, _PROLOGUE_END)
        table = _TABLE.unpack_from(body, _PROLOGUE_END + _BODY.size)
        lengths: tuple[int, ...] = table[2:-1:4]
        # A right digest proves no good will: without a MAC key anybody can compute it. So nothing is left
        # open in which `to_bytes` would write something else.
        is_ours = table[:-1:4] == _TAGS and table[-1] == _RESERVED
        offset = HEADER_BYTES
        for tag, begin, length in zip(SECTIONS, table[1:-1:4], lengths, strict=True):
            is_ours = is_ours and begin == offset and length <= _MAX_BYTES[tag]
            offset += length
        if not is_ours or offset != total_bytes:
            raise SnapshotCorrupt(key="of unknown key", path=path, section="header")
        return cls(key=key.hex(), lengths=lengths, digests=table[3:-1:4])

    def has_section(self, tag: str, data: Buffer, *, mac_key: bytes | None = None) -> bool:
        """Tell whether these bytes are the section of this tag, by length and digest.

        Cost: as `describe`.
        """
        index = SECTIONS.index(tag)
        digest = _section_digest(tag, data, mac_key)
        return len(data) == self.lengths[index] and hmac.compare_digest(digest, self.digests[index])

    def split(
        self, data: memoryview, *, mac_key: bytes | None = None, path: str | None = None
    ) -> dict[str, memoryview]:
        """Cut the whole file into its sections, and check each; nothing is copied.

        Raises:
            SnapshotCorrupt: The file is too short or too long (``section`` is ``length``), or a section
                does not have its digest (``section`` is its tag).

        Cost: as `describe`.
        """
        if len(data) != self.n_bytes:
            raise SnapshotCorrupt(key=self.key, path=path, section="length")
        found: dict[str, memoryview] = {}
        offset = HEADER_BYTES
        for tag, length, digest in zip(SECTIONS, self.lengths, self.digests, strict=True):
            section = data[offset : offset + length]
            if not hmac.compare_digest(_section_digest(tag, section, mac_key), digest):
                raise SnapshotCorrupt(key=self.key, path=path, section=tag)
            found[tag] = section
            offset += length
        return found


def _prologue_digest(prologue: bytes) -> bytes:
    return blake2b(prologue, digest_size=8, person=b"ALkv prologue").digest()


def _header_digest(body: bytes, mac_key: bytes | None) -> bytes:
    return blake2b(body, digest_size=32, key=mac_key or b"", person=b"ALkv header").digest()


def _check_prologue(view: memoryview, mac_key: bytes | None, path: str | None) -> None:
    if bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise SnapshotCorrupt(key="of unknown key", path=path, section="magic")
    prologue = bytes(view[: _PROLOGUE.size])
    if _prologue_digest(prologue) != bytes(view[_PROLOGUE.size : _PROLOGUE_END]):
        raise SnapshotCorrupt(key="of unknown key", path=path, section="prologue")
    _, version, header_bytes, key_id = _PROLOGUE.unpack(prologue)
    if version != FORMAT_VERSION:
        raise SnapshotMismatch(expected=f"snapshot format {FORMAT_VERSION}", actual=f"format {version}")
    if header_bytes != HEADER_BYTES:
        raise SnapshotCorrupt(key="of unknown key", path=path, section="prologue")
    if key_id != mac_key_id(mac_key):
        raise SnapshotMismatch(
            expected=f"MAC key {mac_key_id(mac_key).hex()}", actual=f"MAC key {key_id.hex()}"
        )
