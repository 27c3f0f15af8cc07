"""States on their way lie in memory that is used again, and none of it is held by what has ended."""

from __future__ import annotations

from actorllama.kvcache import TouchedMemory

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
