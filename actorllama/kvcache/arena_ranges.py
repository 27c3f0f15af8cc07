"""Which pages of an arena are free: a pure account, without the memory itself."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

__all__ = ["FreeRanges"]

_CANDIDATES_MAX = 8  # of nearly equal ranges, so many are asked which of their pages were touched before


class FreeRanges:
    """Free pages as disjoint ranges, each as long as it can be.

    ``is_touched`` says of each page, free or not, whether it was written since the system last took it.

    Owner: one.
    """

    def __init__(self, n_pages: int) -> None:
        """Make an account in which all pages are free and none was touched."""
        self.n_pages = n_pages
        self.n_free = n_pages
        self._touched = bytearray()  # as far as the last page that ever was; those behind it were not
        self.n_touched = 0
        self._length_at: dict[int, int] = {}
        self._starts: list[int] = []
        self._sizes: list[tuple[int, int]] = []  # (length, start)
        if n_pages:
            self._insert(0, n_pages)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give the free ranges as (first page, number of pages), ascending."""
        return ((start, self._length_at[start]) for start in self._starts)

    def __len__(self) -> int:
        """Count the free ranges."""
        return len(self._starts)

    @property
    def longest(self) -> int:
        """Pages of the longest free range; 0 if none is free."""
        return self._sizes[-1][0] if self._sizes else 0

    def touched_in(self, first: int, n_pages: int) -> int:
        """Count the touched pages of a range."""
        return self._touched.count(1, first, first + n_pages)

    def untouched_runs(self) -> Iterator[tuple[int, int]]:
        """Give the free pages that were never touched as (first page, number of pages), ascending."""
        return (run for start in self._starts for run in self._runs(start, value=0))

    def touched_runs(self) -> Iterator[tuple[int, int]]:
        """Give the free pages that were touched as (first page, number of pages), ascending."""
        return (run for start in self._starts for run in self._runs(start, value=1))

    def take(self, n_pages: int) -> int | None:
        """Take so many pages in a row and call them touched; return the first, or ``None``.

        Of the ranges that fit best, the one with the fewest pages never touched: those cost ten times more
        to write than others.

        Cost: O(log ranges), and a move of pointers in two lists.
        """
        low = bisect_left(self._sizes, (n_pages, 0))
        candidates = self._sizes[low : low + _CANDIDATES_MAX]
        if not candidates:
            return None
        length, start = min(candidates, key=lambda item: (n_pages - self.touched_in(item[1], n_pages), item))
        self._carve(start, length, start, n_pages)
        return start

    def take_at(self, first: int, n_pages: int) -> None:
        """Take these pages, which are free, and call them touched."""
        start = self._starts[bisect_right(self._starts, first) - 1]
        length = self._length_at[start]
        assert start <= first
        assert first + n_pages <= start + length
        self._carve(start, length, first, n_pages)

    def give_back(self, first: int, n_pages: int) -> None:
        """Make pages free again; neighbours grow together."""
        assert 0 <= first <= first + n_pages <= self.n_pages
        self.n_free += n_pages
        place = bisect_left(self._starts, first)
        if place < len(self._starts):
            after = self._starts[place]
            assert first + n_pages <= after
            if after == first + n_pages:
                n_pages += self._length_at[after]
                self._remove(after, self._length_at[after])
        if place > 0:
            before = self._starts[place - 1]
            length = self._length_at[before]
            assert before + length <= first
            if before + length == first:
                self._remove(before, length)
                first, n_pages = before, length + n_pages
        self._insert(first, n_pages)

    def forget(self, first: int, n_pages: int) -> None:
        """Call pages untouched: the system has them back."""
        self._mark(first, n_pages, touched=0)

    def _carve(self, start: int, length: int, first: int, n_pages: int) -> None:
        self._remove(start, length)
        if first > start:
            self._insert(start, first - start)
        if first + n_pages < start + length:
            self._insert(first + n_pages, start + length - first - n_pages)
        self.n_free -= n_pages
        self._mark(first, n_pages, touched=1)

    def _runs(self, start: int, *, value: int) -> Iterator[tuple[int, int]]:
        end = start + self._length_at[start]
        at = self._find(value, start, end)
        while at < end:
            stop = self._find(1 - value, at, end)
            yield at, stop - at
            at = self._find(value, stop, end)

    def _find(self, value: int, start: int, end: int) -> int:
        """Find the first page from ``start`` on that was touched (1) or was not (0), or ``end``."""
        at = self._touched.find(value, start, end)
        if at >= 0:
            return at
        return end if value else min(max(start, len(self._touched)), end)

    def _mark(self, first: int, n_pages: int, *, touched: int) -> None:
        before = self.touched_in(first, n_pages)
        if first + n_pages > len(self._touched):
            self._touched.extend(bytes(first + n_pages - len(self._touched)))
        self._touched[first : first + n_pages] = bytes([touched]) * n_pages
        self.n_touched += touched * n_pages - before

    def _insert(self, start: int, length: int) -> None:
        self._length_at[start] = length
        insort(self._starts, start)
        insort(self._sizes, (length, start))

    def _remove(self, start: int, length: int) -> None:
        del self._length_at[start]
        del self._starts[bisect_left(self._starts, start)]
        del self._sizes[bisect_left(self._sizes, (length, start))]
