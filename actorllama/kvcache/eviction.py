"""Which entries go when room is needed: a pure plan, the same for every tier."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from attrs import frozen

__all__ = ["Candidate", "plan_eviction"]


@frozen(kw_only=True)
class Candidate:
    """An entry that may be evicted."""

    key: str
    n_bytes: int
    rank: tuple[float, ...]
    """What is worth least goes first: the smaller rank, and of equal ranks the smaller key."""


def plan_eviction(candidates: Iterable[Candidate], *, needed_bytes: int) -> tuple[Candidate, ...] | None:
    """Choose what to evict so that at least ``needed_bytes`` come free.

    Returns:
        The entries, least worth first: none if nothing is needed, and without the last of them the
        need would not be met. ``None`` if all of them together are not enough; then nothing should go.

    Cost: O(n) for the candidates, and O(log n) for each that goes. Keys are distinct.
    """
    chosen: list[Candidate] = []
    missing_bytes = needed_bytes
    if missing_bytes <= 0:
        return ()
    heap = [(candidate.rank, candidate.key, candidate) for candidate in candidates]
    heapq.heapify(heap)
    while heap:
        candidate = heapq.heappop(heap)[2]
        chosen.append(candidate)
        missing_bytes -= candidate.n_bytes
        if missing_bytes <= 0:
            return tuple(chosen)
    return None
