"""The ladder of memory pressure: its laws, whatever is read, offered and answered."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from actorllama.engine.pressure_options import PressureOptions
from actorllama.engine.pressure_plan import (
    Freeable,
    Outcome,
    PressurePlan,
    PressureState,
    Step,
    fold_outcome,
    plan_pressure,
)
from actorllama.native.memory import HOST, MemoryDomain, MemoryReading

GPU = MemoryDomain(kind="gpu", index=0, uuid="GPU-a", pci="0000:01:00.0")
OPTIONS = PressureOptions(high_share=0.9, low_share=0.8, interval_s=2.0, answer_timeout_s=9.0)
LIMIT = 1000
LEVELS = st.integers(0, 1100)


@st.composite
def offers(draw: st.DrawFn) -> Freeable:
    domain = draw(st.sampled_from((HOST, GPU)))
    unit = draw(st.integers(1, 200))
    return Freeable(
        domain=domain,
        step=draw(st.sampled_from(Step)),
        owner=draw(st.sampled_from("abc")),
        n_bytes=draw(st.integers(0, 400)),
        unit_bytes=unit,
        worth=draw(st.floats(0, 9)),
        is_active=draw(st.booleans()),
    )


LADDERS = st.lists(offers(), max_size=10, unique_by=lambda item: (item.domain, item.step, item.owner))


def read(used: int, domain: MemoryDomain = HOST) -> MemoryReading:
    return MemoryReading(domain=domain, source="law", used_bytes=used, limit_bytes=LIMIT)


def plan(state: PressureState, used: int, ladder: list[Freeable], now_s: float) -> PressurePlan:
    return plan_pressure(state, (read(used),), ladder, OPTIONS, now_s=now_s)


ROUNDS = st.lists(st.tuples(LEVELS, LADDERS, st.floats(0, 5), st.floats(0, 1), st.booleans()), max_size=12)


@given(rounds=ROUNDS)
def prop_each_plan_keeps_the_laws(
    rounds: list[tuple[int, list[Freeable], float, float, bool]],
) -> None:
    """Never an active turn; own domain only; what is offered; one step; need plus a unit; the interval."""
    state, now_s, asked_at_s = PressureState(), 100.0, 0.0
    for used, ladder, pause_s, share, is_answered in rounds:
        now_s += pause_s
        before = state.of(HOST)
        planned = plan(state, used, ladder, now_s)
        state = planned.state
        offered = {(item.domain, item.step, item.owner): item for item in ladder}
        if planned.asks:
            assert now_s - asked_at_s >= OPTIONS.interval_s
            assert before.is_pressed or used >= 900
            assert used > 800
            asked_at_s = now_s
        assert len({ask.step for ask in planned.asks}) <= 1
        left = used - 800
        for ask in planned.asks:
            item = offered[ask.domain, ask.step, ask.owner]
            assert ask.domain == HOST
            assert ask.step is Step.STOP_ADMITTING or not item.is_active
            assert ask.step >= before.floor
            assert ask.n_bytes <= item.n_bytes
            assert ask.step is Step.STOP_ADMITTING or left > 0, "enough was asked for already"
            assert ask.n_bytes < left + item.unit_bytes
            left -= ask.n_bytes
        if is_answered:
            for ask in planned.asks:
                state = fold_outcome(state, Outcome(ask=ask, won_bytes=round(ask.n_bytes * share)))


@given(ladder=LADDERS, used=LEVELS)
def prop_no_milder_step_is_passed_over(ladder: list[Freeable], used: int) -> None:
    """From calm, what is asked for is the mildest that has anything to give, and the least worthy of it."""
    asks = plan(PressureState(), used, ladder, 100.0).asks
    usable = [
        item
        for item in ladder
        if item.domain == HOST and (item.step is Step.STOP_ADMITTING or (item.n_bytes and not item.is_active))
    ]
    if used < 900 or not usable:
        assert asks == ()
        return
    mildest = min(item.step for item in usable)
    order = sorted((i for i in usable if i.step == mildest), key=lambda item: (item.worth, item.owner))
    assert [ask.owner for ask in asks] == [item.owner for item in order[: len(asks)]]
    assert {ask.step for ask in asks} == {mildest}


@given(ladder=LADDERS, less=LEVELS, more=LEVELS)
def prop_more_pressure_never_asks_for_less(ladder: list[Freeable], less: int, more: int) -> None:
    low, high = sorted((less, more))
    mild = plan(PressureState(), low, ladder, 100.0).asks
    hard = plan(PressureState(), high, ladder, 100.0).asks
    assert [ask.owner for ask in mild] == [ask.owner for ask in hard[: len(mild)]]
    assert all(one.n_bytes <= other.n_bytes for one, other in zip(mild, hard, strict=False))


@given(levels=st.lists(st.integers(801, 899), min_size=1, max_size=20), starts_pressed=st.booleans())
def prop_inside_the_band_pressure_neither_begins_nor_ends(levels: list[int], starts_pressed: bool) -> None:
    state = plan(PressureState(), 950, [], 100.0).state if starts_pressed else PressureState()
    for index, used in enumerate(levels):
        planned = plan(state, used, [], 101.0 + index)
        assert (planned.began, planned.ended, planned.reopen) == ((), (), ())
        state = planned.state
    assert state.of(HOST).is_pressed == starts_pressed


@given(levels=st.lists(LEVELS, max_size=30))
def prop_pressure_begins_and_ends_in_turns(levels: list[int]) -> None:
    """Each end is preceded by a begin, at the watermarks and nowhere else."""
    state, is_pressed = PressureState(), False
    for index, used in enumerate(levels):
        planned = plan(state, used, [], 100.0 + index)
        expected = True if used >= 900 else False if used <= 800 else is_pressed
        assert bool(planned.began) == (expected and not is_pressed)
        assert bool(planned.ended) == (is_pressed and not expected)
        state, is_pressed = planned.state, expected


@given(rounds=st.lists(LADDERS, max_size=12))
def prop_under_steady_pressure_the_ladder_is_only_climbed(rounds: list[list[Freeable]]) -> None:
    """When nothing is ever won, no step that was asked comes again, but for the last."""
    state = PressureState()
    steps: list[Step] = []
    for index, ladder in enumerate(rounds):
        planned = plan(state, 1000, ladder, 100.0 + 2 * index)
        state = planned.state
        for ask in planned.asks:
            state = fold_outcome(state, Outcome(ask=ask, won_bytes=0))
        steps += sorted({ask.step for ask in planned.asks if ask.n_bytes})
    assert steps == sorted(steps)
    assert len(set(steps) - {Step.UNLOAD}) == len([step for step in steps if step is not Step.UNLOAD])


@given(ladder=LADDERS, used=LEVELS)
def prop_domains_do_not_see_each_other(ladder: list[Freeable], used: int) -> None:
    """Planned together or each alone, each domain is asked for the same."""
    alone = [
        plan_pressure(PressureState(), (read(used, domain),), ladder, OPTIONS, now_s=100.0).asks
        for domain in (HOST, GPU)
    ]
    both = plan_pressure(PressureState(), (read(used), read(used, GPU)), ladder, OPTIONS, now_s=100.0)
    assert both.asks == alone[0] + alone[1]


@given(ladder=LADDERS)
def prop_who_gives_what_is_asked_ends_the_pressure(ladder: list[Freeable]) -> None:
    """A world that keeps its word and has enough comes below the low watermark, and stays asked no more."""
    world = {(i.step, i.owner): i for i in ladder if i.domain == HOST and not i.is_active and i.n_bytes}
    room = sum(item.n_bytes for item in world.values())
    used, now_s, state = 1000, 100.0, PressureState()
    for _ in range(4 + 4 * len(world)):
        planned = plan(state, used, list(world.values()), now_s)
        state, now_s = planned.state, now_s + 2.0
        for ask in planned.asks:
            item = world[ask.step, ask.owner]
            world[ask.step, ask.owner] = evolve(item, n_bytes=item.n_bytes - ask.n_bytes)
            used -= ask.n_bytes
            state = fold_outcome(state, Outcome(ask=ask, won_bytes=ask.n_bytes))
    frees = sum(
        i.n_bytes
        for i in ladder
        if i.domain == HOST and not i.is_active and i.step is not Step.STOP_ADMITTING
    )
    assert room >= frees
    if frees >= 200:
        assert used <= 800
        assert not state.of(HOST).is_pressed
