"""What follows the last full block of a state: its tail, and all that cannot be cut."""

from __future__ import annotations

from typing import Literal

from attrs import Factory, field, frozen

from actorllama.kvcache.chain import BLOCK_TOKENS_MAX, boundary_key
from actorllama.kvcache.fields import check_tokens, check_worth, is_key, require, show_tokens, token_ids
from actorllama.kvcache.header import Buffer
from actorllama.kvcache.part import Part

__all__ = ["Boundary"]


def _checked_key(boundary: Boundary) -> str:
    require(is_key(boundary.parent), "parent", boundary.parent)
    check_tokens(boundary.tail, name="tail", n_min=0, n_max=BLOCK_TOKENS_MAX - 1)
    check_worth(boundary.worth_s)
    return boundary.content_key()


@frozen(kw_only=True)
class Boundary(Part):
    """The end of a state: rows of 0..N-1 tail tokens, and whole sections that cannot be cut into blocks.

    With sliding windows or recurrent layers a state can only be gone on with from where one was saved;
    without, a boundary saves the unfinished block.

    Raises:
        ValueError: A field is out of its bounds, as the fields' words say.
    """

    kind: Literal["boundary"] = field(default="boundary", init=False, repr=False)
    tail: tuple[int, ...] = field(converter=token_ids, repr=show_tokens)
    """Tokens behind the last full block, ``0 <= id < 2**31``: fewer than a block has."""
    key: str = field(init=False, eq=False, default=Factory(_checked_key, takes_self=True))
    """Content address: `boundary_key` of parent and tail."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens of its rows: those of the tail."""
        return self.tail

    @property
    def n_tail(self) -> int:
        """Tokens of the tail."""
        return len(self.tail)

    @classmethod
    def of(cls, ids: tuple[int, ...], *, parent: str, payload: Buffer, worth_s: float) -> Boundary:
        """Make the boundary with these tokens as its tail.

        Raises:
            ValueError: A value is out of its bounds.
        """
        return cls(parent=parent, tail=ids, payload=payload, worth_s=worth_s)

    def content_key(self) -> str:
        """Compute the key from parent and tail."""
        return boundary_key(self.parent, self.tail)
