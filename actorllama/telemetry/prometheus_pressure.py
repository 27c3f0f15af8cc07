"""The time series of memory that is short, and of what was given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from actorllama.telemetry.bounded_labels import BoundedLabels
from actorllama.telemetry.event import EventName, Measurements, Metadata
from actorllama.telemetry.prometheus_families import Families

__all__ = ["HOST_STEPS", "PressureSeries"]

_Reader: TypeAlias = Callable[[Measurements, Metadata], None]

HOST_STEPS = ("demote", "drop_scratch", "evict", "shrink", "unload")
"""Rungs of the host's ladder, mildest first; a GPU's has ``stop_admitting`` before ``shrink``."""

_N_DOMAINS = 65  # the host, and as many GPUs as one machine may have
_ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class PressureSeries:
    """Series by domain (``host``, ``gpu0``, ...) and rung, with the readers of the events that change them.

    Owner: the readers that made it; one thread.
    """

    def __init__(self, families: Families) -> None:
        """Declare all, at zero where it is known what can come."""
        by_step = ("domain", "step")
        self._pressed = families.gauge("memory_pressed", "Whether memory is short and asked back.", "domain")
        self._began = families.counter("memory_pressures_total", "Times memory became short.", "domain")
        self._asks = families.counter("memory_asks_total", "Times an owner was asked for memory.", *by_step)
        self._asked_bytes = families.counter("memory_asked_bytes_total", "Bytes asked for.", *by_step)
        self._won_bytes = families.counter("memory_won_bytes_total", "Bytes that were given back.", *by_step)
        self._answer_s = families.histogram(
            "memory_answer_seconds", "From asking an owner to its answer.", _ANSWER_S, "step"
        )
        self._domains = BoundedLabels(_N_DOMAINS)
        self._calm("host")
        for step in HOST_STEPS:
            for counter in (self._asks, self._asked_bytes, self._won_bytes):
                counter.labels("host", step)
            self._answer_s.labels(step)
        self.table: Mapping[EventName, _Reader] = {
            ("engine", "pressure", "began"): self._pressure_began,
            ("engine", "pressure", "ended"): lambda _, about: self._calm(self._domains.of(about["domain"])),
            ("engine", "pressure", "asked"): self._asked,
            ("engine", "pressure", "won"): self._won,
        }

    def _calm(self, domain: str) -> None:
        self._pressed.labels(domain).set(0)
        self._began.labels(domain)

    def _pressure_began(self, _numbers: Measurements, about: Metadata) -> None:
        domain = self._domains.of(about["domain"])
        self._pressed.labels(domain).set(1)
        self._began.labels(domain).inc()

    def _asked(self, numbers: Measurements, about: Metadata) -> None:
        where = (self._domains.of(about["domain"]), str(about["step"]))
        self._asks.labels(*where).inc()
        self._asked_bytes.labels(*where).inc(numbers["asked_bytes"])

    def _won(self, numbers: Measurements, about: Metadata) -> None:
        step = str(about["step"])
        self._won_bytes.labels(self._domains.of(about["domain"]), step).inc(numbers["won_bytes"])
        self._answer_s.labels(step).observe(numbers["duration_s"])
