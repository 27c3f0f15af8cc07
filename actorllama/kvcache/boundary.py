"""What follows the last full block of a state: its tail, and all that cannot be cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import Factory, field, frozen

from actorllama.kvcache.chain import BLOCK_TOKENS_MAX, TOKEN_BYTES, boundary_key, pack_tokens
from actorllama.kvcache.codec_span import RowSpan
from actorllama.kvcache.fields import (
    buffer_size,
    check_tokens,
    check_worth,
    flat,
    is_key,
    require,
    show_tokens,
    token_ids,
)
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.meta import Facts, float_fact, text_fact
from actorllama.kvcache.payload import Payload, seal, sealed_bytes

__all__ = ["Boundary"]


def _checked_key(boundary: Boundary) -> str:
    require(is_key(boundary.parent), "parent", boundary.parent)
    check_tokens(boundary.tail, name="tail", n_min=0, n_max=BLOCK_TOKENS_MAX - 1)
    check_worth(boundary.worth_s)
    return boundary_key(boundary.parent, boundary.tail)


@frozen(kw_only=True)
class Boundary:
    """The end of a state: rows of 0..N-1 tail tokens, and whole sections that cannot be cut into blocks.

    With sliding windows or recurrent layers a state can only be gone on with from where one was saved;
    without, a boundary saves the unfinished block. The payload is kept, not copied: nobody changes it
    afterwards.

    Raises:
        ValueError: A field is out of its bounds, as the fields' words say.
    """

    kind: Literal["boundary"] = field(default="boundary", init=False, repr=False)
    parent: str
    """Key of the last full block, or the root (`root_key`) if there is none."""
    tail: tuple[int, ...] = field(converter=token_ids, repr=show_tokens)
    """Tokens behind the last full block, ``0 <= id < 2**31``: fewer than a block has."""
    payload: Buffer = field(converter=flat, repr=buffer_size, hash=False)
    """Rows and sections, in a form that describes itself; this room does not look into it."""
    worth_s: float = 0.0
    """Seconds of prefill that it saves; 0 if nobody knows."""
    spans: tuple[RowSpan, ...] = field(default=(), eq=False, repr=False)
    """Where in ``payload`` a lossy codec may round; not stored."""
    key: str = field(init=False, eq=False, default=Factory(_checked_key, takes_self=True))
    """Content address: `boundary_key` of parent and tail."""

    @property
    def n_tail(self) -> int:
        """Tokens of the tail."""
        return len(self.tail)

    @property
    def n_bytes(self) -> int:
        """Size when encoded without a codec; RAM counts it as this much."""
        sections = {"TOKN": TOKEN_BYTES * len(self.tail), "KVST": len(self.payload)}
        return sealed_bytes(sections, self._facts(Payload.of(self.payload)))

    def encode(self, *, mac_key: bytes | None = None, codec: str = "none") -> list[Buffer]:
        """Return the bytes of its file, in pieces for ``writev``; uncoded, the payload is its own buffer.

        Cost: the codec's, and one digest over what it makes.
        """
        payload = Payload.of(self.payload, codec=codec, spans=self.spans)
        sections = {"TOKN": pack_tokens(self.tail), "KVST": payload.data}
        return seal(self.key, sections, self._facts(payload), mac_key=mac_key)

    @classmethod
    def read(
        cls,
        tail: tuple[int, ...],
        sections: Mapping[str, memoryview],
        facts: Facts,
        *,
        limit_bytes: int | None,
    ) -> Boundary:
        """Make the boundary of a file whose digests hold; `decode` calls this.

        Raises:
            ValueError, TypeError: The content is none of a boundary.
            SnapshotMismatch: As `Payload.read`.
        """
        payload = Payload.read(sections, facts, limit_bytes=limit_bytes)
        worth_s = float_fact(facts, "worth_s")
        parent = text_fact(facts, "parent")
        boundary = cls(parent=parent, tail=tail, payload=payload.to_raw(), worth_s=worth_s)
        require(boundary._facts(payload) == facts, "META", facts)
        require(len(sections["LGTS"]) + len(sections["SMPL"]) == 0, "other sections", "of a snapshot")
        return boundary

    def has_right_key(self) -> bool:
        """Compute the key again from the content and compare."""
        return self.key == boundary_key(self.parent, self.tail)

    def _facts(self, payload: Payload) -> Facts:
        return {"kind": self.kind, "parent": self.parent, "worth_s": float(self.worth_s), **payload.facts}
