"""What somebody who looks in is told about memory."""

from __future__ import annotations

from attrs import evolve

from actorllama.engine.pressure_options import PressureOptions
from actorllama.engine.pressure_plan import Ask, DomainState, Freeable, PressureState, Step
from actorllama.engine.pressure_view import view_of
from actorllama.native.memory import HOST, MemoryDomain, MemoryReading

GPU = MemoryDomain(kind="gpu", index=0)
OPTIONS = PressureOptions(low_share=0.5, high_share=0.75)
READINGS = (
    MemoryReading(domain=GPU, source="nvml", used_bytes=10, limit_bytes=100),
    MemoryReading(domain=HOST, source="psutil", used_bytes=50, limit_bytes=200),
    MemoryReading(domain=HOST, source="cgroup", used_bytes=50, limit_bytes=100),
    MemoryReading(domain=HOST, source="psi", stall_share=0.25),
)
ASK = Ask(domain=HOST, step=Step.EVICT, owner="cache", n_bytes=5)


def test_each_domain_is_told_by_its_tightest_limit_the_hosts_first() -> None:
    host, gpu = view_of(PressureState(), READINGS, (), {}, OPTIONS)

    assert (host.domain, host.used_bytes, host.limit_bytes, host.stall_share) == (HOST, 50, 100, 0.25)
    assert (gpu.domain, gpu.used_bytes, gpu.limit_bytes, gpu.stall_share) == (GPU, 10, 100, None)
    assert (host.low_share, host.high_share, host.is_pressed, host.rung) == (0.5, 0.75, False, None)


def test_a_pressed_domain_stands_on_the_rung_that_was_asked_or_is_tried_next() -> None:
    pressed = DomainState(is_pressed=True, floor=Step.DROP_SCRATCH, closed=frozenset({"b", "a"}))
    for known, rung, n_pending in (
        (pressed, Step.DROP_SCRATCH, 0),
        (evolve(pressed, pending=(ASK,)), Step.EVICT, 1),
    ):
        (host, _) = view_of(PressureState(domains={HOST: known}), READINGS, (), {}, OPTIONS)
        assert (host.rung, host.n_pending, host.closed) == (rung, n_pending, ("a", "b"))


def test_what_is_offered_and_what_was_won_is_added_up_by_rung_where_it_lies() -> None:
    offers = [
        Freeable(domain=HOST, step=Step.UNLOAD, owner="a", n_bytes=7),
        Freeable(domain=HOST, step=Step.UNLOAD, owner="b", n_bytes=8),
        Freeable(domain=HOST, step=Step.UNLOAD, owner="busy", n_bytes=9, is_active=True),
        Freeable(domain=HOST, step=Step.DEMOTE, owner="cache", n_bytes=1),
        Freeable(domain=GPU, step=Step.STOP_ADMITTING, owner="a", n_bytes=0),
    ]
    won = {(GPU, Step.SHRINK): 3, (HOST, Step.EVICT): 4}
    host, gpu = view_of(PressureState(), READINGS, offers, won, OPTIONS)

    assert host.offered == ((Step.DEMOTE, 1), (Step.UNLOAD, 15))
    assert host.won == ((Step.EVICT, 4),)
    assert (gpu.offered, gpu.won) == ((), ((Step.SHRINK, 3),))
