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


def test_the_sequence_that_was_free_for_longest_goes_next() -> None:
    pool = SlotPool(3)
    first, second = pool.lease(), pool.lease()
    pool.release(second)
    pool.release(first)

    assert [pool.lease() for _ in range(3)] == [2, second, first]


def test_giving_back_what_is_not_leased_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="sequence 0 is not leased"):
        SlotPool(1).release(SeqId(0))
