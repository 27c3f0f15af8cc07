"""All time series of one handler, as a registry asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from prometheus_client import Counter, Metric
from prometheus_client.registry import Collector

from actorllama.telemetry.bus import Bus
from actorllama.telemetry.prometheus_distribution import Distribution
from actorllama.telemetry.prometheus_family import Family
from actorllama.telemetry.prometheus_number import Number

__all__ = ["Families"]

_TIMEOUT_S = 1.0


class Families(Collector):
    """Declares families of series, and tells them when a registry is scraped.

    The numbers are plain ones of our own: one thread changes them, so that they need none of the locks that
    prometheus_client takes for each, and the labels that it sorts and copies. A scrape waits for the facts
    on their way (one second at most), so it tells what happened just before it.

    Owner: the handler that made it; any thread may scrape.
    """

    def __init__(self, bus: Bus) -> None:
        """Declare nothing yet.

        Args:
            bus: Whose late handlers change the series.
        """
        self._bus = bus
        self._families: list[Family[Number] | Family[Distribution]] = []

    def counter(self, name: str, words: str, *labels: str) -> Family[Number]:
        """Declare counts that only grow; the name ends in ``_total``."""
        return self._number(Family("counter", f"actorllama_{name}", words, labels, Number))

    def gauge(self, name: str, words: str, *labels: str) -> Family[Number]:
        """Declare numbers that rise and fall."""
        return self._number(Family("gauge", f"actorllama_{name}", words, labels, Number))

    def histogram(self, name: str, words: str, ends: tuple[float, ...], *labels: str) -> Family[Distribution]:
        """Declare distributions, with the upper ends of their buckets."""
        made = Family("histogram", f"actorllama_{name}", words, labels, partial(Distribution, ends))
        self._families.append(made)
        return made

    def describe(self) -> Iterable[Metric]:
        """Claim the names."""
        return [family.describe() for family in self._families]

    def collect(self) -> Iterable[Metric]:
        """Wait for the facts on their way, then give all series."""
        self._bus.flush(timeout_s=_TIMEOUT_S)
        has_created = _has_created()
        return [family.collect(has_created=has_created) for family in self._families]

    def _number(self, made: Family[Number]) -> Family[Number]:
        self._families.append(made)
        return made


def _has_created() -> bool:
    """Ask whether prometheus_client tells when a count began: users switch that off, by a call or outside."""
    (probe,) = Counter("actorllama_probe", "A count.", registry=None).collect()
    return any(sample.name.endswith("_created") for sample in probe.samples)
