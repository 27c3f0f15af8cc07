"""Least rank goes first, leaf before root: the bookkeeping that the policies share."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Container

from attrs import define

from actorllama.kvcache.policy import Offer, Room

__all__ = ["RankedPolicy"]

_STALE_MIN = 64  # below that, a heap is not worth building again


@define(kw_only=True, eq=False)
class _Held:
    offer: Offer
    n_uses: int
    rank: float
    used_at: int
    is_pinned: bool = False
    is_queued: bool = False
    is_gone: bool = False


class RankedPolicy(ABC):
    """Evicts by rank, which a subclass gives; of equal ranks the entry used longest ago goes first.

    Only entries that may go wait in the heap: what is pinned or has children joins when it is free. A
    rank may only grow by a use, so a use need not touch the heap: an item whose rank has grown since
    is put back when it comes up.
    """

    def __init__(self) -> None:
        """Know no entry."""
        self._held: dict[str, _Held] = {}
        self._n_children: Counter[str] = Counter()  # by parent, whether that one is in the tier or not
        self._heap: list[tuple[float, int, _Held]] = []
        self._aside: list[_Held] = []  # chosen by the last plan; they join the heap again if they stay
        self._n_stale = 0
        self._held_bytes = 0
        self._age = 0.0  # the highest rank evicted so far
        self._clock = 0  # counts puts and uses; unique, so that no two items are equal

    def __repr__(self) -> str:
        """Tell how many entries it ranks."""
        return f"<{type(self).__name__} {len(self._held)} entries, {self._held_bytes} bytes>"

    def __len__(self) -> int:
        """Count the entries of the tier."""
        return len(self._held)

    @abstractmethod
    def _rank(self, offer: Offer, n_uses: int) -> float:
        """Rank an entry used just now; a use never lowers the rank that it has."""

    def plan_room(self, offer: Offer, *, needed_bytes: int) -> Room:
        """Choose the entries of least rank, as `EvictionPolicy` says."""
        if needed_bytes <= 0:
            return Room(verdict="admit")
        if needed_bytes > self._held_bytes:
            return Room(verdict="full")
        victims, n_lacking = self._choose(needed_bytes, spared=(offer.key, offer.parent))
        if n_lacking > 0:
            return Room(verdict="full")
        return Room(verdict="admit", victims=tuple(victims))

    def plan_eviction(self, n_bytes: int) -> tuple[str, ...]:
        """Choose the entries of least rank, as `EvictionPolicy` says."""
        return tuple(self._choose(n_bytes, spared=())[0])

    def _choose(self, needed_bytes: int, *, spared: Container[str | None]) -> tuple[list[str], int]:
        """Choose from the least rank on; return the keys, and the bytes that are lacking all the same."""
        self._restore_heap()
        gone: Counter[str] = Counter()  # children that would be gone by then
        victims: list[str] = []
        while needed_bytes > 0 and (held := self._pop_least(gone)) is not None:
            self._aside.append(held)
            if held.offer.key in spared:
                continue
            victims.append(held.offer.key)
            needed_bytes -= held.offer.n_bytes
            parent = held.offer.parent
            if parent is not None:
                gone[parent] += 1
                if parent in self._held and gone[parent] == self._n_children[parent]:
                    self._queue(self._held[parent])
        return victims, needed_bytes

    def on_put(self, offer: Offer) -> None:
        """Know an entry from now on."""
        old = self._held.get(offer.key)
        if old is not None:
            self._forget(old)
        self._clock += 1
        n_uses = old.n_uses if old else self._first_uses(offer.key)
        held = _Held(
            offer=offer,
            n_uses=n_uses,
            rank=self._rank(offer, n_uses),
            used_at=self._clock,
            is_pinned=old is not None and old.is_pinned,
        )
        self._held[offer.key] = held
        self._held_bytes += offer.n_bytes
        if offer.parent is not None:
            self._n_children[offer.parent] += 1
        self._queue(held)

    def on_use(self, key: str) -> None:
        """Count a use."""
        held = self._held.get(key)
        if held is not None:
            self._clock += 1
            held.n_uses += 1
            held.rank = max(held.rank, self._rank(held.offer, held.n_uses))
            held.used_at = self._clock

    def on_evict(self, key: str) -> None:
        """Forget an entry that made room."""
        held = self._held.get(key)
        if held is not None:
            self._age = max(self._age, held.rank)
            self._forget(held)

    def on_remove(self, key: str) -> None:
        """Forget an entry."""
        held = self._held.get(key)
        if held is not None:
            self._forget(held)

    def on_decline(self, key: str) -> None:  # noqa: B027 (most policies have nothing to learn)
        """Learn nothing: what is not in the tier has no rank."""

    def on_pin(self, key: str) -> None:
        """Never choose this entry, until `on_unpin`."""
        held = self._held.get(key)
        if held is not None:
            held.is_pinned = True

    def on_unpin(self, key: str) -> None:
        """Let this entry go again."""
        held = self._held.get(key)
        if held is not None:
            held.is_pinned = False
            self._queue(held)

    # -- inside --------------------------------------------------------------------------------

    def _first_uses(self, key: str) -> int:
        """Say how many uses an entry begins with."""
        return 1

    def _pop_least(self, gone: Counter[str]) -> _Held | None:
        """Take the least entry that may go out of the heap; the caller puts it aside."""
        while self._heap:
            rank, used_at, held = heapq.heappop(self._heap)
            key = held.offer.key
            held.is_queued = False
            if held.is_gone:
                self._n_stale -= 1
            elif held.is_pinned or self._n_children[key] > gone[key]:
                pass  # it is queued again when it is free
            elif (held.rank, held.used_at) != (rank, used_at):
                self._queue(held)  # it was used since
            else:
                held.is_queued = True
                return held
        return None

    def _queue(self, held: _Held) -> None:
        if not held.is_queued and not held.is_gone:
            held.is_queued = True
            heapq.heappush(self._heap, (held.rank, held.used_at, held))

    def _forget(self, held: _Held) -> None:
        held.is_gone = True
        self._n_stale += held.is_queued
        self._held_bytes -= held.offer.n_bytes
        del self._held[held.offer.key]
        if self._n_stale > _STALE_MIN + len(self._held):
            self._drop_stale()
        parent = held.offer.parent
        if parent is None:
            return
        self._n_children[parent] -= 1
        if self._n_children[parent] == 0:
            del self._n_children[parent]
            if parent in self._held:
                self._queue(self._held[parent])

    def _restore_heap(self) -> None:
        for held in self._aside:
            held.is_queued = False
            self._n_stale -= held.is_gone
            self._queue(held)
        self._aside.clear()

    def _drop_stale(self) -> None:
        self._heap = [item for item in self._heap if not item[2].is_gone]
        heapq.heapify(self._heap)
        self._aside = [held for held in self._aside if not held.is_gone]
        self._n_stale = 0
