"""Tokens with the keys of their blocks, so that two prompts are compared in microseconds."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from actorllama.kvcache import Chain, chain_of

__all__ = ["Prefix", "common_cells"]


@frozen(kw_only=True)
class Prefix:
    """The tokens of a sequence from the first on, and their chain."""

    tokens: Sequence[int] = field(repr=lambda ids: f"<{len(ids)} tokens>")
    chain: Chain

    @classmethod
    def of(cls, namespace: str, tokens: Sequence[int], *, block_tokens: int) -> Prefix:
        """Compute the chain.

        Cost: about 1 µs per block, and 20 ns per token.
        """
        return cls(tokens=tokens, chain=chain_of(namespace, tokens, block_tokens=block_tokens))


def common_cells(one: Prefix, other: Prefix) -> int:
    """Count the tokens that two sequences have in common from the first on.

    Of different namespaces nothing is common, whatever the tokens are.

    Cost: a comparison of keys for each doubling of the blocks, and one of tokens within a block.
    """
    if one.chain.root != other.chain.root:
        return 0
    blocks, others = one.chain.blocks, other.chain.blocks
    least, most = 0, min(len(blocks), len(others))
    while least < most:  # a key names everything before it: equal keys, equal beginnings
        middle = (least + most + 1) // 2
        if blocks[middle - 1] == others[middle - 1]:
            least = middle
        else:
            most = middle - 1
    at = least * one.chain.block_tokens
    end = min(len(one.tokens), len(other.tokens))
    while at < end and one.tokens[at] == other.tokens[at]:
        at += 1
    return at
