"""Series of our own read like the library's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from actorllama.telemetry import Bus
from actorllama.telemetry.prometheus_families import Families

labels = st.text(max_size=4)
amounts = st.floats(min_value=0, max_value=1e12)
observed = st.one_of(st.floats(allow_nan=False, allow_infinity=False, width=32), st.just(float("inf")))
ends = st.lists(st.floats(min_value=1e-6, max_value=999_999), min_size=1, max_size=6, unique=True).map(sorted)


def told(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float | None]:
    """Read what a scrape gives, without the times when counts began."""
    return {
        (sample.name, frozenset(sample.labels.items())): (
            None if sample.name.endswith("_created") else sample.value
        )
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


@given(
    st.lists(st.tuples(labels, amounts), max_size=8),
    st.lists(st.tuples(labels, observed), max_size=8),
    ends,
)
def prop_a_scrape_tells_what_the_librarys_own_metrics_would(
    counted: list[tuple[str, float]], seen: list[tuple[str, float]], bounds: list[float]
) -> None:
    ours, theirs, families = CollectorRegistry(), CollectorRegistry(), Families(Bus())
    ours.register(families)
    total = families.counter("turns_total", "Turns.", "model")
    level = families.gauge("level", "Levels.", "model")
    spread = families.histogram("wait_seconds", "Waits.", tuple(bounds), "model")
    their_total = Counter("actorllama_turns_total", "Turns.", ["model"], registry=theirs)
    their_level = Gauge("actorllama_level", "Levels.", ["model"], registry=theirs)
    their_spread = Histogram("actorllama_wait_seconds", "Waits.", ["model"], buckets=bounds, registry=theirs)
    for model, amount in counted:
        total.labels(model).inc(amount)
        their_total.labels(model).inc(amount)
    for model, value in seen:
        level.labels(model).set(value)
        their_level.labels(model).set(value)
        spread.labels(model).observe(value)
        their_spread.labels(model).observe(value)

    assert told(ours) == told(theirs)
