"""Memory that was touched before, for whoever fills much of it at once."""

from __future__ import annotations

from actorllama.kvcache.allocate import fresh_memory
from actorllama.kvcache.arena import Arena
from actorllama.kvcache.arena_prefault import Prefault
from actorllama.kvcache.arena_reports import ArenaStatistics

__all__ = ["TouchedMemory"]

_TRIM_BYTES = 64 << 20  # at a time: some milliseconds at worst


class TouchedMemory:
    """Gives out memory of an arena as far as it goes, and keeps a bounded part of what is free for the next.

    States come and go whole, tens or hundreds of megabytes each. Writing one into fresh pages takes five to
    fifty times longer than into these (arena.py). A piece is free again when nobody refers to it any more.
    What the arena has no room for, and what is too little for whole pages, is ordinary memory.

    Owner: one thread at a time. What was taken may be used and dropped anywhere.
    """

    def __init__(
        self,
        *,
        limit_bytes: int = 1 << 30,
        spare_bytes: int = 256 << 20,
        n_spare: int = 2,
        roomy_bytes: int = 64 << 20,
        least_bytes: int = 1 << 18,
    ) -> None:
        """Map nothing yet.

        Args:
            limit_bytes: Most bytes that are given out at a time; beyond them memory is ordinary.
            spare_bytes: No more that nobody has are kept; the rest goes back to the system.
            n_spare: Nor more than so many times the largest that was taken, or expected, since all of it
                went back to the system;
            roomy_bytes: but so many in any case. Small states come by the dozen, and each that finds no
                page at hand keeps everybody waiting for tens of milliseconds.
            least_bytes: Less than this is ordinary memory: the system's own allocator has touched pages at
                hand for it, and a piece here takes whole pages.
        """
        self._limit_bytes = limit_bytes
        self._most_spare_bytes = spare_bytes
        self._n_spare = n_spare
        self._roomy_bytes = roomy_bytes
        self._largest_bytes = 0
        self._least_bytes = least_bytes
        self._arena: Arena | None = None
        self._is_refused = limit_bytes == 0

    def __repr__(self) -> str:
        """Tell how full it is."""
        return f"<TouchedMemory {self._arena!r}>"

    def take(self, n_bytes: int) -> memoryview:
        """Give out writable memory of a size; its content is of no meaning."""
        arena = self._opened() if n_bytes >= self._least_bytes else None
        piece = None if arena is None else arena.take(n_bytes)
        self.expect(n_bytes)
        if arena is not None and arena.idle_bytes > self._spare_bytes:
            arena.trim(limit_bytes=min(arena.idle_bytes - self._spare_bytes, _TRIM_BYTES))
        return fresh_memory(n_bytes) if piece is None else piece

    def expect(self, n_bytes: int) -> None:
        """Take note that so much is wanted at a time, in whatever pieces."""
        self._largest_bytes = max(self._largest_bytes, n_bytes)

    def ahead(self, n_bytes: int) -> Prefault | None:
        """Have so many bytes at hand that were touched; at most the spare ones.

        Returns:
            What must be touched for it, on any thread; ``None`` if nothing need be, or nothing can.
        """
        arena = self._opened()
        self.expect(n_bytes)
        n_lacking = 0 if arena is None else min(n_bytes, self._spare_bytes) - arena.idle_bytes
        if arena is None or n_lacking <= 0:
            return None
        prefault = arena.prefault(n_lacking)
        return prefault if prefault.n_bytes else None

    @property
    def largest_bytes(self) -> int:
        """The most that was wanted at a time since all of it went back to the system."""
        return self._largest_bytes

    @property
    def idle_bytes(self) -> int:
        """Touched bytes that nobody has."""
        return 0 if self._arena is None else self._arena.idle_bytes

    @property
    def about_idle_bytes(self) -> int:
        """The same, near enough, on any thread while the owner is at work."""
        arena = self._arena
        return 0 if arena is None else arena.about_idle_bytes

    def trim(self, *, limit_bytes: int | None = None) -> int:
        """Give what nobody has back to the system; return the bytes.

        Args:
            limit_bytes: Stop after so many; all if ``None``.

        Cost: as `Arena.trim`.
        """
        if self._arena is None:
            return 0
        n_bytes = self._arena.trim(limit_bytes=limit_bytes)
        if not self._arena.idle_bytes:
            self._largest_bytes = 0
        return n_bytes

    def statistics(self) -> ArenaStatistics | None:
        """Tell how the arena is used; ``None`` if there is none yet."""
        return None if self._arena is None else self._arena.statistics()

    @property
    def _spare_bytes(self) -> int:
        return min(self._most_spare_bytes, max(self._n_spare * self._largest_bytes, self._roomy_bytes))

    def _opened(self) -> Arena | None:
        if self._arena is None and not self._is_refused:
            try:
                self._arena = Arena(limit_bytes=self._limit_bytes)
            except OSError:  # so much address space is not to be had here: slower, no more
                self._is_refused = True
        return self._arena
