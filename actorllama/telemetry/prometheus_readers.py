"""How each event changes the time series: one reader per event, found by the event's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from actorllama.telemetry.bounded_labels import OTHER, BoundedLabels
from actorllama.telemetry.event import Event, EventName, Measurements, Metadata
from actorllama.telemetry.prometheus_model import ModelSeries
from actorllama.telemetry.prometheus_series import PrometheusSeries

__all__ = ["PrometheusReaders", "Reader"]

Reader: TypeAlias = Callable[[Measurements, Metadata], None]

_TIERS = ("ram", "disk")
_CAUSES = ("dead", "drained", "overflow", "late_reply")


class PrometheusReaders:
    """Reads events of every room, by name: this room must not import those above it.

    A test holds each reader to what the event declares.

    Owner: the bus that it is attached to, and its late handlers' thread.
    """

    def __init__(self, series: PrometheusSeries, *, label_limit: int) -> None:
        """Read into ``series``; at most ``label_limit`` values for each label that users name."""
        self._series = series
        self._models: dict[object, ModelSeries] = {}
        self._names = BoundedLabels(label_limit)
        self._children = BoundedLabels(label_limit)
        self._kinds = BoundedLabels(label_limit)
        self._causes = BoundedLabels(label_limit)
        self._tiers = BoundedLabels(label_limit)
        for tier in _TIERS:  # there from the start, so that a rate over them begins at zero
            for counter in series.by_tier:
                counter.labels(self._tiers.of(tier))
        for cause in _CAUSES:
            series.dead_letters.labels(self._causes.of(cause))
        for counter in (series.restarts, series.crashes):
            counter.labels(OTHER)
        self.table: Mapping[EventName, Reader] = {
            ("engine", "model", "loaded"): lambda numbers, about: self._model(about).loaded(numbers),
            ("engine", "model", "unloaded"): lambda _, about: self._model(about).gone(),
            ("engine", "model", "failed"): lambda _, about: self._model(about).failed(),
            ("engine", "load", "failed"): self._load_failed,
            ("engine", "turn", "queued"): lambda numbers, about: self._model(about).turn_queued(numbers),
            ("engine", "turn", "refused"): lambda _, about: self._model(about).turn_refused(about),
            ("engine", "turn", "ended"): lambda numbers, about: self._model(about).turn_ended(numbers, about),
            ("engine", "turn", "failed"): lambda numbers, about: self._model(about).turn_over(numbers, about),
            ("engine", "context", "parked"): lambda numbers, about: self._model(about).parked(numbers),
            ("engine", "context", "reopened"): lambda numbers, about: self._model(about).reopened(numbers),
            **series.pressure.table,
            ("engine", "cells", "dropped"): lambda _, __: series.cells_dropped.inc(),
            ("engine", "step", "reported"): lambda numbers, about: self._model(about).stepped(numbers),
            ("kvcache", "entry", "published"): self._published,
            ("kvcache", "entry", "evicted"): self._evicted,
            ("kvcache", "entry", "declined"): self._declined,
            ("kvcache", "entry", "refused"): self._entry_refused,
            ("kvcache", "entry", "quarantined"): lambda _, __: series.quarantined.inc(),
            ("kvcache", "put", "failed"): self._put_failed,
            ("kvcache", "write", "dropped"): lambda _, __: series.writes_dropped.inc(),
            ("kvcache", "disk", "swept"): lambda numbers, _: series.swept_bytes.inc(numbers["freed_bytes"]),
            ("actors", "child", "restart"): self._restarted,
            ("actors", "actor", "crash"): self._crashed,
            ("actors", "supervisor", "gave_up"): lambda _, __: series.gave_up.inc(),
            ("actors", "message", "dropped"): self._message_dropped,
            ("telemetry", "handler", "failed"): lambda _, __: series.handler_failures.inc(),
            ("telemetry", "facts", "dropped"): lambda numbers, _: series.facts_dropped.inc(
                numbers["n_facts"]
            ),
        }

    def __call__(
        self, event: Event, measurements: Measurements, metadata: Metadata, _at_s: float = 0.0
    ) -> None:
        """Read one fact.

        Cost: below a microsecond; the end of a turn 5.
        """
        self.table[event.name](measurements, metadata)

    def _model(self, about: Metadata) -> ModelSeries:
        name = about["model"]
        found = self._models.get(name)
        if found is None:
            label = self._names.of(name)
            # All names beyond the limit share one label, and one object: their totals mix, their sums hold.
            found = self._models.get(label) or ModelSeries(self._series, label)
            self._models[label] = found
        return found

    def _load_failed(self, _numbers: Measurements, about: Metadata) -> None:
        self._series.load_failures.labels(self._names.of(about["model"])).inc()

    def _published(self, numbers: Measurements, about: Metadata) -> None:
        tier = self._tiers.of(about["tier"])
        self._series.writes.labels(tier).inc()
        self._series.written_bytes.labels(tier).inc(numbers["entry_bytes"])
        self._series.write_s.labels(tier).observe(numbers["duration_s"])

    def _evicted(self, numbers: Measurements, about: Metadata) -> None:
        tier = self._tiers.of(about["tier"])
        self._series.evictions.labels(tier).inc()
        self._series.evicted_bytes.labels(tier).inc(numbers["entry_bytes"])

    def _declined(self, _numbers: Measurements, about: Metadata) -> None:
        self._series.declined.labels(self._tiers.of(about["tier"])).inc()

    def _entry_refused(self, numbers: Measurements, about: Metadata) -> None:
        self._series.entries_refused.labels(self._tiers.of(about["tier"])).inc(numbers["n_entries"])

    def _put_failed(self, _numbers: Measurements, about: Metadata) -> None:
        self._series.write_failures.labels(self._tiers.of(about["tier"])).inc()

    def _restarted(self, _numbers: Measurements, about: Metadata) -> None:
        self._series.restarts.labels(self._children.of(about["child"])).inc()

    def _crashed(self, _numbers: Measurements, about: Metadata) -> None:
        self._series.crashes.labels(self._kinds.of(about["kind"])).inc()

    def _message_dropped(self, numbers: Measurements, about: Metadata) -> None:
        self._series.dead_letters.labels(self._causes.of(about["cause"])).inc(numbers["n_messages"])
