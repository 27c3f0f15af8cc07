"""States that wait to be cut, in order."""

from __future__ import annotations

from collections import deque
from itertools import islice

from actorllama.engine.cache_messages import FindPrefix, KeepCells
from actorllama.kvcache import Snapshot

__all__ = ["SplitQueue"]


class SplitQueue:
    """What was ordered and is not cut yet, the one under way included; bounded by bytes.

    Who asks for something that may be in here waits until all that came before has been cut.

    Owner: the cache actor.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        """Begin empty; ``limit_bytes`` bounds the states together."""
        self.used_bytes = 0
        self.n_ordered = 0
        """Orders so far."""
        self._limit_bytes = limit_bytes
        self._orders: deque[KeepCells] = deque()
        self._snapshots: dict[str, Snapshot] = {}
        self._n_done = 0

    def __len__(self) -> int:
        """Count the orders that wait or are under way."""
        return len(self._orders)

    @property
    def first(self) -> KeepCells:
        """The order that came first."""
        return self._orders[0]

    def order(self, message: KeepCells) -> bool:
        """Take an order; ``False`` if too many bytes wait already."""
        n_bytes = len(message.kv or b"")
        if self.used_bytes + n_bytes > self._limit_bytes:
            return False
        if message.snapshot is not None:
            self._snapshots[message.snapshot.key] = message.snapshot
        self.used_bytes += n_bytes
        self.n_ordered += 1
        self._orders.append(message)
        return True

    def done(self) -> None:
        """Forget the first order: it was cut, or given up."""
        message = self._orders.popleft()
        self._n_done += 1
        self.used_bytes -= len(message.kv or b"")
        if message.snapshot is not None:
            self._snapshots.pop(message.snapshot.key, None)

    def snapshot(self, key: str) -> Snapshot | None:
        """Return a turn whose state is not cut yet."""
        return self._snapshots.get(key)

    def may_begin(self, question: FindPrefix, *, n_before: int) -> bool:
        """Tell whether one of the first ``n_before`` orders may be what is looked for, and waits still."""
        n = question.n_least
        before = islice(self._orders, max(0, n_before - self._n_done))
        return any(
            message.namespace == question.namespace and message.tokens[:n] == question.tokens[:n]
            for message in before
        )
