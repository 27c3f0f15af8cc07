"""RAM that the cache gives back when memory is short."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from actorllama.actors import Caller
from actorllama.engine.cache_messages import GiveBack, MemoryOffer
from actorllama.engine.job_memory import JobMemory
from actorllama.kvcache import Demotion, SnapshotStore

__all__ = ["CacheMemory"]


class CacheMemory:
    """What the cache could give back, and the requests that wait for the disk.

    Owner: the cache actor.
    """

    def __init__(self, store: SnapshotStore, pages: JobMemory, *, trim: Callable[[], None]) -> None:
        """Give back what ``store`` holds, and idle ``pages``; ``trim`` frees those that entries have left."""
        self._store = store
        self._pages = pages
        self._trim = trim
        self._waiting: deque[tuple[Demotion, Caller]] = deque()

    def offer(self) -> MemoryOffer:
        """Add up what could go now.

        Cost: O(n log n) in the entries of the RAM tier.
        """
        ram = self._store.ram
        entries = [ram.peek(key) for key in ram.plan_eviction(ram.statistics().used_bytes)]
        sizes = [entry.n_bytes for entry in entries if entry is not None]
        n_bytes = sum(sizes)
        return MemoryOffer(
            demotable_bytes=0 if self._store.disk is None else n_bytes,
            evictable_bytes=n_bytes,
            largest_bytes=max(sizes, default=0),
            scratch_bytes=self._pages.idle_bytes,
        )

    def begin(self, message: GiveBack, caller: Caller) -> None:
        """Do what can be done at once, and answer then; what must be written first is answered later."""
        match message.how:
            case "evict":
                keys = self._store.ram.plan_eviction(message.n_bytes)
                n_bytes = sum(self._store.leave_ram(key) for key in keys)
                self._trim()
                caller.reply(n_bytes)
            case "scratch":
                caller.reply(self._pages.drop(message.n_bytes))
            case "demote":
                self._waiting.append((Demotion(self._store, message.n_bytes), caller))
                self.advance()

    def advance(self) -> None:
        """Go on with what waits; call it whenever the store has finished a job."""
        for _ in range(len(self._waiting)):
            demotion, caller = self._waiting.popleft()
            demotion.advance()
            if demotion.is_over:
                self._trim()
                caller.reply(demotion.won_bytes)
            else:
                self._waiting.append((demotion, caller))
