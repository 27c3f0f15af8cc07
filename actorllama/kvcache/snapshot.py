"""A turn boundary as a value and as bytes."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Literal

from attrs import Factory, field, frozen

from actorllama.errors import SnapshotMismatch
from actorllama.kvcache.chain import TOKEN_BYTES, Chain, chain_of, pack_tokens
from actorllama.kvcache.fields import (
    buffer_size,
    check_tokens,
    check_worth,
    flat,
    is_count,
    require,
    show_tokens,
    token_ids,
)
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.meta import Facts, float_fact, int_fact, text_fact
from actorllama.kvcache.payload import seal, sealed_bytes

__all__ = ["Snapshot", "content_key"]

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


def _flat_or_none(data: bytes | memoryview | None) -> Buffer | None:
    return None if data is None else flat(data)


def _checked_key(snapshot: Snapshot) -> str:
    _refuse_bad_fields(snapshot)
    return content_key(namespace=snapshot.namespace, tokens=snapshot.tokens, sampler=snapshot.sampler)


def _parts(snapshot: Snapshot) -> tuple[str, ...]:
    chain = snapshot.chain()
    if chain is None:
        return ()
    blocks = chain.blocks if snapshot.has_blocks else ()
    return (*blocks, chain.boundary) if snapshot.has_boundary else blocks


@frozen(kw_only=True)
class Snapshot:
    """Saved state of one sequence at a turn boundary.

    Its rows are either its own, all in ``kv``, or those of other entries: the chain of blocks of its cells,
    and what follows the last of them. The buffers are kept, not copied: whoever makes a snapshot does not
    change them afterwards.

    Raises:
        ValueError: A field is out of its bounds, as the fields' words say.
    """

    kind: Literal["snapshot"] = field(default="snapshot", init=False, repr=False)
    namespace: str
    """Hex digest of everything that shapes KV: model file, build, KV types, layout, rope, adapters,
    tenant. At most 128 digits; the caller makes it."""
    tokens: tuple[int, ...] = field(converter=token_ids, repr=show_tokens)
    """All token ids of the sequence, ``0 <= id < 2**31``. The last is pending: sampled, not yet decoded."""
    n_prompt: int
    """How many of ``tokens``, from the first, the caller gave."""
    sampler: bytes = field(repr=buffer_size)
    """State of sampler and random generator: a versioned record that this room does not look into."""
    kv: Buffer | None = field(default=None, converter=_flat_or_none, repr=buffer_size, hash=False)
    """As llama.cpp wrote it, for `n_cells` cells; ``None`` if the rows are those of other entries."""
    block_tokens: int | None = None
    """Tokens of a block of its chain; ``None`` if ``kv`` has the rows. One of the two is given."""
    has_blocks: bool = True
    """Whether rows of full blocks are in blocks; not where all sections are whole (recurrent)."""
    has_boundary: bool = False
    """Whether a boundary follows the last full block: for a tail, or for sections that are whole."""
    logits: Buffer | None = field(default=None, converter=_flat_or_none, repr=buffer_size, hash=False)
    """The row of float32 that the pending token was sampled from, or ``None``."""
    created_s: float = field(converter=float)
    """Wall clock, seconds since the epoch."""
    label: str = field(default="", repr=False)
    """Words for people, at most 1000 characters; may be a user's, so never in an event."""
    worth_s: float = 0.0
    """Seconds of prefill that it saves by itself; 0 if nobody knows, or if others have its rows."""
    key: str = field(init=False, eq=False, default=Factory(_checked_key, takes_self=True))
    """Content address: `content_key` of namespace, tokens and sampler."""
    parts: tuple[str, ...] = field(init=False, eq=False, repr=False, default=Factory(_parts, takes_self=True))
    """Keys of the entries that have its rows: blocks in order, then the boundary. None if ``kv`` has them."""

    @property
    def n_cells(self) -> int:
        """Tokens whose rows are in ``kv``: all but the pending one."""
        return len(self.tokens) - 1

    @property
    def parent(self) -> str | None:
        """The last of ``parts``; ``None`` if there are none."""
        return self.parts[-1] if self.parts else None

    @property
    def n_tail(self) -> int:
        """Zero: only a boundary has a tail."""
        return 0

    @property
    def n_bytes(self) -> int:
        """Size of the encoded snapshot; every tier counts it as this much.

        In memory, ``tokens`` takes some 36 bytes per token instead of 4: nothing beside the rows.
        """
        sections = {
            "TOKN": TOKEN_BYTES * len(self.tokens),
            "LGTS": len(self.logits or b""),
            "KVST": len(self.kv or b""),
            "SMPL": len(self.sampler),
        }
        return sealed_bytes(sections, self._facts())

    def chain(self) -> Chain | None:
        """Compute the keys of its cells; ``None`` if ``kv`` has the rows.

        Cost: as `chain_of`.
        """
        if self.block_tokens is None:
            return None
        return chain_of(self.namespace, self.tokens[:-1], block_tokens=self.block_tokens)

    def check_namespace(self, expected: str) -> None:
        """Refuse the snapshot unless it belongs to this namespace.

        Raises:
            SnapshotMismatch: It was saved by another model, build or layout.
        """
        if self.namespace != expected:
            raise SnapshotMismatch(expected=expected, actual=self.namespace)

    def encode(self, *, mac_key: bytes | None = None, codec: str = "none") -> list[Buffer]:
        """Return the bytes, in pieces for ``writev``; the large ones are the snapshot's own buffers.

        No codec is used: what can be cut is in blocks, and what cannot is read back soonest as it is.

        Cost: one digest over all bytes.
        """
        del codec
        sections: dict[str, Buffer] = {
            "TOKN": pack_tokens(self.tokens),
            "LGTS": self.logits or b"",
            "KVST": self.kv or b"",
            "SMPL": self.sampler,
        }
        return seal(self.key, sections, self._facts(), mac_key=mac_key)

    @classmethod
    def read(
        cls,
        tokens: tuple[int, ...],
        sections: Mapping[str, memoryview],
        facts: Facts,
        *,
        limit_bytes: int | None,
    ) -> Snapshot:
        """Make the snapshot of a file whose digests hold; `decode` calls this.

        Raises:
            ValueError, TypeError: The content is none of a snapshot.
        """
        del limit_bytes  # nothing becomes larger than it is
        block_tokens = None if facts.get("block_tokens") is None else int_fact(facts, "block_tokens")
        kv, logits = sections["KVST"], sections["LGTS"]
        require(block_tokens is None or not len(kv), "kv", kv)
        snapshot = cls(
            namespace=text_fact(facts, "namespace"),
            tokens=tokens,
            n_prompt=int_fact(facts, "n_prompt"),
            sampler=bytes(sections["SMPL"]),
            kv=kv if block_tokens is None else None,
            block_tokens=block_tokens,
            has_blocks=facts.get("has_blocks") is True,
            has_boundary=facts.get("has_boundary") is True,
            logits=logits if len(logits) else None,
            created_s=float_fact(facts, "created_s"),
            label=text_fact(facts, "label"),
            worth_s=float_fact(facts, "worth_s"),
        )
        require(snapshot._facts() == facts, "META", facts)
        return snapshot

    def has_right_key(self) -> bool:
        """Compute the key again from the content and compare."""
        return self.key == content_key(namespace=self.namespace, tokens=self.tokens, sampler=self.sampler)

    def _facts(self) -> Facts:
        return {
            "block_tokens": self.block_tokens,
            "codec": "none",
            "created_s": self.created_s,
            "has_blocks": self.has_blocks,
            "has_boundary": self.has_boundary,
            "kind": self.kind,
            "label": self.label,
            "n_prompt": self.n_prompt,
            "namespace": self.namespace,
            "raw_bytes": len(self.kv or b""),
            "worth_s": float(self.worth_s),
        }


def _refuse_bad_fields(snapshot: Snapshot) -> None:
    """Check what the hints cannot say, for bytes from a disk and for callers alike."""
    require(_NAMESPACE.fullmatch(snapshot.namespace) is not None, "namespace", snapshot.namespace)
    check_tokens(snapshot.tokens, name="tokens", n_min=1, n_max=_N_TOKENS_MAX)
    require(is_count(snapshot.n_prompt, len(snapshot.tokens)), "n_prompt", snapshot.n_prompt)
    require(snapshot.logits is None or len(snapshot.logits) > 0, "len(logits)", 0)
    require(math.isfinite(snapshot.created_s), "created_s", snapshot.created_s)
    require(len(snapshot.label) <= _LABEL_MAX, "len(label)", len(snapshot.label))
    check_worth(snapshot.worth_s)
    has_rows = snapshot.kv is not None
    require(
        has_rows == (snapshot.block_tokens is None), "kv and block_tokens", (has_rows, snapshot.block_tokens)
    )
    require(not (has_rows and snapshot.has_boundary), "has_boundary", snapshot.has_boundary)
