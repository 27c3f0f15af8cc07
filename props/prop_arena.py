"""Laws of the arena, against a model that is a list of live pieces and the bytes they hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actorllama.kvcache.arena import Arena
from actorllama.kvcache.arena_prefault import PAGE_BYTES
from actorllama.kvcache.arena_ranges import FreeRanges

_N_PAGES = 24


class _ArenaMachine(RuleBasedStateMachine):
    """Pieces never overlap, keep their contents, and are counted to the byte."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[tuple[memoryview, bytes]] = []
        self.n_taken = 0

    @initialize(odd=st.integers(0, PAGE_BYTES - 1))
    def begin(self, odd: int) -> None:
        self.arena = Arena(limit_bytes=_N_PAGES * PAGE_BYTES + odd)

    @rule(n_pages=st.integers(0, 9), more=st.integers(1, PAGE_BYTES))
    def take(self, n_pages: int, more: int) -> None:
        n_bytes = n_pages * PAGE_BYTES + more
        before = self.arena.statistics()
        piece = self.arena.take(n_bytes)
        assert (piece is None) == (before.largest_free_bytes < n_bytes)
        if piece is None:
            return
        assert len(piece) == n_bytes
        self.n_taken += 1
        mark = (self.n_taken.to_bytes(4, "little") * (n_bytes // 4 + 1))[:n_bytes]
        piece[:] = mark
        self.live.append((piece, mark))

    @precondition(lambda self: bool(self.live))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        del self.live[data.draw(st.integers(0, len(self.live) - 1))]

    @precondition(lambda self: bool(self.live))
    @rule(data=st.data())
    def drop_all_but_a_slice(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.live) - 1))
        piece, mark = self.live[index]
        end = data.draw(st.integers(1, len(piece)))
        # The bytes of the rest stay ours, but we no longer look at them.
        self.live[index] = (piece[:end], mark[:end])

    @rule(n_pages=st.one_of(st.none(), st.integers(0, _N_PAGES)))
    def trim(self, n_pages: int | None) -> None:
        before = self.arena.statistics()
        given_bytes = self.arena.trim(limit_bytes=None if n_pages is None else n_pages * PAGE_BYTES)
        after = self.arena.statistics()
        assert before.touched_bytes - given_bytes == after.touched_bytes
        if n_pages is None:
            assert after.touched_bytes == after.used_bytes
        else:
            assert given_bytes == min(n_pages * PAGE_BYTES, before.touched_bytes - before.used_bytes)

    @rule(n_pages=st.integers(0, _N_PAGES))
    def prefault(self, n_pages: int) -> None:
        before = self.arena.statistics()
        job = self.arena.prefault(n_pages * PAGE_BYTES)
        assert job.n_bytes == min(n_pages * PAGE_BYTES, before.limit_bytes - before.touched_bytes)
        job.run()
        assert self.arena.statistics().touched_bytes == before.touched_bytes + job.n_bytes

    @invariant()
    def contents_are_untouched_and_pieces_apart(self) -> None:
        ranges: list[tuple[int, int]] = []
        for piece, mark in self.live:
            assert bytes(piece) == mark
            first = int(np.frombuffer(piece, dtype=np.uint8).ctypes.data)
            ranges.append((first, first + len(piece)))
        ranges.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(ranges))

    @invariant()
    def every_byte_is_counted(self) -> None:
        if not hasattr(self, "arena"):
            return
        facts = self.arena.statistics()
        expected = sum(-(-_whole(piece) // PAGE_BYTES) * PAGE_BYTES for piece, _mark in self.live)
        assert facts.used_bytes == expected
        assert facts.n_pieces == len(self.live)
        assert facts.used_bytes <= facts.touched_bytes <= facts.limit_bytes
        assert self.arena.idle_bytes == facts.touched_bytes - facts.used_bytes
        if not self.live:
            assert facts.n_free_ranges == 1
            assert facts.largest_free_bytes == facts.limit_bytes


def _whole(piece: memoryview) -> int:
    """Count the bytes of the piece that a slice belongs to."""
    whole = piece.obj
    assert isinstance(whole, np.ndarray)
    return int(whole.nbytes)


def prop_an_arena_agrees_with_a_list_of_pieces() -> None:
    run_state_machine_as_test(_ArenaMachine)


@given(st.lists(st.tuples(st.sampled_from(["take", "give", "forget"]), st.integers(0, 40)), max_size=60))
def prop_free_ranges_are_the_gaps_between_what_was_taken(steps: list[tuple[str, int]]) -> None:
    ranges = FreeRanges(32)
    owner = [0] * 32
    touched = [False] * 32
    lengths: dict[int, int] = {}
    for number, (verb, size) in enumerate(steps, start=1):
        if verb == "take" and size > 0:
            first = ranges.take(size)
            runs = _runs([not mine for mine in owner])
            assert (first is None) == (max((n for _start, n in runs), default=0) < size)
            if first is not None:
                assert not any(owner[first : first + size])
                owner[first : first + size] = [number] * size
                touched[first : first + size] = [True] * size
                lengths[first] = size
        elif verb == "give" and lengths:
            first = sorted(lengths)[size % len(lengths)]
            ranges.give_back(first, lengths[first])
            n = lengths.pop(first)
            owner[first : first + n] = [0] * n
        elif verb == "forget":
            for first, n in list(ranges.touched_runs()):
                ranges.forget(first, n)
                touched[first : first + n] = [False] * n
        free = [not mine for mine in owner]
        assert list(ranges) == _runs(free)
        assert ranges.n_free == sum(free)
        assert ranges.n_touched == sum(touched)
        assert ranges.longest == max((n for _start, n in _runs(free)), default=0)
        assert _pages(ranges.touched_runs()) == [i for i in range(32) if free[i] and touched[i]]
        assert _pages(ranges.untouched_runs()) == [i for i in range(32) if free[i] and not touched[i]]


def _pages(runs: Iterable[tuple[int, int]]) -> list[int]:
    return [page for first, n in runs for page in range(first, first + n)]


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for index, flag in enumerate(flags):
        if flag and found and sum(found[-1]) == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        elif flag:
            found.append((index, 1))
    return found
