"""Memory for states on their way between sequences and tiers."""

from __future__ import annotations

from actorllama.kvcache import Arena

__all__ = ["TransitMemory"]

_LEAST_BYTES = 1 << 18  # below this the system's own allocator has touched pages at hand
_TRIM_BYTES = 64 << 20  # at a time: some milliseconds at worst


class TransitMemory:
    """Gives out memory that was touched before, and keeps a bounded part of it for the next state.

    States come and go whole, tens or hundreds of megabytes each, and live for milliseconds. Writing one into
    fresh pages takes five to fifty times longer than into these (arena.py).

    Owner: one thread at a time. What was taken may be used and dropped anywhere.
    """

    def __init__(self, *, limit_bytes: int = 1 << 30, spare_bytes: int = 256 << 20) -> None:
        """Map nothing yet.

        Args:
            limit_bytes: Most bytes that are given out at a time; beyond them memory is fresh.
            spare_bytes: About as many that nobody has are kept; the rest goes back to the system.
        """
        self._limit_bytes = limit_bytes
        self._spare_bytes = spare_bytes
        self._arena: Arena | None = None
        self._is_refused = False

    def take(self, n_bytes: int) -> memoryview:
        """Give out writable memory of a size; its content is of no meaning."""
        arena = self._opened() if n_bytes > _LEAST_BYTES else None
        if arena is None:
            return memoryview(bytearray(n_bytes))
        piece = arena.take(n_bytes)
        facts = arena.statistics()
        n_over = facts.touched_bytes - facts.used_bytes - self._spare_bytes
        if n_over > 0:
            arena.trim(limit_bytes=min(n_over, _TRIM_BYTES))
        return memoryview(bytearray(n_bytes)) if piece is None else piece

    def _opened(self) -> Arena | None:
        if self._arena is None and not self._is_refused:
            try:
                self._arena = Arena(limit_bytes=self._limit_bytes)
            except OSError:  # so much address space is not to be had here: slower, no more
                self._is_refused = True
        return self._arena
