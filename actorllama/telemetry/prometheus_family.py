"""Time series of one name, told apart by their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from prometheus_client.core import Metric, Sample

from actorllama.telemetry.prometheus_distribution import Distribution
from actorllama.telemetry.prometheus_number import Number

__all__ = ["Family"]

S = TypeVar("S", Number, Distribution)


class Family(Generic[S]):
    """Makes the series of a name when they are first asked for, and tells all of them to a scrape.

    Owner: the readers that made it, in the late handlers' thread; any thread may scrape.
    """

    def __init__(
        self,
        kind: Literal["counter", "gauge", "histogram"],
        name: str,
        words: str,
        labels: tuple[str, ...],
        make: Callable[[], S],
    ) -> None:
        """Have no series yet.

        Args:
            kind: As Prometheus calls it.
            name: Of the series; a counter's ends in ``_total``.
            words: One sentence for who reads the scrape.
            labels: Names of the labels.
            make: Gives a fresh series.
        """
        self._kind = kind
        self._name = name
        self._words = words
        self._labels = labels
        self._make: Callable[[], S] = make
        self._series: dict[tuple[str, ...], S] = {}

    def labels(self, *values: str) -> S:
        """Give the series with these values of the labels, in the order of their names."""
        found = self._series.get(values)
        if found is None:
            assert len(values) == len(self._labels)
            found = self._series[values] = self._make()
        return found

    def describe(self) -> Metric:
        """Give the family without its series, for a registry that looks out for names which are taken."""
        return Metric(self._name.removesuffix("_total"), self._words, self._kind)

    def collect(self, *, has_created: bool) -> Metric:
        """Give the family with all its series.

        Args:
            has_created: Whether to tell when counts began, as series of their own.
        """
        metric = self.describe()
        for values, series in list(self._series.items()):
            labels = dict(zip(self._labels, values, strict=True))
            metric.samples.extend(
                Sample(self._name + suffix, {**labels, **more}, number)
                for suffix, more, number in series.parts()
            )
            if has_created and self._kind != "gauge":
                metric.samples.append(Sample(f"{metric.name}_created", labels, series.created_s))
        return metric
