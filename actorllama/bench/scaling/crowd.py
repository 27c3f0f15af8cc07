"""Conversations without a model: they begin alike and go on each in its own way."""

from __future__ import annotations

from typing import Final

from actorllama.kvcache import Block, Boundary, Snapshot, StoredEntry, chain_of

__all__ = ["BLOCK_TOKENS", "NAMESPACE", "N_SHARED_TOKENS", "Crowd"]

NAMESPACE: Final = "5ca1e"
BLOCK_TOKENS: Final = 16
N_SHARED_TOKENS: Final = 8 * BLOCK_TOKENS

_N_TAIL: Final = 3
_PENDING: Final = 7
_BASE: Final = 200  # of the digits that make a conversation its own
_PAYLOAD: Final = bytes(64)  # one buffer for all: what counts here is the entries


class Crowd:
    """Makes the tokens and the entries of a conversation by its number; nothing is kept but the beginning.

    Owner: whoever made it.
    """

    def __init__(self) -> None:
        """Make the common beginning."""
        self._begin = tuple(3 + index % _BASE for index in range(N_SHARED_TOKENS))
        chain = chain_of(NAMESPACE, self._begin, block_tokens=BLOCK_TOKENS)
        parents = (chain.root, *chain.blocks)
        self.shared: tuple[StoredEntry, ...] = tuple(
            Block(
                parent=parents[index],
                tokens=self._begin[BLOCK_TOKENS * index : BLOCK_TOKENS * (index + 1)],
                payload=_PAYLOAD,
                worth_s=0.5,
            )
            for index in range(len(chain.blocks))
        )
        """The blocks that all have, root first."""

    def tokens(self, number: int) -> tuple[int, ...]:
        """Give all tokens of a conversation; the last one is pending."""
        own: list[int] = []
        rest = number
        for _ in range(BLOCK_TOKENS):
            rest, digit = divmod(rest, _BASE)
            own.append(3 + digit)
        return (*self._begin, *own, *own[:_N_TAIL], _PENDING)

    def entries(self, number: int) -> tuple[StoredEntry, ...]:
        """Make what only this conversation has: a block, a boundary, a snapshot."""
        tokens = self.tokens(number)
        chain = chain_of(NAMESPACE, tokens[:-1], block_tokens=BLOCK_TOKENS)
        own = tokens[N_SHARED_TOKENS : N_SHARED_TOKENS + BLOCK_TOKENS]
        return (
            Block(parent=chain.blocks[-2], tokens=own, payload=_PAYLOAD, worth_s=0.5),
            Boundary(parent=chain.parent, tail=chain.tail, payload=_PAYLOAD),
            Snapshot(
                namespace=NAMESPACE,
                tokens=tokens,
                n_prompt=N_SHARED_TOKENS,
                sampler=b"",
                block_tokens=BLOCK_TOKENS,
                has_boundary=True,
                created_s=0.0,
            ),
        )
