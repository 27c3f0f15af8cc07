"""A turn boundary as a value and as bytes."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable
from hashlib import blake2b
from operator import index
from typing import TypeGuard

from attrs import Factory, field, frozen

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache.header import HEADER_BYTES, Buffer, Header

__all__ = ["Snapshot", "content_key", "decode"]

_TOKEN_MAX = (1 << 31) - 1
_N_TOKENS_MAX = 1 << 24
_LABEL_MAX = 1000  # characters; JSON writes each in at most 12 bytes
_NAMESPACE = re.compile(r"[0-9a-f]{1,128}")
_DIGEST_BYTES = 16


def content_key(*, namespace: str, tokens: Iterable[int], sampler: bytes) -> str:
    """Name what a snapshot is of: 32 hex digits, the same for the same content in any process.

    The KV bytes are not part of it: within a namespace, tokens determine them.
    """
    ids = list(tokens)
    digest = blake2b(digest_size=_DIGEST_BYTES, person=b"ALkv key")
    for part in (namespace.encode(), struct.pack(f"<{len(ids)}i", *ids), sampler):
        digest.update(struct.pack("<Q", len(part)))  # so that no two lists of parts run together alike
        digest.update(part)
    return digest.hexdigest()


def _flat(data: bytes | memoryview) -> Buffer:
    return data if isinstance(data, bytes) else memoryview(data).cast("B")


def _flat_or_none(data: bytes | memoryview | None) -> Buffer | None:
    return None if data is None else _flat(data)


def _token_ids(tokens: Iterable[int]) -> tuple[int, ...]:
    return tuple(map(index, tokens))


def _size(data: Buffer | None) -> str:
    return "None" if data is None else f"<{len(data)} bytes>"


def _checked_key(snapshot: Snapshot) -> str:
    _refuse_bad_fields(snapshot)
    return content_key(namespace=snapshot.namespace, tokens=snapshot.tokens, sampler=snapshot.sampler)


@frozen(kw_only=True)
class Snapshot:
    """Saved state of one sequence at a turn boundary.

    The buffers are kept, not copied: whoever makes a snapshot does not change them afterwards.

    Raises:
        ValueError: A field is out of its bounds, as the fields' words say.
    """

    namespace: str
    """Hex digest of everything that shapes KV: model file, build, KV types, layout, rope, adapters,
    tenant. At most 128 digits; the caller makes it."""
    tokens: tuple[int, ...] = field(converter=_token_ids, repr=lambda ids: f"<{len(ids)} tokens>")
    """All token ids of the sequence, ``0 <= id < 2**31``. The last is pending: sampled, not yet decoded."""
    n_prompt: int
    """How many of ``tokens``, from the first, the caller gave."""
    sampler: bytes = field(repr=_size)
    """State of sampler and random generator: a versioned record that this room does not look into."""
    kv: Buffer = field(converter=_flat, repr=_size, hash=False)
    """As llama.cpp wrote it, for `n_cells` cells."""
    logits: Buffer | None = field(default=None, converter=_flat_or_none, repr=_size, hash=False)
    """The row of float32 that the pending token was sampled from, or ``None``."""
    created_s: float = field(converter=float)
    """Wall clock, seconds since the epoch."""
    label: str = field(default="", repr=False)
    """Words for people, at most 1000 characters; may be a user's, so never in an event."""
    key: str = field(init=False, eq=False, default=Factory(_checked_key, takes_self=True))
    """Content address: `content_key` of namespace, tokens and sampler."""

    @property
    def n_cells(self) -> int:
        """Tokens whose rows are in ``kv``: all but the pending one."""
        return len(self.tokens) - 1

    @property
    def n_bytes(self) -> int:
        """Size of the encoded snapshot; every tier counts it as this much.

        In memory, ``tokens`` takes some 36 bytes per token instead of 4: nothing beside ``kv``.
        """
        logits = self.logits or b""
        arrays = 4 * len(self.tokens) + len(logits) + len(self.kv) + len(self.sampler)
        return HEADER_BYTES + arrays + len(_write_meta(self))

    def check_namespace(self, expected: str) -> None:
        """Refuse the snapshot unless it belongs to this namespace.

        Raises:
            SnapshotMismatch: It was saved by another model, build or layout.
        """
        if self.namespace != expected:
            raise SnapshotMismatch(expected=expected, actual=self.namespace)

    def encode(self, *, mac_key: bytes | None = None) -> list[Buffer]:
        """Return the bytes, in pieces for ``writev``; the large ones are the snapshot's own buffers.

        Cost: one blake2b over all bytes.
        """
        sections: dict[str, Buffer] = {
            "TOKN": struct.pack(f"<{len(self.tokens)}i", *self.tokens),
            "LGTS": self.logits or b"",
            "KVST": self.kv,
            "SMPL": self.sampler,
            "META": _write_meta(self),
        }
        header = Header.describe(self.key, sections)
        return [header.to_bytes(mac_key=mac_key), *sections.values()]


def decode(
    data: bytes | bytearray | memoryview, *, mac_key: bytes | None = None, path: str | None = None
) -> Snapshot:
    """Read a snapshot back, and believe no byte of it.

    Args:
        data: The whole file and nothing else. ``kv`` and ``logits`` of the result are views into it.
        mac_key: The key that it must be signed with; ``None`` if it must not be signed.
        path: Where it came from, for the error.

    Raises:
        SnapshotCorrupt: It is damaged, cut off, longer than it says, or not ours; ``section`` says where.
        SnapshotMismatch: Another version wrote it, or it is signed with another key.

    Cost: one blake2b over all bytes; ``kv`` is not copied.
    """
    view = memoryview(data).cast("B").toreadonly()
    header = Header.parse(view, mac_key=mac_key, path=path)
    sections = header.split(view, path=path)
    try:
        namespace, n_prompt, created_s, label = _read_meta(bytes(sections["META"]))
        snapshot = Snapshot(
            namespace=namespace,
            tokens=struct.unpack(f"<{len(sections['TOKN']) // 4}i", sections["TOKN"]),
            n_prompt=n_prompt,
            sampler=bytes(sections["SMPL"]),
            kv=sections["KVST"],
            logits=sections["LGTS"] if len(sections["LGTS"]) else None,
            created_s=created_s,
            label=label,
        )
        is_canonical = _write_meta(snapshot) == bytes(sections["META"])
    except (ValueError, TypeError, struct.error, RecursionError) as exc:
        # Digests hold and the content does not: our own bug, or a forger's file.
        raise SnapshotCorrupt(key=header.key, path=path, section="content") from exc
    if not is_canonical or snapshot.key != header.key:
        raise SnapshotCorrupt(key=header.key, path=path, section="content")
    return snapshot


def _write_meta(snapshot: Snapshot) -> bytes:
    facts = {
        "created_s": snapshot.created_s,
        "label": snapshot.label,
        "n_prompt": snapshot.n_prompt,
        "namespace": snapshot.namespace,
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _read_meta(text: bytes) -> tuple[str, int, float, str]:
    facts: object = json.loads(text)
    match facts:
        case {
            "created_s": float() as created_s,
            "label": str() as label,
            "n_prompt": int() as n_prompt,
            "namespace": str() as namespace,
        }:
            return namespace, n_prompt, created_s, label
        case _:
            raise ValueError("META lacks a field")


def _refuse_bad_fields(snapshot: Snapshot) -> None:
    """Check what the hints cannot say, for bytes from a disk and for callers alike."""
    _require(_NAMESPACE.fullmatch(snapshot.namespace) is not None, "namespace", snapshot.namespace)
    _require(1 <= len(snapshot.tokens) <= _N_TOKENS_MAX, "len(tokens)", len(snapshot.tokens))
    _require(min(snapshot.tokens) >= 0, "min(tokens)", min(snapshot.tokens))
    _require(max(snapshot.tokens) <= _TOKEN_MAX, "max(tokens)", max(snapshot.tokens))
    _require(_is_count(snapshot.n_prompt, len(snapshot.tokens)), "n_prompt", snapshot.n_prompt)
    _require(snapshot.logits is None or len(snapshot.logits) > 0, "len(logits)", 0)
    _require(math.isfinite(snapshot.created_s), "created_s", snapshot.created_s)
    _require(len(snapshot.label) <= _LABEL_MAX, "len(label)", len(snapshot.label))


def _is_count(value: object, n_max: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= n_max


def _require(holds: bool, name: str, value: object) -> None:  # noqa: FBT001 (an assertion with words)
    if not holds:
        raise ValueError(f"a snapshot cannot have {name} = {value!r}")
