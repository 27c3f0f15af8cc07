"""Decide what the next step computes. Pure: values in, a plan out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Chunk", "PrefillView", "StepPlan", "plan_step"]

_LEAST_ROOM = 3  # three tokens can only be computed at once: cut, one of them would be a lone row


class PrefillView(NamedTuple):
    """A prompt that is not finished: which sequence, and how many of its tokens are left."""

    seq_id: int
    n_left: int


class Chunk(NamedTuple):
    """The next ``n_tokens`` of a sequence's prompt."""

    seq_id: int
    n_tokens: int


class StepPlan(NamedTuple):
    """One native call: a row for each of ``decode``, then the chunks of ``prefill`` in this order."""

    decode: Sequence[int]
    prefill: tuple[Chunk, ...]

    @property
    def n_tokens(self) -> int:
        """Rows of the batch."""
        return len(self.decode) + sum(chunk.n_tokens for chunk in self.prefill)


def plan_step(
    decoding: Sequence[int], prefilling: Sequence[PrefillView], *, n_batch: int, n_mixed: int
) -> StepPlan:
    """Fill one batch: every decoder first, then the prompts, fairly.

    The rest of the batch is shared by water-filling: each unfinished prompt gets an equal share,
    and what a short one does not need goes to the others, so no prompt starves and short ones
    finish early. Where there is too little room for everybody the oldest goes first, so that new
    short prompts cannot keep a long one waiting for ever. A chunk is never cut so that exactly one
    token of a prompt is left over, nor made of one token of a longer prompt: a lone row takes
    another path through llama.cpp's kernels and differs in its last bits (llama-notes 0), which
    would break ``exact``.

    Args:
        decoding: Sequence ids with a pending token, at most ``n_batch``.
        prefilling: Unfinished prompts, oldest first.
        n_batch: Tokens of a step at most, at least ``len(decoding)``, and 3 more where there is a prompt.
        n_mixed: Prompt tokens of a step at most while others decode (but 3): bounds their waiting.

    Returns:
        The plan; empty if there is nothing to do.
    """
    room = n_batch - len(decoding)
    if decoding:
        room = min(room, max(n_mixed, _LEAST_ROOM))
    chunks: list[Chunk] = []
    is_scarce = room < _LEAST_ROOM * len(prefilling)
    for index, view in enumerate(prefilling if is_scarce else _shortest_first(prefilling)):
        share = room // (len(prefilling) - index)
        n = _cut(view.n_left, share, room)
        if n > 0:
            chunks.append(Chunk(view.seq_id, n))
            room -= n
    return StepPlan(decoding, tuple(chunks))


def _shortest_first(prefilling: Sequence[PrefillView]) -> Sequence[PrefillView]:
    # Stable: prompts of equal length keep their order, so the oldest is served first.
    return sorted(prefilling, key=lambda view: view.n_left) if len(prefilling) > 1 else prefilling


def _cut(n_left: int, share: int, room: int) -> int:
    """Return how many of ``n_left`` tokens to take, close to ``share`` and never above ``room``."""
    if n_left <= max(share, 1):
        return min(n_left, room)
    # A share below two tokens is rounded up to a pair while there is room: one token alone would be
    # a lone row of this prompt, and waiting for ever would be starvation.
    n = max(share, 2)
    if n_left - n == 1:
        n = n - 1 if n > 2 else n_left
    return n if n <= room else 0
