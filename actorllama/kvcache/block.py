"""A run of tokens at an aligned position, and their rows."""

from __future__ import annotations

from typing import Literal

from attrs import Factory, field, frozen

from actorllama.kvcache.chain import BLOCK_TOKENS_MAX, block_key
from actorllama.kvcache.fields import check_tokens, check_worth, is_key, require, show_tokens, token_ids
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.part import Part

__all__ = ["Block"]


def _checked_key(block: Block) -> str:
    require(is_key(block.parent), "parent", block.parent)
    check_tokens(block.tokens, name="tokens", n_min=1, n_max=BLOCK_TOKENS_MAX)
    check_worth(block.worth_s)
    return block.content_key()


@frozen(kw_only=True)
class Block(Part):
    """N consecutive tokens and their KV rows; shared by all sequences that are alike up to its end.

    Raises:
        ValueError: A field is out of its bounds, as the fields' words say.
    """

    kind: Literal["block"] = field(default="block", init=False, repr=False)
    tokens: tuple[int, ...] = field(converter=token_ids, repr=show_tokens)
    """All of its tokens, ``0 <= id < 2**31``; as many as a block of its chain has."""
    key: str = field(init=False, eq=False, default=Factory(_checked_key, takes_self=True))
    """Content address: `block_key` of parent and tokens."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens of its rows: all of them."""
        return self.tokens

    @property
    def n_tail(self) -> int:
        """Zero: only a boundary has a tail."""
        return 0

    @classmethod
    def of(cls, ids: tuple[int, ...], *, parent: str, payload: Buffer, worth_s: float) -> Block:
        """Make the block of these tokens.

        Raises:
            ValueError: A value is out of its bounds.
        """
        return cls(parent=parent, tokens=ids, payload=payload, worth_s=worth_s)

    def content_key(self) -> str:
        """Compute the key from parent and tokens."""
        return block_key(self.parent, self.tokens)
