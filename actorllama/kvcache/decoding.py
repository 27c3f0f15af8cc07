"""From the bytes of a file to the entry that they are."""

from __future__ import annotations

import struct
from typing import TypeAlias

from actorllama.errors import SnapshotCorrupt
from actorllama.kvcache.block import Block
from actorllama.kvcache.boundary import Boundary
from actorllama.kvcache.chain import TOKEN_BYTES
from actorllama.kvcache.header import Header
from actorllama.kvcache.meta import read_facts, text_fact
from actorllama.kvcache.snapshot import Snapshot

__all__ = ["StoredEntry", "decode"]

StoredEntry: TypeAlias = Snapshot | Block | Boundary

_KINDS: dict[str, type[Snapshot | Block | Boundary]] = {
    "snapshot": Snapshot,
    "block": Block,
    "boundary": Boundary,
}


def _kind_named(name: str) -> type[Snapshot | Block | Boundary]:
    if name not in _KINDS:
        raise ValueError(f"no kind of entry is called {name!r}")
    return _KINDS[name]


def decode(
    data: bytes | bytearray | memoryview,
    *,
    mac_key: bytes | None = None,
    path: str | None = None,
    limit_bytes: int | None = None,
    header: Header | None = None,
) -> StoredEntry:
    """Read an entry back, and believe no byte of it.

    Args:
        data: The whole file and nothing else. Large buffers of the result are views into it, unless they
            went through a codec.
        mac_key: The key that it must be signed with; ``None`` if it must not be signed.
        path: Where it came from, for the error.
        limit_bytes: Most bytes that a payload may have when it is decoded; no bound if ``None``.
        header: What `Header.parse` made of the beginning of ``data`` with this key; ``None`` if nobody has
            parsed it yet.

    Raises:
        SnapshotCorrupt: It is damaged, cut off, longer than it says, or not ours; ``section`` says where.
        SnapshotMismatch: Another version wrote it, it is signed with another key, its codec is not known
            here, or its payload is larger than the limit.

    Cost: one digest over all bytes, and the codec's; nothing large is copied where that is ``none``.
    """
    view = memoryview(data).cast("B").toreadonly()
    if header is None:
        header = Header.parse(view, mac_key=mac_key, path=path)
    sections = header.split(view, mac_key=mac_key, path=path)
    try:
        facts = read_facts(bytes(sections["META"]))
        kind = _kind_named(text_fact(facts, "kind"))
        tokens = struct.unpack(f"<{len(sections['TOKN']) // TOKEN_BYTES}i", sections["TOKN"])
        entry = kind.read(tokens, sections, facts, limit_bytes=limit_bytes)
    except (ValueError, TypeError, struct.error, RecursionError) as exc:
        # Digests hold and the content does not: our own bug, or a forger's file.
        raise SnapshotCorrupt(key=header.key, path=path, section="content") from exc
    if entry.key != header.key:
        raise SnapshotCorrupt(key=header.key, path=path, section="content")
    return entry
