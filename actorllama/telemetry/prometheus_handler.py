"""Keeps time series of what the rooms tell, for a Prometheus server to fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorllama.telemetry.bus import Bus
from actorllama.telemetry.extras import need_extra

if TYPE_CHECKING:  # an extra: it may not be installed
    from prometheus_client import CollectorRegistry

__all__ = ["attach_prometheus"]


def attach_prometheus(
    bus: Bus,
    *,
    registry: CollectorRegistry | None = None,
    label_limit: int = 64,
    handler_id: str = "prometheus",
) -> CollectorRegistry:
    """Count and observe the events of a bus as Prometheus time series.

    ::

        registry = attach_prometheus(bus)
        prometheus_client.start_http_server(9400, registry=registry)

    The series are named ``actorllama_..._total``, ``_seconds``, ``_bytes``, ``_tokens``; no prompt and no
    reply is in them. `docs/grafana/actorllama.json` is a dashboard of them.

    Args:
        bus: Where to listen.
        registry: Where the series go; one of their own where ``None``.
        label_limit: Values at most for a label that users name (models, children of supervisors); what
            comes later is counted as ``other``.
        handler_id: The name of the handler on the bus, for `Bus.detach`. The series stay in the registry.

    Returns:
        The registry.

    Raises:
        ConfigError: prometheus-client is not installed; the message has the command.
        ValueError: ``handler_id`` is taken, or the registry has these series already.
    """
    need_extra("prometheus", "prometheus_client")
    from prometheus_client import CollectorRegistry as Registry

    from actorllama.telemetry.prometheus_families import Families
    from actorllama.telemetry.prometheus_readers import PrometheusReaders
    from actorllama.telemetry.prometheus_series import PrometheusSeries

    into = Registry() if registry is None else registry
    families = Families(bus)
    readers = PrometheusReaders(PrometheusSeries(families), label_limit=label_limit)
    into.register(families)
    try:
        bus.attach_late(handler_id, readers.table, readers)
    except ValueError:
        into.unregister(families)
        raise
    return into
