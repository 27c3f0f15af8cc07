"""Who gives memory back: in the same domain, mildest first, no more than needed, never an active turn."""

from __future__ import annotations

import pytest
from attrs import evolve

from actorllama.engine.pressure_options import PressureOptions
from actorllama.engine.pressure_plan import (
    Ask,
    Freeable,
    Outcome,
    PressurePlan,
    PressureState,
    Step,
    fold_outcome,
    plan_pressure,
)
from actorllama.native.memory import HOST, MemoryDomain, MemoryReading

GPU0 = MemoryDomain(kind="gpu", index=0, uuid="GPU-a", pci="0000:01:00.0")
GPU1 = MemoryDomain(kind="gpu", index=1, uuid="GPU-b", pci="0000:02:00.0")
OPTIONS = PressureOptions(high_share=0.9, low_share=0.8, interval_s=2.0, answer_timeout_s=60.0)


def used(n: int, domain: MemoryDomain = HOST, limit: int = 1000) -> MemoryReading:
    return MemoryReading(domain=domain, source="test", used_bytes=n, limit_bytes=limit)


def stalled(share: float) -> MemoryReading:
    return MemoryReading(domain=HOST, source="stall", stall_share=share)


def offer(
    step: Step,
    n_bytes: int = 0,
    owner: str = "cache",
    *,
    domain: MemoryDomain = HOST,
    unit: int = 1,
    worth: float = 0.0,
    is_active: bool = False,
) -> Freeable:
    return Freeable(
        domain=domain,
        step=step,
        owner=owner,
        n_bytes=n_bytes,
        unit_bytes=unit,
        worth=worth,
        is_active=is_active,
    )


HOST_LADDER = (
    offer(Step.UNLOAD, 500, "idle-model"),
    offer(Step.EVICT, 300),
    offer(Step.DROP_SCRATCH, 10),
    offer(Step.DEMOTE, 300),
)
GPU_LADDER = (
    offer(Step.UNLOAD, 400, "idle", domain=GPU1, unit=400),
    offer(Step.SHRINK, 200, "idle", domain=GPU1, unit=200),
    offer(Step.STOP_ADMITTING, 0, "idle", domain=GPU1),
    offer(Step.STOP_ADMITTING, 0, "busy", domain=GPU1, is_active=True),
    offer(Step.SHRINK, 200, "busy", domain=GPU1, is_active=True),
    offer(Step.UNLOAD, 400, "busy", domain=GPU1, is_active=True),
    offer(Step.UNLOAD, 400, "elsewhere", domain=GPU0, unit=400),
)


def plan(
    state: PressureState,
    *readings: MemoryReading,
    ladder: tuple[Freeable, ...] = HOST_LADDER,
    now_s: float = 100.0,
) -> PressurePlan:
    return plan_pressure(state, readings, ladder, OPTIONS, now_s=now_s)


def answered(planned: PressurePlan, won_bytes: int | None = None) -> PressureState:
    """Let every owner give what it was asked for, or this much."""
    state = planned.state
    for ask in planned.asks:
        won = ask.n_bytes if won_bytes is None else won_bytes
        state = fold_outcome(state, Outcome(ask=ask, won_bytes=won))
    return state


def asked(planned: PressurePlan) -> list[tuple[str, str, int]]:
    return [(ask.step.name, ask.owner, ask.n_bytes) for ask in planned.asks]


def test_below_the_high_watermark_nobody_is_asked() -> None:
    planned = plan(PressureState(), used(899))
    assert (planned.asks, planned.began, planned.state) == ((), (), PressureState())


def test_at_the_high_watermark_the_mildest_step_gives_what_brings_it_to_the_low_one() -> None:
    planned = plan(PressureState(), used(900))
    assert asked(planned) == [("DEMOTE", "cache", 100)]
    assert planned.began == (HOST,)


def test_the_tightest_of_several_limits_says_how_much() -> None:
    planned = plan(PressureState(), used(100), used(95, limit=100), used(900))
    assert asked(planned) == [("DEMOTE", "cache", 100)]
    assert asked(plan(PressureState(), used(500), used(95, limit=100))) == [("DEMOTE", "cache", 15)]


def test_between_the_watermarks_pressure_goes_on_and_none_begins() -> None:
    first = plan(PressureState(), used(900))
    again = plan(answered(first), used(850), now_s=102.0)
    assert asked(again) == [("DEMOTE", "cache", 50)]
    assert plan(PressureState(), used(850)).asks == ()
    over = plan(answered(again), used(800), now_s=104.0)
    assert (over.asks, over.ended) == ((), (HOST,))
    assert plan(over.state, used(850), now_s=106.0).asks == ()


def test_the_ladder_is_climbed_as_its_steps_run_out() -> None:
    state = PressureState()
    ladder: tuple[Freeable, ...] = HOST_LADDER
    steps: list[tuple[str, str, int]] = []
    for turn in range(4):
        planned = plan(state, used(950), ladder=ladder, now_s=100.0 + 2 * turn)
        steps += asked(planned)
        ladder = tuple(item for item in ladder if item.step > planned.asks[0].step)
        state = answered(planned)
    assert steps == [
        ("DEMOTE", "cache", 150),
        ("DROP_SCRATCH", "cache", 10),
        ("EVICT", "cache", 150),
        ("UNLOAD", "idle-model", 150),
    ]
    assert plan(state, used(950), ladder=(), now_s=200.0).asks == ()


def test_a_step_that_gave_nothing_is_not_tried_again_before_the_pressure_is_over() -> None:
    state = answered(plan(PressureState(), used(950)), won_bytes=0)
    planned = plan(state, used(950), now_s=102.0)
    assert asked(planned) == [("DROP_SCRATCH", "cache", 10)]
    calm = plan(answered(planned), used(700), now_s=104.0)
    assert asked(plan(calm.state, used(950), now_s=106.0)) == [("DEMOTE", "cache", 150)]


def test_nobody_is_asked_again_before_the_interval_and_before_the_answer() -> None:
    planned = plan(PressureState(), used(950))
    assert plan(answered(planned), used(950), now_s=101.9).asks == ()
    assert plan(planned.state, used(950), now_s=150.0).asks == ()


def test_an_answer_that_never_comes_counts_as_nothing() -> None:
    planned = plan(PressureState(), used(950))
    late = plan(planned.state, used(950), now_s=160.0)
    assert asked(late) == [("DROP_SCRATCH", "cache", 10)]
    folded = fold_outcome(late.state, Outcome(ask=planned.asks[0], won_bytes=70)).of(HOST)
    assert (folded.won_bytes, folded.pending) == (70, late.asks)


def test_stalls_alone_are_pressure_too_and_are_given_time_to_pass() -> None:
    planned = plan(PressureState(), stalled(0.5))
    relief = OPTIONS.stall_relief_bytes
    assert asked(planned) == [("DEMOTE", "cache", min(300, relief))]
    state = answered(planned)
    assert plan(state, stalled(0.5), now_s=109.9).asks == ()
    assert len(plan(state, stalled(0.5), now_s=110.0).asks) == 1
    assert plan(state, stalled(0.1), used(10), now_s=110.0).ended == ()
    assert plan(state, stalled(0.05), used(10), now_s=110.0).ended == (HOST,)


def test_a_gpu_first_admits_nobody_then_shrinks_then_unloads_and_never_touches_a_turn() -> None:
    full = used(950, GPU1)
    first = plan(PressureState(), full, ladder=GPU_LADDER)
    assert asked(first) == [("STOP_ADMITTING", "busy", 0), ("STOP_ADMITTING", "idle", 0)]
    assert plan(first.state, full, ladder=GPU_LADDER, now_s=101.0).asks == ()
    second = plan(first.state, full, ladder=GPU_LADDER, now_s=102.0)
    assert asked(second) == [("SHRINK", "idle", 200)]
    shrunk = tuple(item for item in GPU_LADDER if (item.step, item.owner) != (Step.SHRINK, "idle"))
    third = plan(answered(second), full, ladder=shrunk, now_s=104.0)
    assert asked(third) == [("UNLOAD", "idle", 400)]
    gone = tuple(item for item in shrunk if item.owner != "idle")
    assert plan(answered(third), full, ladder=gone, now_s=106.0).asks == ()
    after = plan(answered(third), used(700, GPU1), ladder=gone, now_s=106.0)
    assert after.reopen == ((GPU1, "busy"), (GPU1, "idle"))
    assert after.state.of(GPU1).closed == frozenset()


def test_pressure_on_one_gpu_asks_nothing_of_another_nor_of_the_host() -> None:
    planned = plan(
        PressureState(), used(950, GPU1), used(100, GPU0), used(100), ladder=GPU_LADDER + HOST_LADDER
    )
    assert {ask.domain for ask in planned.asks} == {GPU1}


def test_domains_are_asked_side_by_side() -> None:
    planned = plan(PressureState(), used(950), used(950, GPU1), ladder=GPU_LADDER + HOST_LADDER)
    assert {ask.domain for ask in planned.asks} == {HOST, GPU1}
    assert planned.began == (HOST, GPU1)


def test_the_least_worth_goes_first_and_no_more_go_than_are_needed() -> None:
    models = tuple(
        offer(Step.UNLOAD, 60, name, unit=60, worth=worth)
        for name, worth in (("dear", 9.0), ("cheap", 1.0), ("fair", 5.0))
    )
    planned = plan(PressureState(), used(900), ladder=models)
    assert asked(planned) == [("UNLOAD", "cheap", 60), ("UNLOAD", "fair", 60)]


def test_what_comes_in_units_is_asked_for_in_units() -> None:
    planned = plan(PressureState(), used(900), ladder=(offer(Step.DEMOTE, 300, unit=64),))
    assert asked(planned) == [("DEMOTE", "cache", 128)]
    planned = plan(PressureState(), used(900), ladder=(offer(Step.DEMOTE, 70, unit=64),))
    assert asked(planned) == [("DEMOTE", "cache", 70)]


def test_without_a_reading_nothing_changes() -> None:
    pressed = plan(PressureState(), used(900))
    blind = plan(answered(pressed), used(10, GPU0), now_s=200.0)
    assert (blind.asks, blind.state.of(HOST).is_pressed) == ((), True)


def test_an_answer_is_counted_once() -> None:
    planned = plan(PressureState(), used(900))
    outcome = Outcome(ask=planned.asks[0], won_bytes=80)
    state = fold_outcome(planned.state, outcome)
    assert (state.of(HOST).asked_bytes, state.of(HOST).won_bytes, state.of(HOST).pending) == (100, 80, ())
    stray = Ask(domain=GPU0, step=Step.SHRINK, owner="x", n_bytes=1)
    assert fold_outcome(state, Outcome(ask=stray, won_bytes=0)).of(GPU0).floor is Step.DEMOTE


def test_watermarks_must_not_cross() -> None:
    with pytest.raises(ValueError, match="low_share"):
        evolve(OPTIONS, low_share=0.95)
    with pytest.raises(ValueError, match="low_stall_share"):
        evolve(OPTIONS, low_stall_share=0.95)
