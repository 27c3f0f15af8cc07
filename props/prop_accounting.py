"""Accounts that add up: of every turn's tokens and seconds, and of all turns of a model."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from actorllama import Config, Model, Runtime
from actorllama.engine import ModelGauges
from actorllama.engine.events import TURN_ENDED, TURN_FAILED
from actorllama.engine.reports import TurnEnd
from actorllama.engine.result import timings_of
from actorllama.ids import SeqId, TurnId
from actorllama.telemetry import record
from actorllama.testing import Strategy, explore
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.strategies import schedules
from props.engine_strategies import TurnProgram, programs_of_turns
from props.prop_engine import CONFIG, CTX, LANGUAGE, N_SEQ, Caller, run_all, wait_until_idle
from tests.inline_tree import open_tree

PHASES = ("queue_s", "restore_s", "prefill_s", "decode_s", "save_s")


def check_gauges(shown: ModelGauges) -> None:
    """What is shown holds together at every moment: every turn that was taken is somewhere."""
    counts = shown.counts
    if shown.phase in ("ready", "draining"):
        gone = counts.n_ended + counts.n_cancelled + counts.n_failed
        assert counts.n_taken == shown.n_queued + shown.n_live + gone
        assert shown.n_free_slots + shown.n_live == shown.n_seq
    assert shown.n_queued <= shown.queue_capacity + shown.n_seq
    assert counts.n_cached + counts.n_prefilled <= counts.n_prompt


async def check_totals(model: Model, callers: list[Caller]) -> None:
    """When nothing runs, the turns' accounts are the engine's own."""
    counts, statistics = model.gauges.counts, (await model.status()).statistics
    results = [caller.result for caller in callers if caller.result is not None]
    for result in results:
        assert result.usage.n_prompt == result.usage.n_cached + result.usage.n_prefilled
        assert result.usage.n_generated == len(result.tokens)
    assert counts.n_ended >= len(results)
    if statistics is not None:
        assert counts.n_prefilled == statistics.n_prefilled
        # Of a turn's tokens the last one is chosen and not computed.
        assert statistics.n_decoded <= counts.n_generated <= statistics.n_decoded + counts.n_taken


@given(
    taken_at_s=st.floats(0, 1e6),
    lengths_s=st.tuples(*(st.floats(0, 1e4) for _ in (*PHASES, "lookup_s"))),
    has_first_token=st.booleans(),
)
def prop_the_seconds_of_a_turn_add_up_to_all_of_it(
    taken_at_s: float, lengths_s: tuple[float, ...], has_first_token: bool
) -> None:
    """Looking for what is restored is a part of restoring, not of waiting."""
    queue_s, restore_s, prefill_s, decode_s, save_s, lookup_s = lengths_s
    started_at_s = taken_at_s + queue_s + lookup_s + restore_s
    ended_at_s = started_at_s + prefill_s + decode_s + save_s
    end = TurnEnd(
        turn_id=TurnId(1),
        seq_id=SeqId(0),
        finish_reason="length",
        stop=None,
        text="",
        tokens=(),
        n_prompt=1,
        n_draws=0,
        n_steps=1,
        started_at_s=started_at_s,
        first_token_at_s=started_at_s + prefill_s if has_first_token else None,
        ended_at_s=ended_at_s,
        restore_s=restore_s,
        save_s=save_s,
    )
    timings = timings_of(end, taken_at_s=taken_at_s, lookup_s=lookup_s)

    assert timings.total_s == pytest.approx(ended_at_s - taken_at_s, abs=1e-6)
    assert timings.queue_s == pytest.approx(queue_s, abs=1e-6)
    assert timings.restore_s == lookup_s + restore_s


@given(programs=programs_of_turns(), n_reuse=st.sampled_from([2, 32]), schedule=schedules())
def prop_every_turn_and_every_token_is_accounted_for(
    programs: list[TurnProgram], n_reuse: int, schedule: Strategy
) -> None:
    """Callers that come, wait, share cells, leave: nothing is counted twice and nothing is lost."""
    opened: list[Runtime] = []
    config = Config(engine=evolve(CONFIG.engine, n_reuse=n_reuse))

    async def scenario() -> None:
        opened.clear()
        callers = [Caller(program) for program in programs]
        async with open_tree(FakeBackend(LANGUAGE), config) as rt:
            opened.append(rt)
            model = await rt.load("fake", "x.gguf", n_seq=N_SEQ, ctx_per_seq=CTX, n_batch=12)
            with record(rt.system.bus, ("engine", "turn")) as heard:
                await run_all(callers, model)
                await wait_until_idle(model)
            await check_totals(model, callers)
        told = [*heard.of(TURN_ENDED), *heard.of(TURN_FAILED)]
        for fact in told:
            assert all(fact.measurements[phase] >= 0 for phase in PHASES), fact.measurements
        results = [caller.result for caller in callers if caller.result is not None]
        for result in results:
            timings = result.timings
            assert timings.total_s == pytest.approx(sum(getattr(timings, phase) for phase in PHASES))

    def is_shown_whole() -> None:
        for rt in opened:
            for shown in rt.gauges():
                check_gauges(shown)

    explore(scenario, strategy=schedule, invariant=is_shown_whole, max_ticks=50_000)
