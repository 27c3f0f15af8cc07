import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    enable_created_metrics,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from actorllama.telemetry import Bus, Event, attach_prometheus
from actorllama.telemetry.prometheus_families import Families

WAIT_S = (0.001, 0.25, 1.0, 60.0)
GAVE_UP = Event(name=("actors", "supervisor", "gave_up"), doc="A supervisor gave up.")


def samples_of(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text back with Prometheus' own parser."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def headers_of(registry: CollectorRegistry) -> list[str]:
    """Give the lines that say what a series is."""
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith("#")]


def has_created(registry: CollectorRegistry) -> bool:
    return any(name.endswith("_created") for name, _ in samples_of(registry))


def test_series_are_told_as_the_librarys_own_metrics_tell_them() -> None:
    ours, theirs, families = CollectorRegistry(), CollectorRegistry(), Families(Bus())
    ours.register(families)
    turns = families.counter("turns_total", "Turns.", "model").labels("chat")
    wait = families.histogram("wait_seconds", "Waits.", WAIT_S, "model", "kind").labels("a", 'b\n"')
    families.gauge("level", "Levels.").labels().set(-3)
    families.counter("never_total", "Has no series.", "model")
    their_turns = Counter("actorllama_turns_total", "Turns.", ["model"], registry=theirs).labels("chat")
    their_wait = Histogram(
        "actorllama_wait_seconds", "Waits.", ["model", "kind"], buckets=WAIT_S, registry=theirs
    ).labels("a", 'b\n"')
    Gauge("actorllama_level", "Levels.", registry=theirs).set(-3)
    Counter("actorllama_never_total", "Has no series.", ["model"], registry=theirs)
    for number in (1, 2.5):
        turns.inc(number)
        their_turns.inc(number)
    for seconds in (0.0, 0.001, 0.0011, 0.25, 60.0, 61.0, float("inf")):
        wait.observe(seconds)
        their_wait.observe(seconds)

    found, expected = samples_of(ours), samples_of(theirs)
    assert set(found) == set(expected)
    counted = {key for key in expected if not key[0].endswith("_created")}
    assert {key: found[key] for key in counted} == {key: expected[key] for key in counted}
    assert headers_of(ours) == headers_of(theirs)


def test_a_series_is_the_same_one_whenever_it_is_asked_for() -> None:
    family = Families(Bus()).counter("turns_total", "Turns.", "model")
    assert family.labels("chat") is family.labels("chat")
    assert family.labels("chat") is not family.labels("other")


def test_who_wants_no_times_of_creation_gets_none() -> None:
    registry = attach_prometheus(Bus())
    disable_created_metrics()  # type: ignore[no-untyped-call] # so is the library
    try:
        assert not has_created(registry)
    finally:
        enable_created_metrics()  # type: ignore[no-untyped-call] # as above
    assert has_created(registry)


def test_a_scrape_of_chosen_names_tells_what_happened_just_before_it_too() -> None:
    bus = Bus()
    registry = attach_prometheus(bus)
    bus.execute(GAVE_UP)

    (family,) = registry.restricted_registry(["actorllama_supervisors_gave_up_total"]).collect()
    assert [sample.value for sample in family.samples] == [1.0]


def test_series_stay_in_the_registry_when_the_handler_is_detached() -> None:
    bus = Bus()
    registry = attach_prometheus(bus)
    bus.execute(GAVE_UP)
    bus.detach("prometheus")
    bus.execute(GAVE_UP)

    assert samples_of(registry)["actorllama_supervisors_gave_up_total", frozenset()] == 1


def test_a_handler_id_that_is_taken_leaves_no_series_behind() -> None:
    bus, registry = Bus(), CollectorRegistry()
    attach_prometheus(bus)
    with pytest.raises(ValueError, match="attached already"):
        attach_prometheus(bus, registry=registry)

    assert samples_of(registry) == {}
