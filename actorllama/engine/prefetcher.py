"""The turns that were used last, on their way into RAM before anybody asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from actorllama.engine import events
from actorllama.engine.cache_jobs import JobOutcome, Prefetch
from actorllama.engine.job_memory import MemoryLoan
from actorllama.kvcache import LatestTurn, SnapshotStore
from actorllama.telemetry import Bus

__all__ = ["Prefetcher"]


class Prefetcher:
    """Has a new process read what it will be asked for first while its models load.

    One turn after the other, the latest first, each in a job of its own: who asks meanwhile for one that has
    not come yet reads it as ever.

    Owner: the cache actor.
    """

    def __init__(self, store: SnapshotStore, turns: Iterable[LatestTurn], *, bus: Bus) -> None:
        """Take note of the turns, the latest first; nothing is read yet."""
        self._store = store
        self._turns = deque(turns)
        self._bus = bus

    def next_job(self, lend: Callable[[], MemoryLoan]) -> Prefetch | None:
        """Begin with the next turn that is not in memory; ``None`` if there is none.

        Args:
            lend: Lends the memory that it stays in.
        """
        while self._turns:
            job = self._store.prefetch(self._turns.popleft())
            if job is not None:
                return Prefetch(job=job, memory=lend())
        return None

    def done(self, job: Prefetch, outcome: JobOutcome, *, duration_s: float) -> None:
        """Keep what was read."""
        if not isinstance(outcome, tuple):  # its worker crashed, which is told already
            return
        self._store.prefetched(outcome)
        measured = {
            "n_entries": len(outcome),
            "read_bytes": sum(entry.n_bytes for entry in outcome),
            "duration_s": duration_s,
        }
        self._bus.execute(events.TURN_PREFETCHED, measured, {"key": job.job.keys[-1]})

    def give_up(self) -> None:
        """Read no more: memory is short."""
        self._turns.clear()
