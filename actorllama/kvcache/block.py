"""A run of tokens at an aligned position, and their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import Factory, field, frozen

from actorllama.kvcache.chain import BLOCK_TOKENS_MAX, TOKEN_BYTES, block_key, pack_tokens
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

__all__ = ["Block"]


def _checked_key(block: Block) -> str:
    require(is_key(block.parent), "parent", block.parent)
    check_tokens(block.tokens, name="tokens", n_min=1, n_max=BLOCK_TOKENS_MAX)
    check_worth(block.worth_s)
    return block_key(block.parent, block.tokens)


@frozen(kw_only=True)
class Block:
    """N consecutive tokens and their KV rows; shared by all sequences that are alike up to its end.

    Which tokens come before it, and in which namespace, its parent's key says; so its own key names all
    that its rows depend on. The payload is kept, not copied: nobody changes it afterwards.

    Raises:
        ValueError: A field is out of its bounds, as the fields' words say.
    """

    kind: Literal["block"] = field(default="block", init=False, repr=False)
    parent: str
    """Key of the block before, or the root (`root_key`) if there is none."""
    tokens: tuple[int, ...] = field(converter=token_ids, repr=show_tokens)
    """All of its tokens, ``0 <= id < 2**31``; as many as a block of its chain has."""
    payload: Buffer = field(converter=flat, repr=buffer_size, hash=False)
    """Their rows, in a form that describes itself; this room does not look into it."""
    worth_s: float = 0.0
    """Seconds of prefill that it saves; 0 if nobody knows."""
    spans: tuple[RowSpan, ...] = field(default=(), eq=False, repr=False)
    """Where in ``payload`` a lossy codec may round; not stored."""
    key: str = field(init=False, eq=False, default=Factory(_checked_key, takes_self=True))
    """Content address: `block_key` of parent and tokens."""

    @property
    def n_tail(self) -> int:
        """Zero: only a boundary has a tail."""
        return 0

    @property
    def n_bytes(self) -> int:
        """Size when encoded without a codec; RAM counts it as this much."""
        sections = {"TOKN": TOKEN_BYTES * len(self.tokens), "KVST": len(self.payload)}
        return sealed_bytes(sections, self._facts(Payload.of(self.payload)))

    def encode(self, *, mac_key: bytes | None = None, codec: str = "none") -> list[Buffer]:
        """Return the bytes of its file, in pieces for ``writev``; uncoded, the payload is its own buffer.

        Cost: the codec's, and one digest over what it makes.
        """
        payload = Payload.of(self.payload, codec=codec, spans=self.spans)
        sections = {"TOKN": pack_tokens(self.tokens), "KVST": payload.data}
        return seal(self.key, sections, self._facts(payload), mac_key=mac_key)

    @classmethod
    def read(
        cls,
        tokens: tuple[int, ...],
        sections: Mapping[str, memoryview],
        facts: Facts,
        *,
        limit_bytes: int | None,
    ) -> Block:
        """Make the block of a file whose digests hold; `decode` calls this.

        Raises:
            ValueError, TypeError: The content is none of a block.
            SnapshotMismatch: As `Payload.read`.
        """
        payload = Payload.read(sections, facts, limit_bytes=limit_bytes)
        worth_s = float_fact(facts, "worth_s")
        parent = text_fact(facts, "parent")
        block = cls(parent=parent, tokens=tokens, payload=payload.to_raw(), worth_s=worth_s)
        require(block._facts(payload) == facts, "META", facts)
        require(len(sections["LGTS"]) + len(sections["SMPL"]) == 0, "other sections", "of a snapshot")
        return block

    def has_right_key(self) -> bool:
        """Compute the key again from the content and compare."""
        return self.key == block_key(self.parent, self.tokens)

    def _facts(self, payload: Payload) -> Facts:
        return {"kind": self.kind, "parent": self.parent, "worth_s": float(self.worth_s), **payload.facts}
