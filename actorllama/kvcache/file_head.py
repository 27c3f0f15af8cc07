"""What a stored file says of itself, read without its rows."""

from __future__ import annotations

import os
from typing import Final

from attrs import field, frozen

from actorllama.errors import SnapshotCorrupt
from actorllama.kvcache.chain import TOKEN_BYTES, block_keys, packed_boundary_key, root_key
from actorllama.kvcache.directory import Directory
from actorllama.kvcache.entry import EntryKind
from actorllama.kvcache.fields import buffer_size
from actorllama.kvcache.header import HEADER_BYTES, SECTIONS, Header
from actorllama.kvcache.meta import Facts, float_fact, int_fact, read_facts, text_fact

__all__ = ["FileHead", "read_head"]

_KINDS: Final[dict[str, EntryKind]] = {"snapshot": "snapshot", "block": "block", "boundary": "boundary"}


@frozen(kw_only=True)
class FileHead:
    """The facts of one file, and the tokens of a snapshot; its rows were neither read nor checked."""

    kind: EntryKind
    key: str
    n_tokens: int
    n_prompt: int = 0
    """Of a snapshot: how many of its tokens the caller gave."""
    codec: str
    raw_bytes: int
    """Bytes of its rows when they are decoded."""
    parent: str | None = None
    """Of a block or boundary: the key before it, which may be a root."""
    namespace: str | None = None
    """Of a snapshot; rows do not know theirs."""
    packed: bytes = field(default=b"", repr=buffer_size)
    """Token ids of a snapshot as its file has them: a hundred thousand turns are looked at together."""
    created_s: float | None = None
    label: str = ""
    block_tokens: int | None = None
    has_blocks: bool = False
    has_boundary: bool = False

    @property
    def root(self) -> str | None:
        """Key of what the chain of a snapshot begins with; ``None`` if it has no chain."""
        if self.namespace is None or self.block_tokens is None:
            return None
        return root_key(self.namespace, block_tokens=self.block_tokens)

    def parts(self) -> tuple[str, ...]:
        """Compute the keys of a snapshot's rows, root first; none if they are in its own file.

        Cost: as `chain_of`.
        """
        root = self.root
        if root is None or self.block_tokens is None:
            return ()
        cells = self.packed[:-TOKEN_BYTES]
        blocks = tuple(block_keys(root, cells, block_tokens=self.block_tokens))
        tail = cells[TOKEN_BYTES * self.block_tokens * len(blocks) :]
        end = (packed_boundary_key(blocks[-1] if blocks else root, tail),) if self.has_boundary else ()
        return (*blocks, *end) if self.has_blocks else end


def read_head(directory: Directory, path: str, key: str) -> FileHead:
    """Read header, facts and, of a snapshot, tokens, each held against its digest; nothing is changed.

    Raises:
        OSError: The system could not read it.
        SnapshotCorrupt: It is damaged where it was looked at, or is under another's name. It stays where
            it is.
        SnapshotMismatch: It is of another version or MAC key.

    Cost: two or three small reads.
    """
    fd = directory.files.open(path, os.O_RDONLY)
    try:
        header = Header.parse(os.pread(fd, HEADER_BYTES, 0), mac_key=directory.mac_key, path=path)
        if header.key != key:
            raise SnapshotCorrupt(key=key, path=path, section="name")
        facts = read_facts(_section(directory, fd, header, "META", path))
        kind = _KINDS[text_fact(facts, "kind")]
        packed = _section(directory, fd, header, "TOKN", path) if kind == "snapshot" else b""
        return _head(kind, header, facts, packed)
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise SnapshotCorrupt(key=key, path=path, section="content") from exc
    finally:
        directory.close(fd)


def _section(directory: Directory, fd: int, header: Header, tag: str, path: str) -> bytes:
    index = SECTIONS.index(tag)
    if os.fstat(fd).st_size != header.n_bytes:  # before anything is allocated for it
        raise SnapshotCorrupt(key=header.key, path=path, section="length")
    data = os.pread(fd, header.lengths[index], HEADER_BYTES + sum(header.lengths[:index]))
    if not header.has_section(tag, data, mac_key=directory.mac_key):
        raise SnapshotCorrupt(key=header.key, path=path, section=tag)
    return data


def _head(kind: EntryKind, header: Header, facts: Facts, packed: bytes) -> FileHead:
    n_tokens = header.lengths[SECTIONS.index("TOKN")] // TOKEN_BYTES
    codec, raw_bytes = text_fact(facts, "codec"), int_fact(facts, "raw_bytes")
    if kind != "snapshot":
        parent = text_fact(facts, "parent")
        return FileHead(
            kind=kind, key=header.key, n_tokens=n_tokens, codec=codec, raw_bytes=raw_bytes, parent=parent
        )
    return FileHead(
        kind=kind,
        key=header.key,
        n_tokens=n_tokens,
        n_prompt=int_fact(facts, "n_prompt"),
        codec=codec,
        raw_bytes=raw_bytes,
        namespace=text_fact(facts, "namespace"),
        packed=packed,
        created_s=float_fact(facts, "created_s"),
        label=text_fact(facts, "label"),
        block_tokens=None if facts.get("block_tokens") is None else int_fact(facts, "block_tokens"),
        has_blocks=facts.get("has_blocks") is True,
        has_boundary=facts.get("has_boundary") is True,
    )
