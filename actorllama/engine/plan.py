"""Decide what the next step computes. Pure: values in, a plan out.

llama.cpp cuts a batch of isolated sequences into micro-batches (``llama_batch_allocr::split_equal``): in the
order of the rows, sequences whose ids follow each other without a gap come together, with equally many tokens
of each. A token that is computed as the only one of its sequence in a micro-batch goes through other kernels
of attention than one among several, and differs in its last bits: with quantised weights in 3 to 8 of 100
prompts, with others always. Nothing else about neighbours is seen with quantised weights; with F32, F16 and
BF16 weights it also matters whether a micro-batch has one row or more, and one output or more. So ``exact``
needs this of a plan:

* single rows (a pending token, or the only token of a prompt that is left) and chunks of two tokens and more
  never share a micro-batch: a step computes the one or the other, in turns;
* neighbours whose chunks differ in length do not share one either: the rest of the longer may be one token;
* a chunk fits into one micro-batch, and never leaves one token of its prompt over;
* where single rows are a kind of their own (`plan_bridges`), no micro-batch has only one.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from attrs import frozen

__all__ = [
    "Chunk",
    "PrefillView",
    "StepPlan",
    "StepRules",
    "plan_bridges",
    "plan_step",
    "room_after",
    "split_plan",
]

_LEAST_ROOM = 3  # three tokens can only be computed at once: cut, one of them would be a single row


class PrefillView(NamedTuple):
    """A prompt that is not finished: which sequence, and how many of its tokens are left."""

    seq_id: int
    n_left: int


class Chunk(NamedTuple):
    """The next ``n_tokens`` of a sequence's prompt."""

    seq_id: int
    n_tokens: int


class StepPlan(NamedTuple):
    """One native call: a row for each of ``decode``, then the chunks of ``prefill``, both in this order."""

    decode: Sequence[int]
    prefill: tuple[Chunk, ...]

    @property
    def n_tokens(self) -> int:
        """Rows of the batch."""
        return len(self.decode) + sum(chunk.n_tokens for chunk in self.prefill)


@frozen(kw_only=True)
class StepRules:
    """What holds for every step of one context."""

    n_batch: int
    """Tokens of a step at most: at least 3 more than there are single rows, where it ``mixes``."""
    n_ubatch: int
    """Tokens that llama.cpp computes at once; below three no prompt of three can be computed exactly."""
    n_mixed: int
    """Prompt tokens at most (but 3) between two steps of those who decode: bounds their waiting."""
    mixes: bool
    """Whether a step may hold single rows and chunks: where streams are isolated it would not be faster."""
    n_together: int
    """Prompt tokens from which on a call takes as long for each, however many there are."""

    @property
    def n_waited(self) -> int:
        """Prompt tokens that single rows wait for at most, between two of their steps."""
        return max(self.n_mixed, _LEAST_ROOM)


def plan_step(
    single: Sequence[int], prefilling: Sequence[PrefillView], rules: StepRules, *, n_room: int
) -> StepPlan:
    """Fill one batch: every single row, or the prompts, fairly.

    What a step has for prompts is shared by water-filling: each unfinished prompt gets an equal share,
    and what a short one does not need goes to the others, so no prompt starves and short ones
    finish early. Where there is too little room for everybody the oldest goes first, so that new
    short prompts cannot keep a long one waiting for ever. A chunk is never cut so that exactly one
    token of a prompt is left over, nor made of one token of a longer prompt.

    Args:
        single: Sequence ids with one token to compute, ascending, at most ``n_batch``.
        prefilling: Unfinished prompts of two tokens and more, oldest first.
        rules: Of this context.
        n_room: Prompt tokens that the single rows still wait for; 0 if it is their turn. `room_after` counts.

    Returns:
        The plan; empty if there is nothing to do.
    """
    if not prefilling or (single and not rules.mixes and n_room == 0):
        return StepPlan(single, ())
    beside = single if rules.mixes else ()
    room = rules.n_batch - len(beside)
    if single:
        room = min(room, rules.n_waited if rules.mixes else n_room)
    chunks = _fill(prefilling, room, n_most=max(rules.n_ubatch, _LEAST_ROOM))
    return StepPlan(beside, tuple(chunks if rules.mixes else _apart(chunks, rules.n_ubatch)))


def room_after(plan: StepPlan, single: Sequence[int], rules: StepRules, *, n_room: int) -> int:
    """Say how many prompt tokens single rows will wait for after a plan; 0 if it is their turn then.

    Args:
        plan: Of `plan_step`.
        single: The single rows there were, in the plan or waiting.
        rules: Of this context.
        n_room: What it was before.
    """
    if plan.decode or not single:
        return rules.n_waited
    n_left = n_room - plan.n_tokens
    return n_left if n_left >= _LEAST_ROOM else 0


def split_plan(plan: StepPlan, prefilling: Sequence[PrefillView], rules: StepRules) -> tuple[StepPlan, ...]:
    """Cut a plan into calls that are made one after the other, single rows with the first.

    Prompts that end come first, the shortest before the others: where a call takes as long as its tokens, the
    last of them has its first token when it would have had it anyway, and all others earlier. No call has
    fewer than ``n_together`` prompt tokens if another prompt could join.

    Args:
        plan: Of `plan_step`.
        prefilling: What it was made of.
        rules: Of this context.

    Returns:
        The plan itself, if it is one call.
    """
    if len(plan.prefill) < 2:
        return (plan,)
    ages = {view.seq_id: (age, view.n_left) for age, view in enumerate(prefilling)}

    def rank(chunk: Chunk) -> tuple[bool, int, int]:
        age, n_left = ages[chunk.seq_id]
        is_last = chunk.n_tokens == n_left
        return not is_last, chunk.n_tokens if is_last else 0, age

    calls: list[list[Chunk]] = [[]]
    for chunk in sorted(plan.prefill, key=rank):
        if sum(one.n_tokens for one in calls[-1]) >= rules.n_together:
            calls.append([])
        calls[-1].append(chunk)
    if len(calls) == 1:
        return (plan,)
    parts = [tuple(call if rules.mixes else _apart(call, rules.n_ubatch)) for call in calls]
    return (StepPlan(plan.decode, parts[0]), *(StepPlan((), part) for part in parts[1:]))


def plan_bridges(single: Sequence[int], *, n_seq: int, full: Container[int]) -> tuple[int, ...]:
    """Choose the sequences that lend a row, so that no micro-batch of single rows has only one.

    A lent row puts any token at the next position of its sequence and is taken back after the step.

    Args:
        single: Sequence ids of the step's rows, ascending.
        n_seq: Sequences of the context; with one, nobody can lend.
        full: Sequences without a free cell.

    Returns:
        Sequence ids, ascending, none of ``single``. Where both neighbours of a row are full, it stays alone.
    """
    rows = set(single)
    for seq_id in single:
        if seq_id - 1 in rows or seq_id + 1 in rows:
            continue
        # The next one first: it may be the gap before another row that is alone.
        for neighbour in (seq_id + 1, seq_id - 1):
            if 0 <= neighbour < n_seq and neighbour not in full:
                rows.add(neighbour)
                break
    return tuple(sorted(rows.difference(single)))


def _fill(prefilling: Sequence[PrefillView], room: int, *, n_most: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    is_scarce = room < _LEAST_ROOM * len(prefilling)
    for index, view in enumerate(prefilling if is_scarce else _shortest_first(prefilling)):
        share = min(room // (len(prefilling) - index), n_most)
        n = _cut(view.n_left, share, room)
        if n > 0:
            chunks.append(Chunk(view.seq_id, n))
            room -= n
    return chunks


def _shortest_first(prefilling: Sequence[PrefillView]) -> Sequence[PrefillView]:
    # Stable: prompts of equal length keep their order, so the oldest is served first.
    return sorted(prefilling, key=lambda view: view.n_left) if len(prefilling) > 1 else prefilling


def _cut(n_left: int, share: int, room: int) -> int:
    """Return how many of ``n_left`` tokens to take, close to ``share`` and never above ``room``."""
    if n_left <= max(share, 1):
        return min(n_left, room)
    # A share below two tokens is rounded up to a pair while there is room: one token alone would be
    # a single row of this prompt, and waiting for ever would be starvation.
    n = max(share, 2)
    if n_left - n == 1:
        n = n - 1 if n > 2 else n_left
    return n if n <= room else 0


def _apart(chunks: list[Chunk], n_ubatch: int) -> list[Chunk]:
    """Order chunks so that only neighbours of equal length share a micro-batch.

    llama.cpp takes a later row in if its sequence follows the last one taken, so what is to stay apart
    goes from the highest id to the lowest.
    """
    groups: list[list[Chunk]] = []
    for chunk in sorted(chunks):
        group = groups[-1] if groups else []
        follows = group and group[-1] == (chunk.seq_id - 1, chunk.n_tokens)
        if follows and (len(group) + 1) * chunk.n_tokens <= n_ubatch:
            group.append(chunk)
        else:
            groups.append([chunk])
    return [chunk for group in reversed(groups) for chunk in group]
