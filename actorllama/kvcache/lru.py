"""What was used longest ago goes first."""

from __future__ import annotations

from actorllama.kvcache.policy import Offer
from actorllama.kvcache.ranked import RankedPolicy

__all__ = ["Lru"]


class Lru(RankedPolicy):
    """Evicts what was used longest ago, leaf before root; neither size nor worth counts."""

    @property
    def name(self) -> str:
        """What `policy_named` finds it by."""
        return "lru"

    def _rank(self, offer: Offer, n_uses: int) -> float:
        return 0.0  # ties go by the time of use
