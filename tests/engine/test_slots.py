"""Sequences are leased to one turn at a time."""

from __future__ import annotations

import pytest

from actorllama.engine.slots import SlotPool
from actorllama.errors import NoFreeSlot
from actorllama.ids import SeqId


def test_every_sequence_is_leased_once() -> None:
    pool = SlotPool(3)

    assert sorted(pool.lease() for _ in range(3)) == [0, 1, 2]
    assert (pool.n_free, pool.n_slots) == (0, 3)


def test_a_pool_without_free_sequences_says_so() -> None:
    pool = SlotPool(1)
    pool.lease()

    with pytest.raises(NoFreeSlot) as refused:
        pool.lease()
    assert refused.value.n_slots == 1


def test_a_sequence_beside_leased_ones_goes_next() -> None:
    """llama.cpp computes only sequences whose ids follow each other in one pass over the weights."""
    pool = SlotPool(6)
    leased = [pool.lease() for _ in range(6)]
    for seq_id in (leased[4], leased[0], leased[2], leased[5]):
        pool.release(seq_id)

    # Of 1 and 3 both are neighbours of 2; then 0 has been free for longer than 5, but less than 4.
    assert [pool.lease() for _ in range(4)] == [2, 4, 0, 5]


def test_of_equals_the_sequence_that_was_free_for_longest_goes_next() -> None:
    pool = SlotPool(3)
    for seq_id in [pool.lease() for _ in range(3)][::-1]:
        pool.release(seq_id)

    assert list(pool.free_ids) == [2, 1, 0]
    assert pool.lease() == 2
    assert list(pool.free_ids) == [1, 0]


def test_a_free_sequence_can_be_asked_for() -> None:
    pool = SlotPool(4)

    assert pool.lease(preferred=SeqId(3)) == 3
    assert pool.lease() == 2
    with pytest.raises(AssertionError, match="sequence 3 is not free"):
        pool.lease(preferred=SeqId(3))


def test_giving_back_what_is_not_leased_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="sequence 0 is not leased"):
        SlotPool(1).release(SeqId(0))
