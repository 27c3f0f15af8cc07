"""What it costs to bring saved cells back, learnt from what it did cost."""

from __future__ import annotations

from typing import Final

from actorllama.kvcache import TierName

__all__ = ["RestoreCost"]

_WEIGHT: Final = 0.2  # of the newest measurement; a disk has its moods
_RATES: Final[dict[TierName, float]] = {"ram": 2e9, "disk": 3e8}  # bytes per second until one was measured
_HOP_S: Final[dict[TierName, float]] = {"ram": 0.0002, "disk": 0.0005}


class RestoreCost:
    """Seconds that a restore takes, by tier.

    Owner: the cache actor.
    """

    def __init__(self) -> None:
        """Begin with what is usual."""
        self._rates = dict(_RATES)
        self._cell_bytes: dict[str, float] = {}

    def learn_size(self, namespace: str, *, n_bytes: int, n_cells: int) -> None:
        """Remember how much a cell takes in states of a namespace."""
        self._cell_bytes[namespace] = n_bytes / n_cells

    def learn_speed(self, tier: TierName, *, n_bytes: int, duration_s: float) -> None:
        """Remember how long a restore took; one of few bytes says nothing about the rate."""
        if n_bytes >= 1 << 20 and duration_s > 0:
            rate = n_bytes / duration_s
            self._rates[tier] += _WEIGHT * (rate - self._rates[tier])

    def seconds(self, namespace: str, n_cells: int, tier: TierName) -> float:
        """Estimate a restore; of a namespace whose states were never seen only the fixed part."""
        return _HOP_S[tier] + n_cells * self._cell_bytes.get(namespace, 0.0) / self._rates[tier]

    def is_worth(
        self, namespace: str, *, n_cells: int, n_had: int, tier: TierName, token_s: float | None
    ) -> bool:
        """Tell whether restoring is quicker than computing.

        Args:
            namespace: Of the states.
            n_cells: Cells that would be restored.
            n_had: Cells that are there anyway, without a restore.
            tier: Where they would come from.
            token_s: Seconds for computing one prompt token; ``None`` if that is not known yet: then a
                restore is, for it nearly always is quicker.
        """
        if n_cells <= n_had:
            return False
        return token_s is None or self.seconds(namespace, n_cells, tier) < (n_cells - n_had) * token_s
