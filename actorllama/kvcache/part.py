"""What blocks and boundaries have in common: rows of tokens that follow other rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, Self

from attrs import field, frozen

from actorllama.kvcache.chain import TOKEN_BYTES, pack_tokens
from actorllama.kvcache.codec_span import RowSpan
from actorllama.kvcache.fields import buffer_size, flat, require
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.meta import Facts, float_fact, text_fact
from actorllama.kvcache.payload import Payload, seal, sealed_bytes

__all__ = ["Part"]


@frozen(kw_only=True)
class Part(ABC):
    """Tokens and what the model computed for them, behind a parent.

    Which tokens come before them, and in which namespace, the parent's key says; so a part's own key names
    all that its rows depend on. The payload is kept, not copied: nobody changes it afterwards.
    """

    kind: Literal["block", "boundary"] = field(init=False, repr=False)
    key: str = field(init=False, eq=False)
    """Content address, computed when it is made."""
    parent: str
    """Key of the block before, or the root (`root_key`) if there is none."""
    payload: Buffer = field(converter=flat, repr=buffer_size, hash=False)
    """Their rows, in a form that describes itself; this room does not look into it."""
    worth_s: float = 0.0
    """Seconds of prefill that it saves; 0 if nobody knows."""
    spans: tuple[RowSpan, ...] = field(default=(), eq=False, repr=False)
    """Where in ``payload`` a lossy codec may round; not stored."""

    @property
    @abstractmethod
    def ids(self) -> tuple[int, ...]:
        """The tokens of its rows."""

    @classmethod
    @abstractmethod
    def of(cls, ids: tuple[int, ...], *, parent: str, payload: Buffer, worth_s: float) -> Self:
        """Make one.

        Raises:
            ValueError: A value is out of its bounds.
        """

    @abstractmethod
    def content_key(self) -> str:
        """Compute the key from the content."""

    def has_right_key(self) -> bool:
        """Compute the key again from the content and compare."""
        return self.key == self.content_key()

    def encode(self, *, mac_key: bytes | None = None, codec: str = "none") -> list[Buffer]:
        """Return the bytes of its file, in pieces for ``writev``; uncoded, the payload is its own buffer.

        Cost: the codec's, and one digest over what it makes.
        """
        payload = Payload.of(self.payload, codec=codec, spans=self.spans)
        sections = {"TOKN": pack_tokens(self.ids), "KVST": payload.data}
        return seal(self.key, sections, self.facts(payload), mac_key=mac_key)

    @classmethod
    def read(
        cls,
        ids: tuple[int, ...],
        sections: Mapping[str, memoryview],
        facts: Facts,
        *,
        limit_bytes: int | None,
    ) -> Self:
        """Make the part of a file whose digests hold; `decode` calls this.

        Raises:
            ValueError, TypeError: The content is none of such a part.
            SnapshotMismatch: As `Payload.read`.
        """
        payload = Payload.read(sections, facts, limit_bytes=limit_bytes)
        worth_s = float_fact(facts, "worth_s")
        part = cls.of(ids, parent=text_fact(facts, "parent"), payload=payload.to_raw(), worth_s=worth_s)
        require(part.facts(payload) == facts, "META", facts)
        require(len(sections["LGTS"]) + len(sections["SMPL"]) == 0, "other sections", "of a snapshot")
        return part

    @property
    def n_bytes(self) -> int:
        """Size when encoded without a codec; RAM counts it as this much."""
        return self._sealed_bytes

    @cached_property
    def _sealed_bytes(self) -> int:  # of what only passes through nobody asks
        sections = {"TOKN": TOKEN_BYTES * len(self.ids), "KVST": len(self.payload)}
        return sealed_bytes(sections, self.facts(Payload.of(self.payload)))

    def facts(self, payload: Payload) -> Facts:
        """Say what META says of it when its rows are written like this."""
        return {"kind": self.kind, "parent": self.parent, "worth_s": float(self.worth_s), **payload.facts}
