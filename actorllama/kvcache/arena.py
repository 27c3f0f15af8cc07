"""Memory that is touched once and then used again: where saved states are put.

Writing into pages that the process never touched costs nine times more than writing into others, and fifty
times more where the machine is a guest whose host must find the memory first: each page is zeroed and mapped
before. A piece of the arena, once freed, keeps its pages (llama-notes 0).
"""

from __future__ import annotations

import contextlib
import mmap
import weakref
from collections import deque

from actorllama.kvcache.arena_prefault import PAGE_BYTES, Prefault
from actorllama.kvcache.arena_ranges import FreeRanges
from actorllama.kvcache.arena_reports import ArenaStatistics

__all__ = ["Arena"]

_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)  # Python 3.11 has no name for it; Linux has this value
_HUGEPAGE = getattr(mmap, "MADV_HUGEPAGE", None)


class Arena:
    """One anonymous mapping, given out in pieces of whole pages.

    Nothing is reserved from the system before it is written. A piece is freed by the death of the last
    reference to its memory: views, slices, arrays made of it. This may happen on any thread and is only
    noted there; the owner does the accounting at its next call. Nobody frees by hand, so no piece can be
    given out while an old view of it lives.

    Owner: one thread at a time. Pieces may be used and die anywhere, and outlive the arena.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        """Map an arena.

        Args:
            limit_bytes: Address space to map, rounded down to whole pages; ``statistics`` tells the result.

        Raises:
            ValueError: The limit is negative.
            OSError: The system refuses so much address space.
        """
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be at least 0: {limit_bytes}")
        import numpy as np  # not with this module: options of this room are read by commands without arrays

        self._from_buffer = np.frombuffer
        self._bytes = np.dtype(np.uint8)
        self._free = FreeRanges(limit_bytes // PAGE_BYTES)
        self._n_pieces = 0
        self._returned: deque[tuple[int, int]] = deque()  # the one thing that other threads append to
        self._mapping = self._map()

    def __repr__(self) -> str:
        """Tell how full it is."""
        facts = self.statistics()
        return f"<Arena {facts.n_pieces} pieces, {facts.used_bytes} of {facts.limit_bytes} bytes>"

    @property
    def idle_bytes(self) -> int:
        """Touched bytes that nobody has."""
        self._drain()
        return (self._free.n_touched - self._free.n_pages + self._free.n_free) * PAGE_BYTES

    @property
    def about_idle_bytes(self) -> int:
        """The same, near enough, for another thread while the owner is at work: nothing is changed."""
        free = self._free
        n_returned = sum(n_pages for _, n_pages in self._returned.copy())
        return max(0, free.n_touched - free.n_pages + free.n_free + n_returned) * PAGE_BYTES

    def take(self, n_bytes: int) -> memoryview | None:
        """Give out a piece of exactly so many bytes; pages touched before are preferred.

        What it holds is what its last user left there.

        Returns:
            A writable view, its first byte at the beginning of a page; or ``None`` if no free range is long
            enough. The total may suffice all the same: evict more, or use memory of your own.

        Raises:
            ValueError: ``n_bytes`` is negative.

        Cost: microseconds.
        """
        if n_bytes < 0:
            raise ValueError(f"n_bytes must be at least 0: {n_bytes}")
        self._drain()
        if n_bytes == 0:
            return memoryview(bytearray())
        n_pages = -(-n_bytes // PAGE_BYTES)
        first = self._free.take(n_pages)
        return None if first is None else self._piece(first, n_pages, n_bytes)

    def prefault(self, n_bytes: int) -> Prefault:
        """Set pages aside that were never touched, to be touched ahead on another thread.

        Until the result dies they are not given out. So do this early, or in small portions.

        Returns:
            What to run. Less than ``n_bytes``, or nothing, if fewer free pages are untouched.
        """
        self._drain()
        n_wanted = -(-n_bytes // PAGE_BYTES)
        found: list[tuple[int, int]] = []
        for first, n_pages in self._free.untouched_runs():
            if n_wanted <= 0:
                break
            found.append((first, min(n_pages, n_wanted)))
            n_wanted -= n_pages
        for first, n_pages in found:
            self._free.take_at(first, n_pages)
        return Prefault(
            pieces=[self._piece(first, n_pages, n_pages * PAGE_BYTES) for first, n_pages in found]
        )

    def trim(self, *, limit_bytes: int | None = None) -> int:
        """Give touched pages that are free back to the system; return their bytes.

        Args:
            limit_bytes: Stop after so many; all if ``None``.

        Cost: 60 ms per gigabyte at worst, and the GIL is kept: an event loop gives a limit.
        """
        self._drain()
        n_wanted = self._free.n_pages if limit_bytes is None else -(-limit_bytes // PAGE_BYTES)
        n_given = 0
        # From the end: what was trimmed lies together there, and does not break up what is reused.
        for first, n_pages in reversed(list(self._free.touched_runs())):
            n = min(n_pages, n_wanted - n_given)
            if n <= 0:
                break
            at = first + n_pages - n
            self._mapping.madvise(mmap.MADV_DONTNEED, at * PAGE_BYTES, n * PAGE_BYTES)
            self._free.forget(at, n)
            n_given += n
        return n_given * PAGE_BYTES

    def statistics(self) -> ArenaStatistics:
        """Tell how the memory is used."""
        self._drain()
        free = self._free
        return ArenaStatistics(
            limit_bytes=free.n_pages * PAGE_BYTES,
            used_bytes=(free.n_pages - free.n_free) * PAGE_BYTES,
            n_pieces=self._n_pieces,
            touched_bytes=free.n_touched * PAGE_BYTES,
            n_free_ranges=len(free),
            largest_free_bytes=free.longest * PAGE_BYTES,
        )

    def _map(self) -> mmap.mmap:
        n_bytes = max(1, self._free.n_pages) * PAGE_BYTES
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        mapping = mmap.mmap(-1, n_bytes, flags=flags)
        if _HUGEPAGE is not None:
            with contextlib.suppress(OSError):  # a kernel built without them: slower, no more
                # The first touch becomes five times cheaper, and trimming thirty times.
                mapping.madvise(_HUGEPAGE)
        return mapping

    def _piece(self, first: int, n_pages: int, n_bytes: int) -> memoryview:
        # An array of its own for each piece, straight from the mapping: numpy shortens chains of views to the
        # array that has no array below it, and that one must be the piece's.
        array = self._from_buffer(self._mapping, self._bytes, n_bytes, first * PAGE_BYTES)
        finalizer = weakref.finalize(array, self._returned.append, (first, n_pages))
        finalizer.atexit = False
        self._n_pieces += 1
        return array.data

    def _drain(self) -> None:
        while self._returned:
            self._free.give_back(*self._returned.popleft())
            self._n_pieces -= 1
