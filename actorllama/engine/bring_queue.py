"""States are brought one after the other, so that each finds the pages that were touched for the last."""

from __future__ import annotations

from collections import deque

from actorllama.engine.cache_messages import FindPrefix
from actorllama.kvcache import TierName

__all__ = ["BringQueue"]


class BringQueue:
    """Lets one state of each tier be brought at a time.

    Two at the same time would share neither memory nor, for what takes a millisecond each, the interpreter
    well: four threads that copy for 1 ms each were seen to take 10 ms and more. What is in RAM does not wait
    for what is on disk.

    Owner: the cache actor.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._busy: set[TierName] = set()
        self._waiting: deque[tuple[TierName, FindPrefix, int]] = deque()

    def may_begin(self, tier: TierName, question: FindPrefix, *, n_before: int) -> bool:
        """Tell whether a state may be brought now; if not, the question waits for `ended`.

        Args:
            tier: Where it is.
            question: Who asks.
            n_before: What was ordered before the question (`SplitQueue`).
        """
        if tier in self._busy:
            self._waiting.append((tier, question, n_before))
            return False
        self._busy.add(tier)
        return True

    def ended(self, tier: TierName) -> list[tuple[FindPrefix, int]]:
        """Take note that a state was brought, or not; return the questions to be asked again, in order."""
        self._busy.discard(tier)
        again = [(question, n_before) for at, question, n_before in self._waiting if at == tier]
        self._waiting = deque(one for one in self._waiting if one[0] != tier)
        return again
