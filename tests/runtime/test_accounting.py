"""A turn's tokens and seconds add up, and so do a model's turns."""

from __future__ import annotations

from time import perf_counter

import pytest
import trio

from actorllama import Config, TurnResult, demo, open_runtime
from actorllama.engine.events import TURN_FAILED
from actorllama.errors import Busy
from actorllama.kvcache import CacheOptions
from actorllama.runtime import Model
from actorllama.telemetry import StrictBus, record
from actorllama.testing.fake_backend import FakeBackend
from tests.runtime.model_rig import greedy, open_model, wait_until, wait_until_idle

pytestmark = pytest.mark.usefixtures("loop_stays_free")


def assert_adds_up(result: TurnResult, *, wall_s: float) -> None:
    usage, timings = result.usage, result.timings
    assert usage.n_prompt == usage.n_cached + usage.n_prefilled
    assert usage.n_total == usage.n_prompt + len(result.tokens)
    parts_s = (timings.queue_s, timings.restore_s, timings.prefill_s, timings.decode_s, timings.save_s)
    assert min(parts_s) >= 0
    assert timings.total_s == pytest.approx(sum(parts_s))
    assert timings.total_s <= wall_s


async def timed(model: Model, prompt: str, *, keep: bool = False, n: int = 8) -> TurnResult:
    began_s = perf_counter()
    result = await model.complete(prompt, max_tokens=n, temperature=0.0, keep=keep)
    assert_adds_up(result, wall_s=perf_counter() - began_s)
    return result


@pytest.mark.slow
@pytest.mark.model
async def test_turns_of_the_demo_model_add_up_cold_cached_and_resumed() -> None:
    async with open_runtime() as rt:
        model = await rt.load("demo", demo.model_path(), n_seq=2, ctx_per_seq=512, n_threads=1)
        prompt = "Once upon a time there was an actor that had a mailbox and a supervisor. " * 3
        cold = await timed(model, prompt, keep=True)
        warm = await timed(model, prompt)
        assert cold.usage.n_cached == 0
        assert warm.usage.n_cached > 0
        assert warm.usage.n_prefilled < cold.usage.n_prefilled
        assert cold.resume_key is not None
        began_s = perf_counter()
        resumed = await model.resume(cold.resume_key, max_tokens=4)
        assert_adds_up(resumed, wall_s=perf_counter() - began_s)

        turns = (cold, warm, resumed)
        counts, statistics = model.gauges.counts, (await model.status()).statistics
        assert statistics is not None
        assert counts.n_taken == counts.n_ended == 3
        assert counts.n_prompt == sum(turn.usage.n_prompt for turn in turns)
        assert counts.n_cached == sum(turn.usage.n_cached for turn in turns)
        assert counts.n_prefilled == statistics.n_prefilled
        assert counts.n_generated == sum(len(turn.tokens) for turn in turns)


async def test_a_turn_that_is_cancelled_inside_its_prompt_spent_no_time_on_its_reply(
    backend: FakeBackend,
) -> None:
    """Its cells are saved at its end: that is the save's time, not less than none of the decode's."""
    bus = StrictBus()
    config = Config(cache=CacheOptions(block_tokens=4))
    async with open_runtime(config, backend=backend, bus=bus) as rt:
        model = await rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=128, n_batch=8)
        gate = backend.faults.hold_decode(nth=3)
        with record(bus, TURN_FAILED) as heard:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(greedy, model, "many words " * 10)
                await gate.wait_entered()
                nursery.cancel_scope.cancel()
            gate.release()
            await wait_until_idle(model)
        assert model.gauges.counts.n_cancelled == 1

    (fact,) = heard.facts
    assert fact.measurements["n_generated"] == 0
    assert fact.measurements["save_s"] > 0
    assert min(fact.measurements[f"{part}_s"] for part in ("queue", "prefill", "decode", "save")) >= 0
    assert fact.measurements["n_cached"] + fact.measurements["n_prefilled"] <= fact.measurements["n_prompt"]


async def test_routers_read_queue_slots_and_counts_without_a_call(backend: FakeBackend) -> None:
    async with open_model(backend, n_seq=1, queue_capacity=1) as (rt, model):
        idle = model.gauges
        assert (idle.phase, idle.n_free_slots, idle.n_queued, idle.last_hit_tokens) == ("ready", 1, 0, None)
        assert idle.exactness is not None
        gate = backend.faults.hold_decode(nth=backend.faults.n_decodes + 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(greedy, model, "one")
            await gate.wait_entered()
            nursery.start_soon(greedy, model, "two")
            await wait_until(lambda: model.gauges.n_queued == 1)
            with pytest.raises(Busy):
                await greedy(model, "three")
            shown = await trio.to_thread.run_sync(lambda: model.gauges)  # any thread may read
            assert (shown.n_live, shown.n_queued, shown.n_free_slots) == (1, 1, 0)
            assert (shown.counts.n_taken, shown.counts.n_refused) == (2, 1)
            gate.release()
        done = model.gauges
        assert (done.n_live, done.n_queued, done.counts.n_ended) == (0, 0, 2)
        assert done.last_hit_tokens is not None
        assert done.tokens_per_s == 0.0
        assert rt.gauges() == (done,)
        assert idle.counts.n_taken == 0  # a value: it does not change in the reader's hand


async def test_the_last_hit_tells_its_tokens_and_where_they_were(backend: FakeBackend) -> None:
    async with open_model(backend, n_reuse=2) as (_, model):
        await greedy(model, "the same words")
        second = await greedy(model, "the same words")
        assert second.usage.n_cached > 0
        shown = model.gauges
        assert (shown.last_hit_tokens, shown.last_hit_source) == (second.usage.n_cached, second.usage.source)


async def test_gauges_are_down_while_a_crashed_model_is_rebuilt_and_count_its_starts(
    backend: FakeBackend,
) -> None:
    async with open_model(backend) as (rt, model):
        assert model.gauges.n_starts == 1
        ref = rt.system.whereis("model:fake")
        assert ref is not None
        rt.system.kill(ref, why="test")
        await wait_until(lambda: not ref.is_alive)
        assert model.gauges.phase in ("down", "loading")
        await greedy(model, "again")
        assert (model.gauges.phase, model.gauges.n_starts) == ("ready", 2)
        await rt.unload("fake")
        assert model.gauges.phase == "down"
        assert rt.gauges() == ()
