"""A GGUF file taken apart, so that it can be put together wrongly, in just one way."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import define, evolve, frozen

from actorllama.native.gguf_types import SCALAR_FORMATS, TENSOR_TYPES, ValueType

__all__ = [
    "RawEntry",
    "RawGguf",
    "RawTensor",
    "changed",
    "n_bytes_of",
    "packed_string",
    "parse_raw",
    "retyped",
    "with_key",
    "without_tensor",
]

_ALIGNMENT: Final = 32


@frozen(kw_only=True)
class RawEntry:
    """One metadata key with its value as the file holds it; ``strings`` are the elements of such an array."""

    key: bytes
    kind: int
    is_array: bool
    n: int
    payload: bytes
    strings: tuple[bytes, ...] | None = None


@frozen(kw_only=True)
class RawTensor:
    """One tensor and its bytes."""

    name: bytes
    shape: tuple[int, ...]
    kind: int
    data: bytes


@define(kw_only=True)
class RawGguf:
    """A file taken apart so that it can be put together wrongly. Owner: the one damage that changes it."""

    entries: list[RawEntry]
    tensors: list[RawTensor]

    def to_bytes(self) -> bytes:
        """Put the file together, offsets and counts as they should be."""
        parts = [b"GGUF", struct.pack("<IQQ", 3, len(self.tensors), len(self.entries))]
        parts += [_entry_bytes(entry) for entry in self.entries]
        offset = 0
        for tensor in self.tensors:
            shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            parts += [packed_string(tensor.name), shape, struct.pack("<IQ", tensor.kind, offset)]
            offset += -(-len(tensor.data) // _ALIGNMENT) * _ALIGNMENT
        header = b"".join(parts)
        data = b"".join(_padded(tensor.data) for tensor in self.tensors)
        return _padded(header) + data


def parse_raw(source: bytes) -> RawGguf:
    """Take apart a file that is known to be whole."""
    reader = _Reader(source)
    n_tensors, n_entries = struct.unpack_from("<QQ", reader.take(24), 8)
    raw = RawGguf(entries=[_read_entry(reader) for _ in range(n_entries)], tensors=[])
    announced: list[tuple[bytes, tuple[int, ...], int, int]] = []
    for _ in range(n_tensors):
        name = reader.string()
        shape = tuple(reader.number("<Q") for _ in range(reader.number("<I")))
        announced.append((name, shape, reader.number("<I"), reader.number("<Q")))
    start = -(-reader.position // _ALIGNMENT) * _ALIGNMENT
    for name, shape, kind, offset in announced:
        data = source[start + offset : start + offset + n_bytes_of(shape, kind)]
        raw.tensors.append(RawTensor(name=name, shape=shape, kind=kind, data=data))
    return raw


def retyped(tensor: RawTensor, kind: int) -> RawTensor:
    """Store a tensor as another type, its numbers lost."""
    return evolve(tensor, kind=kind, data=b"\x11" * n_bytes_of(tensor.shape, kind))


def changed(path: Path, change: Callable[[RawGguf], None]) -> Path:
    """Change a file that is known to be whole; what the change does not touch stays right."""
    raw = parse_raw(path.read_bytes())
    change(raw)
    path.write_bytes(raw.to_bytes())
    return path


def with_key(path: Path, key: str, value: tuple[ValueType, bytes] | None) -> Path:
    """Set one metadata key of a file to a type and a payload, or take it away."""

    def change(raw: RawGguf) -> None:
        raw.entries = [entry for entry in raw.entries if entry.key != key.encode()]
        if value is not None:
            kind, payload = value
            raw.entries.append(
                RawEntry(key=key.encode(), kind=int(kind), is_array=False, n=1, payload=payload)
            )

    return changed(path, change)


def without_tensor(path: Path, name: str) -> Path:
    """Take one tensor out of a file."""

    def change(raw: RawGguf) -> None:
        raw.tensors = [tensor for tensor in raw.tensors if tensor.name != name.encode()]

    return changed(path, change)


class _Reader:
    """Walks through bytes that are known to be right."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self.position = 0

    def take(self, n: int) -> bytes:
        self.position += n
        return self._source[self.position - n : self.position]

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def string(self) -> bytes:
        return self.take(self.number("<Q"))


def _read_entry(reader: _Reader) -> RawEntry:
    key, kind = reader.string(), reader.number("<I")
    is_array, n = kind == ValueType.ARRAY, 1
    if is_array:
        kind, n = reader.number("<I"), reader.number("<Q")
    if kind == ValueType.STRING:
        strings = tuple(reader.string() for _ in range(n))
        payload = b"".join(map(packed_string, strings))
        return RawEntry(
            key=key, kind=kind, is_array=is_array, n=n, payload=payload, strings=strings if is_array else None
        )
    width = struct.calcsize("<" + SCALAR_FORMATS[ValueType(kind)])
    return RawEntry(key=key, kind=kind, is_array=is_array, n=n, payload=reader.take(n * width))


def _entry_bytes(entry: RawEntry) -> bytes:
    kind = struct.pack("<I", entry.kind)
    if entry.is_array:
        kind = struct.pack("<IIQ", ValueType.ARRAY, entry.kind, entry.n)
    return packed_string(entry.key) + kind + entry.payload


def packed_string(text: bytes) -> bytes:
    """Write a string as GGUF does, its length first."""
    return struct.pack("<Q", len(text)) + text


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)


def n_bytes_of(shape: tuple[int, ...], kind: int) -> int:
    """Give the size of a tensor of this shape and type."""
    stored = TENSOR_TYPES[kind]
    n = 1
    for size in shape:
        n *= size
    return n // stored.block_weights * stored.block_bytes
