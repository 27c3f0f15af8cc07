"""Damaged GGUF files, without end: what a fuzzer feeds to whoever says that no file can hurt it.

A damage is drawn from a seed, so a file that did hurt can be made again from two numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from attrs import evolve

from actorllama.native.gguf_types import SCALAR_FORMATS, TENSOR_TYPES, ValueType
from actorllama.testing.random_raw import RawEntry, RawGguf, n_bytes_of, packed_string, parse_raw, retyped

__all__ = ["damaged"]

_ODD_INTEGERS: Final = (0, 1, 2, 3, 5, 7, 8, 31, 33, 127, 255, 511, 513, 4095, 65535, 1 << 20, (1 << 31) - 1)
_ODD_REALS: Final = (0.0, -1.0, 1e-30, 1.0, 1e30, float("inf"), float("-inf"), float("nan"))
_ODD_STRINGS: Final = (
    *(b"", b" ", b"\xff\xfe", b"a", b"<0x41>", b"\0", b"yarn", b"llama", b"\n"),
    b"x" * 5000,
)


def damaged(source: bytes, seed: int, *, foreign_keys: Sequence[str] = ()) -> tuple[str, bytes]:
    """Damage a whole file in one of many ways.

    Args:
        source: The file.
        seed: Chooses the damage.
        foreign_keys: Keys that some damages add.

    Returns:
        What was done, and the file.
    """
    generator = np.random.Generator(np.random.SFC64(seed))
    if generator.random() < _SHARE_OF_BYTE_DAMAGES:
        return _damage_bytes(source, generator)
    raw = parse_raw(source)
    if foreign_keys and generator.random() < _SHARE_OF_FOREIGN_KEYS:
        return _add_key(raw, generator, foreign_keys), raw.to_bytes()
    damage = _DAMAGES[int(generator.integers(len(_DAMAGES)))]
    done = damage(raw, generator)
    return done, raw.to_bytes()


def _damage_bytes(source: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    """Cut the file short, or overwrite bytes of its header, more often near its beginning."""
    if generator.random() < 0.2:
        n = int(generator.integers(len(source)))
        return f"cut after {n} bytes", source[:n]
    changed = bytearray(source)
    header = min(len(source), 1 << 14)
    places = (generator.random(int(generator.integers(1, 5))) ** 2 * header).astype(int)
    for place in places:
        changed[int(place)] = int(generator.integers(256))
    return f"bytes changed at {places.tolist()}", bytes(changed)


def _change_scalar(raw: RawGguf, generator: np.random.Generator) -> str:
    at, entry = _choose(raw, generator, lambda entry: not entry.is_array)
    raw.entries[at] = evolve(entry, payload=_odd_payload(entry, generator))
    return f"{entry.key!r} = {raw.entries[at].payload[:40]!r}"


def _change_kind(raw: RawGguf, generator: np.random.Generator) -> str:
    at, entry = _choose(raw, generator, lambda entry: not entry.is_array)
    kind = ValueType(int(generator.choice([kind for kind in ValueType if kind is not ValueType.ARRAY])))
    raw.entries[at] = _odd_entry(entry.key, kind, generator)
    return f"{entry.key!r} is a {kind.name} now"


def _drop_key(raw: RawGguf, generator: np.random.Generator) -> str:
    at, entry = _choose(raw, generator, lambda _: True)
    del raw.entries[at]
    return f"without {entry.key!r}"


def _add_key(raw: RawGguf, generator: np.random.Generator, keys: Sequence[str]) -> str:
    key = keys[int(generator.integers(len(keys)))].encode()
    kind = (ValueType.UINT32, ValueType.FLOAT32, ValueType.BOOL, ValueType.STRING)[int(generator.integers(4))]
    entry = _odd_entry(key, kind, generator)
    raw.entries = [*(other for other in raw.entries if other.key != key), entry]
    return f"{key!r} = {entry.payload[:40]!r} ({kind.name})"


def _change_array(raw: RawGguf, generator: np.random.Generator) -> str:
    at, entry = _choose(raw, generator, lambda entry: entry.is_array)
    n = int(generator.choice([0, 1, max(0, entry.n - 1), entry.n // 2, entry.n + 1]))
    if entry.strings is not None:
        raw.entries[at] = _of_strings(entry, (*entry.strings, b"extra")[:n])
    else:
        width = struct.calcsize("<" + SCALAR_FORMATS[ValueType(entry.kind)])
        raw.entries[at] = evolve(entry, n=n, payload=(entry.payload + b"\0" * width)[: n * width])
    return f"{entry.key!r} has {n} elements"


def _change_array_kind(raw: RawGguf, generator: np.random.Generator) -> str:
    at, entry = _choose(raw, generator, lambda entry: entry.is_array)
    kind = ValueType(int(generator.choice(list(SCALAR_FORMATS))))
    width = struct.calcsize("<" + SCALAR_FORMATS[kind])
    raw.entries[at] = evolve(
        entry, kind=int(kind), payload=generator.bytes(entry.n * width), strings=None, is_array=True
    )
    return f"{entry.key!r} is an array of {kind.name} now"


def _change_elements(raw: RawGguf, generator: np.random.Generator) -> str:
    at, entry = _choose(raw, generator, lambda entry: entry.is_array and entry.n > 0)
    if entry.strings is None:
        changed = bytearray(entry.payload)
        for _ in range(int(generator.integers(1, 20))):
            changed[int(generator.integers(len(changed)))] = int(generator.integers(256))
        raw.entries[at] = evolve(entry, payload=bytes(changed))
        return f"{entry.key!r} has other elements"
    strings = list(entry.strings)
    for _ in range(int(generator.integers(1, 20))):
        odd = _ODD_STRINGS[int(generator.integers(len(_ODD_STRINGS)))]
        strings[int(generator.integers(len(strings)))] = (
            odd if generator.random() < 0.5 else generator.bytes(3)
        )
    raw.entries[at] = _of_strings(entry, tuple(strings))
    return f"{entry.key!r} has other strings"


def _change_tensor_type(raw: RawGguf, generator: np.random.Generator) -> str:
    at = int(generator.integers(len(raw.tensors)))
    tensor = raw.tensors[at]
    fitting = [n for n, kind in TENSOR_TYPES.items() if tensor.shape[0] % kind.block_weights == 0]
    kind = int(generator.choice(fitting))
    raw.tensors[at] = retyped(tensor, kind)
    return f"{tensor.name!r} is {TENSOR_TYPES[kind].name}"


def _change_shape(raw: RawGguf, generator: np.random.Generator) -> str:
    at = int(generator.integers(len(raw.tensors)))
    tensor = raw.tensors[at]
    shapes = [
        tuple(reversed(tensor.shape)),
        (*tensor.shape, 1)[:4],
        (*tensor.shape[:-1], tensor.shape[-1] + 1),
        (*tensor.shape[:-1], max(1, tensor.shape[-1] - 1)),
        (*tensor.shape[:-1], tensor.shape[-1] * 2),
        (*tensor.shape[:1], 1),
    ]
    shape = shapes[int(generator.integers(len(shapes)))]
    raw.tensors[at] = evolve(tensor, shape=shape, data=b"\x11" * n_bytes_of(shape, tensor.kind))
    return f"{tensor.name!r} has the shape {shape}"


def _change_tensors(raw: RawGguf, generator: np.random.Generator) -> str:
    at = int(generator.integers(len(raw.tensors)))
    tensor = raw.tensors[at]
    match int(generator.integers(4)):
        case 0:
            del raw.tensors[at]
            return f"without {tensor.name!r}"
        case 1:
            raw.tensors.append(evolve(tensor, name=tensor.name + b"x"))
            return f"{tensor.name!r} once more under another name"
        case 2:
            raw.tensors[at] = evolve(tensor, data=generator.bytes(len(tensor.data)))
            return f"{tensor.name!r} holds noise"
        case _:
            raw.tensors.reverse()
            return "tensors in another order"


_SHARE_OF_BYTE_DAMAGES: Final = 0.15
_SHARE_OF_FOREIGN_KEYS: Final = 0.3
_DAMAGES: Final[tuple[Callable[[RawGguf, np.random.Generator], str], ...]] = (
    _change_scalar,
    _change_scalar,
    _change_scalar,
    _change_kind,
    _drop_key,
    _change_array,
    _change_array_kind,
    _change_elements,
    _change_tensor_type,
    _change_shape,
    _change_tensors,
)


def _choose(
    raw: RawGguf, generator: np.random.Generator, wanted: Callable[[RawEntry], bool]
) -> tuple[int, RawEntry]:
    places = [at for at, entry in enumerate(raw.entries) if wanted(entry)]
    at = int(generator.choice(places))
    return at, raw.entries[at]


def _odd_entry(key: bytes, kind: ValueType, generator: np.random.Generator) -> RawEntry:
    entry = RawEntry(key=key, kind=int(kind), is_array=False, n=1, payload=b"")
    return evolve(entry, payload=_odd_payload(entry, generator))


def _odd_payload(entry: RawEntry, generator: np.random.Generator) -> bytes:
    """Give a value of the entry's type that nobody expects there, or one that is a little off."""
    kind = ValueType(entry.kind)
    if kind is ValueType.STRING:
        return packed_string(_ODD_STRINGS[int(generator.integers(len(_ODD_STRINGS)))])
    form = "<" + SCALAR_FORMATS[kind]
    if kind in (ValueType.FLOAT32, ValueType.FLOAT64):
        return struct.pack(form, _ODD_REALS[int(generator.integers(len(_ODD_REALS)))])
    width = struct.calcsize(form)
    old = int.from_bytes(entry.payload, "little")
    near = (old + 1, old - 1, old * 2, old // 2, old * 3, -1, *_ODD_INTEGERS)
    value = near[int(generator.integers(len(near)))] % (1 << 8 * width)
    return value.to_bytes(width, "little")


def _of_strings(entry: RawEntry, strings: tuple[bytes, ...]) -> RawEntry:
    return evolve(entry, n=len(strings), strings=strings, payload=b"".join(map(packed_string, strings)))
