"""What is kept of the facts for those who watch."""

from __future__ import annotations

from actorllama.engine.events import PRESSURE_ASKED, PRESSURE_BEGAN, PRESSURE_ENDED, PRESSURE_WON
from actorllama.runtime.observer_tail import EventTail
from actorllama.telemetry import StrictBus


def test_a_domain_that_is_short_is_told_with_its_rung_and_what_each_has_brought() -> None:
    bus = StrictBus()
    tail = EventTail(bus=bus, n_events=100)
    with tail.listening():
        assert tail.pressure() == []
        bus.execute(PRESSURE_BEGAN, {"used_bytes": 9, "limit_bytes": 10}, {"domain": "host"})
        for step, won_bytes in (("demote", 5), ("evict", 7), ("demote", 6)):
            about = {"domain": "host", "step": step, "owner": "cache"}
            bus.execute(PRESSURE_ASKED, {"asked_bytes": 10}, about)
            bus.execute(PRESSURE_WON, {"asked_bytes": 10, "won_bytes": won_bytes}, about)
        (short,) = tail.pressure()
        bus.execute(PRESSURE_ENDED, {}, {"domain": "host"})
        (over,) = tail.pressure()

    assert short["event"] == "engine.pressure.began"
    assert (short["step"], short["won_bytes"]) == ("demote", {"demote": 11, "evict": 7})
    assert (over["event"], over["won_bytes"]) == ("engine.pressure.ended", short["won_bytes"])


def test_a_domain_that_nobody_was_asked_for_has_no_rung() -> None:
    bus = StrictBus()
    tail = EventTail(bus=bus, n_events=100)
    with tail.listening():
        bus.execute(PRESSURE_BEGAN, {"used_bytes": 9, "limit_bytes": 10}, {"domain": "gpu0"})

    (fact,) = tail.pressure()
    assert (fact["step"], fact["won_bytes"]) == (None, {})
