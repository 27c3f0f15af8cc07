"""How the cells of a sequence were computed: what tells them apart although their tokens are the same.

A token that is computed as the only one of its sequence in a micro-batch (the pending token of a turn that
decodes) has other last bits than the same token as a part of a prompt (``plan.py``). So a reply that a turn
has decoded, and the same reply sent again as a part of a prompt, are two things: who asks for one must
never get the other. A **marked** token is a token id with a bit for "computed alone"; the cache, the live
sequences and the snapshots know nothing but marked tokens, so their keys differ where the rows do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["alone", "computed", "plain"]

_ALONE: Final = 1 << 30  # above every vocabulary, and still a positive 32-bit number


def alone(tokens: Iterable[int]) -> tuple[int, ...]:
    """Mark tokens as computed one by one."""
    return tuple(token | _ALONE for token in tokens)


def plain(marked: Iterable[int]) -> tuple[int, ...]:
    """Return token ids without their marks."""
    return tuple(token & ~_ALONE for token in marked)


def computed(
    asked: Sequence[int], past: Sequence[int], *, n_restored: int, reply: Iterable[int]
) -> tuple[int, ...]:
    """Mark the tokens of a turn as they were really computed.

    Args:
        asked: Token ids of its prompt.
        past: Marked tokens that the prompt begins with and that were to be had without computing them.
        n_restored: How many of the prompt's tokens were; the others were computed with the prompt.
        reply: Token ids that it generated.

    Returns:
        Prompt and reply, marked.
    """
    n_past = min(len(past), n_restored)
    rest = tuple(asked[n_past:])
    if len(asked) - n_restored == 1:  # a row of its own among the decoding turns
        rest = (*rest[:-1], *alone(rest[-1:]))
    return (*past[:n_past], *rest, *alone(reply))
