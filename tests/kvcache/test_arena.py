"""An arena gives out memory that nobody else has, and takes it back when nobody has it any more."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from actorllama.kvcache.arena import Arena
from actorllama.kvcache.arena_prefault import PAGE_BYTES
from actorllama.kvcache.arena_ranges import FreeRanges


def taken(arena: Arena, n_bytes: int) -> memoryview:
    piece = arena.take(n_bytes)
    assert piece is not None
    return piece


def address(piece: memoryview) -> int:
    return int(np.frombuffer(piece, dtype=np.uint8).ctypes.data)


def resident_pages(arena: Arena) -> int:
    """Ask the system, which in this test has not swapped anything out."""
    mapping = arena._mapping
    first = int(np.frombuffer(mapping, dtype=np.uint8).ctypes.data)
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(first // PAGE_BYTES * 8)
        return int((np.frombuffer(file.read(len(mapping) // PAGE_BYTES * 8), dtype="<u8") >> 63).sum())


def test_a_piece_has_exactly_the_bytes_asked_for_and_begins_a_page() -> None:
    arena = Arena(limit_bytes=8 * PAGE_BYTES)
    for n_bytes in (1, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1):
        piece = taken(arena, n_bytes)
        assert (len(piece), piece.format, piece.readonly) == (n_bytes, "B", False)
        assert address(piece) % PAGE_BYTES == 0
        del piece


def test_used_bytes_are_whole_pages_of_live_pieces() -> None:
    arena = Arena(limit_bytes=10 * PAGE_BYTES + 5)
    first, second = taken(arena, 1), taken(arena, PAGE_BYTES + 1)
    facts = arena.statistics()
    assert (facts.limit_bytes, facts.used_bytes, facts.n_pieces) == (10 * PAGE_BYTES, 3 * PAGE_BYTES, 2)
    assert facts.largest_free_bytes == 7 * PAGE_BYTES
    del first, second
    facts = arena.statistics()
    assert (facts.used_bytes, facts.n_pieces, facts.n_free_ranges) == (0, 0, 1)
    assert repr(arena) == f"<Arena 0 pieces, 0 of {10 * PAGE_BYTES} bytes>"


def test_a_full_arena_gives_none_and_gives_again_once_a_piece_has_died() -> None:
    arena = Arena(limit_bytes=2 * PAGE_BYTES)
    piece = taken(arena, 2 * PAGE_BYTES)
    assert arena.take(1) is None
    del piece
    assert arena.take(1) is not None


def test_scattered_pages_are_not_enough_for_a_long_piece() -> None:
    arena = Arena(limit_bytes=3 * PAGE_BYTES)
    pieces = [taken(arena, PAGE_BYTES) for _page in range(3)]
    pieces[0] = pieces[2] = memoryview(b"")
    assert arena.take(2 * PAGE_BYTES) is None
    assert arena.statistics().largest_free_bytes == PAGE_BYTES


def test_nothing_is_given_for_nothing() -> None:
    arena = Arena(limit_bytes=0)
    assert len(taken(arena, 0)) == 0
    assert arena.take(1) is None
    assert arena.statistics().limit_bytes == 0


@pytest.mark.parametrize("wrong", [-1, -PAGE_BYTES])
def test_negative_sizes_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="limit_bytes"):
        Arena(limit_bytes=wrong)
    with pytest.raises(ValueError, match="n_bytes"):
        Arena(limit_bytes=PAGE_BYTES).take(wrong)


def as_array(piece: memoryview) -> NDArray[np.uint8]:
    return np.frombuffer(piece, dtype=np.uint8)


def below(piece: memoryview) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", piece.obj)


REFERENCES: dict[str, Callable[[memoryview], object]] = {
    "slice": lambda piece: piece[5:6],
    "read-only": lambda piece: piece.toreadonly(),
    "cast": lambda piece: piece.cast("I"),
    "array": as_array,
    "view of an array": lambda piece: as_array(piece)[1:][1:].view(np.uint8),
    "slice of what lies below the view": lambda piece: below(piece)[3:][:1],
}


@pytest.mark.parametrize("how", REFERENCES)
def test_whatever_refers_to_the_memory_keeps_the_piece(how: str) -> None:
    arena = Arena(limit_bytes=4 * PAGE_BYTES)
    piece = taken(arena, 4 * PAGE_BYTES)
    holder = REFERENCES[how](piece)
    del piece
    gc.collect()
    assert arena.take(1) is None
    del holder
    assert arena.take(1) is not None


def test_a_piece_outlives_its_arena() -> None:
    arena = Arena(limit_bytes=PAGE_BYTES)
    piece = taken(arena, 4)
    piece[:] = b"abcd"
    del arena
    gc.collect()
    assert bytes(piece) == b"abcd"


def test_pieces_may_die_on_any_thread() -> None:
    arena = Arena(limit_bytes=64 * PAGE_BYTES)
    pieces = [taken(arena, PAGE_BYTES) for _page in range(64)]
    threads = [threading.Thread(target=pieces.pop) for _piece in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = arena.statistics()
    assert (facts.used_bytes, facts.n_pieces, facts.n_free_ranges) == (0, 0, 1)


def test_pages_touched_before_are_used_before_others() -> None:
    arena = Arena(limit_bytes=1000 * PAGE_BYTES)
    for _turn in range(20):
        piece = taken(arena, 10 * PAGE_BYTES)
        del piece
    assert arena.statistics().touched_bytes == 10 * PAGE_BYTES


def test_an_account_grows_with_what_was_touched_and_not_with_the_address_space() -> None:
    tracemalloc.start()
    try:
        ranges = FreeRanges(1 << 28)  # a terabyte
        assert ranges.take(1000) == 0
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 16
    assert list(ranges.untouched_runs()) == [(1000, (1 << 28) - 1000)]
    ranges.give_back(0, 1000)
    assert list(ranges.touched_runs()) == [(0, 1000)]
    assert list(ranges.untouched_runs()) == [(1000, (1 << 28) - 1000)]


def test_of_ranges_that_fit_alike_the_touched_one_is_taken() -> None:
    ranges = FreeRanges(7)
    assert [ranges.take(n) for n in (2, 1, 2, 1, 1)] == [0, 2, 3, 5, 6]
    ranges.give_back(0, 2)
    ranges.give_back(3, 2)
    ranges.forget(0, 2)
    assert ranges.take(2) == 3
    assert ranges.take(2) == 0


def test_an_old_touched_piece_is_left_whole_for_one_that_fits() -> None:
    ranges = FreeRanges(20)
    assert ranges.take(8) == 0
    assert ranges.take(1) == 8
    ranges.give_back(0, 8)
    assert ranges.take(3) == 0
    assert ranges.take(5) == 3


def test_trimming_gives_free_pages_back_to_the_system_and_leaves_used_ones() -> None:
    arena = Arena(limit_bytes=64 * PAGE_BYTES)
    kept, freed = taken(arena, 3 * PAGE_BYTES), taken(arena, 20 * PAGE_BYTES)
    kept[:] = b"k" * len(kept)
    freed[:] = b"f" * len(freed)
    del freed
    assert arena.trim() == 20 * PAGE_BYTES
    assert arena.trim() == 0
    assert arena.statistics().touched_bytes == 3 * PAGE_BYTES
    assert bytes(kept) == b"k" * len(kept)
    again = taken(arena, 20 * PAGE_BYTES)
    assert bytes(again) == bytes(20 * PAGE_BYTES)  # only pages that really went come back as zeros


def test_trimming_stops_at_its_limit() -> None:
    arena = Arena(limit_bytes=64 * PAGE_BYTES)
    piece = taken(arena, 10 * PAGE_BYTES)
    del piece
    assert arena.trim(limit_bytes=3 * PAGE_BYTES - 1) == 3 * PAGE_BYTES
    assert arena.statistics().touched_bytes == 7 * PAGE_BYTES
    assert arena.trim(limit_bytes=0) == 0


def test_what_is_prefaulted_is_resident_when_it_is_taken() -> None:
    arena = Arena(limit_bytes=2048 * PAGE_BYTES)
    assert resident_pages(arena) == 0
    job = arena.prefault(1000 * PAGE_BYTES)
    assert job.n_bytes == 1000 * PAGE_BYTES
    thread = threading.Thread(target=job.run)
    thread.start()
    thread.join()
    assert resident_pages(arena) >= 1000
    del job, thread
    facts = arena.statistics()
    assert (facts.used_bytes, facts.touched_bytes) == (0, 1000 * PAGE_BYTES)
    assert arena.prefault(2000 * PAGE_BYTES).n_bytes == 1048 * PAGE_BYTES


def test_what_is_being_prefaulted_belongs_to_nobody_else() -> None:
    arena = Arena(limit_bytes=4 * PAGE_BYTES)
    job = arena.prefault(3 * PAGE_BYTES)
    assert arena.take(2 * PAGE_BYTES) is None
    del job
    assert arena.take(4 * PAGE_BYTES) is not None


def test_prefaulting_skips_what_is_used_or_touched() -> None:
    arena = Arena(limit_bytes=8 * PAGE_BYTES)
    pieces = [taken(arena, PAGE_BYTES) for _page in range(4)]
    pieces[1] = memoryview(b"")
    job = arena.prefault(100 * PAGE_BYTES)
    assert [len(piece) for piece in job.pieces] == [4 * PAGE_BYTES]
    assert address(job.pieces[0]) == address(pieces[0]) + 4 * PAGE_BYTES
    assert arena.prefault(1).n_bytes == 0


def test_a_kernel_without_huge_pages_gets_an_arena_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorllama.kvcache.arena._HUGEPAGE", None)
    assert len(taken(Arena(limit_bytes=PAGE_BYTES), 5)) == 5
    monkeypatch.setattr("actorllama.kvcache.arena._HUGEPAGE", 9999)
    assert len(taken(Arena(limit_bytes=PAGE_BYTES), 5)) == 5
