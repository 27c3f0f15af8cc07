"""What saves the fewest seconds of prefill per byte goes first, with ageing."""

from __future__ import annotations

from typing import ClassVar, Final

from actorllama.kvcache.policy import Offer
from actorllama.kvcache.ranked import RankedPolicy

__all__ = ["GreedyDual"]

_USES_MAX: Final = (
    8  # what was used more often than this is not worth more: it would outlive its use for long
)


class GreedyDual(RankedPolicy):
    """Evicts what is worth least: uses x seconds saved / bytes, on top of the tier's age at its last use.

    The age is the highest rank evicted so far, so that what was once popular does not stay for ever.
    Where size, worth and uses are equal, this is LRU.

    Source: GreedyDual-Size-Frequency (Cherkasova, HPL-98-69R1, 1998), with bounded counts.
    """

    name: ClassVar[str] = "greedy-dual"

    def _rank(self, offer: Offer, n_uses: int) -> float:
        return self._age + min(n_uses, _USES_MAX) * offer.worth_s / max(offer.n_bytes, 1)
