"""Lets a scrape see what was told just before it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.registry import Collector

from actorllama.telemetry.bus import Bus

__all__ = ["CatchUp"]

_TIMEOUT_S = 1.0


class CatchUp(Collector):
    """Has no series: registered before those that have, it makes a scrape wait for the facts on their way.

    A scrape of chosen names does not ask it, and may miss the last fraction of a second.
    """

    def __init__(self, bus: Bus) -> None:
        """Wait for the late handlers of ``bus``."""
        self._bus = bus

    def describe(self) -> Iterable[Metric]:
        """Claim no name."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Wait, and give nothing."""
        self._bus.flush(timeout_s=_TIMEOUT_S)
        return ()
