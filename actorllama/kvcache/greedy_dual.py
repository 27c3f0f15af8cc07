"""What saves the fewest seconds of prefill per byte goes first, with ageing."""

from __future__ import annotations

from typing import Final

from actorllama.kvcache.key_memory import KeyMemory
from actorllama.kvcache.policy import Offer
from actorllama.kvcache.ranked import RankedPolicy

__all__ = ["GreedyDual"]

_REUSED_WEIGHT: Final = 1.5
"""What was used again counts for this much of what was used once, however often. Measured: true counts
up to 2, 4 or 8 lost up to 4, 8 and 9 % of the seconds against LRU where conversations grow (the next turn
comes soon or never), 1.5 at most 4 %, and won nearly as much where prompts are shared."""
_REMEMBERED_MIN: Final = 16
_MEAN_RATIO_MAX: Final = 8.0
"""What takes next to no bytes would outlive all others, and what holds it up (its ancestors) with it."""
_SEEN_RATIO: Final = 4  # the mean is that of the latest puts, about so many times what the tier holds


class GreedyDual(RankedPolicy):
    """Evicts what is worth least: seconds saved / bytes, more if used again, above the age of its last use.

    The age is the highest rank evicted so far, so that what was once popular does not stay for ever.
    That something was used again is known even if it was evicted since: as many keys are remembered
    as there are entries. Where size, worth and uses are equal, this is LRU. Seconds per byte are bounded
    to some times the mean; an entry of unknown worth counts as the mean.

    Source: GreedyDual-Size-Frequency (Cherkasova, HPL-98-69R1, 1998), with the count bounded.
    """

    @property
    def name(self) -> str:
        """What `policy_named` finds it by."""
        return "greedy-dual"

    def __init__(self) -> None:
        """Know no entry, and remember none."""
        super().__init__()
        self._memory = KeyMemory()
        self._seen_bytes = 0.0
        self._seen_s = 0.0

    def on_put(self, offer: Offer) -> None:
        """Know an entry from now on, and what a byte is worth in it."""
        if offer.worth_s > 0:
            n_bytes = max(offer.n_bytes, 1)
            self._seen_s += self._seconds_per_byte(offer) * n_bytes
            self._seen_bytes += n_bytes
        super().on_put(offer)
        if self._seen_bytes > _SEEN_RATIO * self._held_bytes:
            self._seen_bytes /= 2
            self._seen_s /= 2

    def on_evict(self, key: str) -> None:
        """Forget an entry that made room, but not its key."""
        super().on_evict(key)
        self._memory.remember(key, n_keys_max=len(self) + _REMEMBERED_MIN)

    def _rank(self, offer: Offer, n_uses: int) -> float:
        weight = 1.0 if n_uses < 2 else _REUSED_WEIGHT
        return self._age + weight * self._seconds_per_byte(offer)

    def _seconds_per_byte(self, offer: Offer) -> float:
        mean = self._seen_s / self._seen_bytes if self._seen_bytes else 0.0
        if not offer.worth_s:
            return mean
        own = offer.worth_s / max(offer.n_bytes, 1)
        return min(own, _MEAN_RATIO_MAX * mean) if mean else own

    def _first_uses(self, key: str) -> int:
        return 1 + self._memory.forget(key)
