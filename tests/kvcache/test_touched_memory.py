"""States on their way lie in memory that is used again, and none of it is held by what has ended."""

from __future__ import annotations

from actorllama.kvcache import TouchedMemory
from actorllama.kvcache.arena_prefault import PAGE_BYTES

MIB = 1 << 20


def test_memory_that_was_dropped_is_given_out_again() -> None:
    memory = TouchedMemory(limit_bytes=4 * MIB)
    first = memory.take(MIB)
    first[:4] = b"left"
    del first
    assert bytes(memory.take(MIB)[:4]) == b"left"


def test_memory_that_somebody_has_is_not_given_out() -> None:
    memory = TouchedMemory(limit_bytes=4 * MIB)
    held = memory.take(MIB)[10:20]
    held[:] = b"0123456789"
    for _ in range(6):
        memory.take(MIB)[:] = bytes(MIB)
    assert bytes(held) == b"0123456789"


def test_beyond_the_limit_and_for_little_memory_is_fresh() -> None:
    memory = TouchedMemory(limit_bytes=MIB)
    for n_bytes in (0, 10, 2 * MIB):
        assert bytes(memory.take(n_bytes)) == bytes(n_bytes)


def test_of_what_nobody_has_only_the_spare_part_is_kept() -> None:
    memory = TouchedMemory(limit_bytes=8 * MIB, spare_bytes=MIB)
    states = [memory.take(MIB) for _ in range(6)]
    for index in range(len(states)):
        states[index][:] = b"\1" * MIB
    del states
    _held = memory.take(MIB)
    facts = memory.statistics()
    assert facts is not None
    assert facts.touched_bytes - facts.used_bytes <= MIB


def test_no_more_is_kept_than_twice_the_largest_that_was_wanted() -> None:
    memory = TouchedMemory(limit_bytes=32 * MIB, roomy_bytes=0)
    states = [memory.take(n * MIB) for n in (1, 3, 2, 3, 3, 3, 3)]
    assert memory.largest_bytes == 3 * MIB
    del states
    _held = memory.take(MIB)
    assert memory.idle_bytes == 6 * MIB


def test_what_is_taken_in_pieces_is_kept_as_the_whole_that_it_is() -> None:
    memory = TouchedMemory(limit_bytes=32 * MIB, n_spare=1, roomy_bytes=0)
    memory.expect(4 * MIB)
    states = [memory.take(MIB) for _ in range(10)]
    del states
    _held = memory.take(MIB)
    assert memory.idle_bytes == 4 * MIB


def test_when_all_of_it_is_given_back_what_was_wanted_before_is_forgotten() -> None:
    memory = TouchedMemory(limit_bytes=32 * MIB, roomy_bytes=0)
    memory.take(8 * MIB)
    assert memory.trim(limit_bytes=MIB) == MIB
    assert memory.largest_bytes == 8 * MIB
    assert memory.trim() == 7 * MIB
    assert memory.largest_bytes == 0
    states = [memory.take(MIB) for _ in range(6)]
    del states
    _held = memory.take(MIB)
    assert memory.idle_bytes == 2 * MIB


def test_another_thread_may_ask_what_is_idle_and_changes_nothing() -> None:
    memory = TouchedMemory(limit_bytes=8 * MIB)
    assert memory.about_idle_bytes == 0
    piece, _held = memory.take(MIB + 1), memory.take(2 * MIB)
    assert memory.about_idle_bytes == 0
    del piece
    assert memory.about_idle_bytes == MIB + PAGE_BYTES  # its owner has not heard of it yet
    assert memory.about_idle_bytes == memory.idle_bytes == memory.about_idle_bytes


def test_small_states_by_the_dozen_find_their_pages_again() -> None:
    memory = TouchedMemory(limit_bytes=32 * MIB, roomy_bytes=6 * MIB)
    states = [memory.take(MIB) for _ in range(8)]
    del states
    _held = memory.take(MIB)
    assert memory.idle_bytes == 6 * MIB
