"""What every tier keeps: one protocol for snapshots, blocks and boundaries."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

from actorllama.kvcache.header import Buffer

__all__ = ["Entry", "EntryFacts", "EntryKind"]

EntryKind: TypeAlias = Literal["snapshot", "block", "boundary"]


class EntryFacts(NamedTuple):
    """What an index knows of an entry. A tuple, not an attrs value: 100,000 are made at start."""

    kind: EntryKind
    key: str
    parent: str | None
    """Key of the entry that this one is of no use without; of a block or boundary it may be a root, which
    no entry has. ``None`` if it needs no other, or that is not known."""
    n_tail: int
    """Tokens of a boundary's tail; 0 for the other kinds."""


class Entry(Protocol):
    """An immutable, content-addressed part of a saved state: a `Snapshot`, a `Block` or a `Boundary`."""

    @property
    def kind(self) -> EntryKind:
        """What it is."""
        ...

    @property
    def key(self) -> str:
        """Content address, 32 hex digits."""
        ...

    @property
    def parent(self) -> str | None:
        """As in `EntryFacts`."""
        ...

    @property
    def n_tail(self) -> int:
        """As in `EntryFacts`."""
        ...

    @property
    def worth_s(self) -> float:
        """Seconds of prefill that it saves; 0 if nobody knows."""
        ...

    @property
    def n_bytes(self) -> int:
        """Size when encoded without a codec; RAM counts it as this much."""
        ...

    def encode(self, *, mac_key: bytes | None = None, codec: str = "none") -> list[Buffer]:
        """Return the bytes of its file, in pieces for ``writev``."""
        ...

    def has_right_key(self) -> bool:
        """Compute the key again from the content and compare."""
        ...
