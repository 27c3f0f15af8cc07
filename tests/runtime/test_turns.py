"""Turns through the public face: results, leaving, deadlines, events."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from actorllama import TurnResult
from actorllama.errors import (
    Busy,
    TurnTimeout,
)
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_backend import FakeBackend
from tests.runtime.model_rig import expected, greedy, open_model, wait_until_idle

pytestmark = pytest.mark.usefixtures("loop_stays_free")


# -- results -------------------------------------------------------------------------------------------


async def test_a_result_accounts_for_the_turn(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        result = await model.complete("hello", max_tokens=12, temperature=0.0, seed=7)
        want = expected(backend, "hello", max_tokens=12)

        assert (result.text, result.tokens, result.finish_reason) == (want.text, want.tokens, "length")
        assert (result.usage.n_prompt, result.usage.n_generated, result.usage.n_total) == (6, 12, 18)
        assert (result.model, result.seed, result.n_draws, result.n_steps) == ("fake", 7, 0, 12)
        timings = result.timings
        assert min(timings.queue_s, timings.prefill_s, timings.decode_s) >= 0
        assert timings.total_s == pytest.approx(timings.first_token_s + timings.decode_s)


async def test_turns_have_numbers_of_their_own(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        results = [await greedy(model, "hello") for _ in range(3)]
        assert len({result.turn_id for result in results}) == 3


async def test_many_turns_at_once_bring_what_each_brings_alone(backend: FakeBackend) -> None:
    results: dict[str, TurnResult] = {}

    async def take(prompt: str) -> None:
        results[prompt] = await greedy(model, prompt, max_tokens=20)

    async with open_model(backend, n_seq=4) as (_, model):
        async with trio.open_nursery() as nursery:
            for index in range(12):
                nursery.start_soon(take, "prompt " + "x" * index * 4)
        for prompt, result in results.items():
            assert result.tokens == expected(backend, prompt, max_tokens=20).tokens
        await wait_until_idle(model)


async def test_messages_go_through_the_models_own_template(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi </s>"}]
        result = await model.complete(messages=messages, max_tokens=4, temperature=0.0)

        # The template spells <s> itself: no second one is added. Control tokens are read as such.
        assert result.usage.n_prompt == 1 + len("[system]Be brief.[user]Hi [assistant]") + 1


async def test_a_prompt_of_tokens_is_taken_as_it_is(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        tokens = backend.language.tokenize("hello", add_special=True, parse_special=False)
        by_tokens = await model.complete(tokens, max_tokens=8, temperature=0.0)
        assert by_tokens.tokens == (await greedy(model, "hello", max_tokens=8)).tokens


async def test_the_same_seed_gives_the_same_turn_and_another_seed_another(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        one, same, other = [
            await model.complete("draw", max_tokens=16, temperature=1.0, seed=seed) for seed in (1, 1, 2)
        ]
        assert one.tokens == same.tokens != other.tokens
        assert one.n_draws == 16


# -- leaving and deadlines -----------------------------------------------------------------------------


async def test_a_cancelled_caller_frees_its_sequence(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=3)
    async with open_model(backend) as (_, model):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(model.complete, "hello"))
            await gate.wait_entered()
            nursery.cancel_scope.cancel()
        n_batches = len(backend.batches)
        gate.release()
        await wait_until_idle(model)
        assert len(backend.batches) <= n_batches + 1, "it was freed within one step"


async def test_a_cancelled_caller_leaves_the_queue(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=3)
    async with open_model(backend, n_seq=1) as (_, model), trio.open_nursery() as nursery:
        nursery.start_soon(greedy, model, "first")
        await gate.wait_entered()
        async with trio.open_nursery() as queued:
            queued.start_soon(greedy, model, "second")
            while (await model.status()).n_queued == 0:
                await trio.lowlevel.checkpoint()
            queued.cancel_scope.cancel()
        assert (await model.status()).n_queued == 0
        gate.release()


async def test_a_deadline_ends_a_turn_and_frees_its_sequence(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=2)
    async with open_model(backend) as (_, model):
        with pytest.raises(TurnTimeout) as late:
            await model.complete("hello", timeout_s=0.02)
        assert late.value.timeout_s == 0.02
        gate.release()
        await wait_until_idle(model)
        assert (await greedy(model, "next")).tokens


async def test_a_deadline_counts_the_time_in_the_queue(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=2)
    async with open_model(backend, n_seq=1) as (_, model), trio.open_nursery() as nursery:
        nursery.start_soon(greedy, model, "first")
        await gate.wait_entered()
        with pytest.raises(TurnTimeout):
            await model.complete("second", timeout_s=0.02)
        gate.release()


async def test_a_full_queue_refuses_and_says_how_full(
    backend: FakeBackend, bus: Bus, heard: MemoryHandler
) -> None:
    gate = backend.faults.hold_decode(nth=2)
    async with (
        open_model(backend, n_seq=1, queue_capacity=2, bus=bus) as (_, model),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(greedy, model, "running")
        await gate.wait_entered()
        for name in ("one", "two"):
            nursery.start_soon(greedy, model, name)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(Busy) as refused:
            await greedy(model, "three")
        assert (refused.value.n_queued, refused.value.capacity) == (2, 2)
        gate.release()
    assert [fact.metadata["reason"] for fact in heard.of(("engine", "turn", "refused"))] == ["busy"]


async def test_every_turn_has_its_events(backend: FakeBackend, bus: Bus, heard: MemoryHandler) -> None:
    async with open_model(backend, bus=bus) as (_, model):
        await greedy(model, "hello")
    names = [str(fact.event) for fact in heard.of(("engine",)) if "step" not in fact.event.name]
    assert names == [
        "engine.model.loaded",
        "engine.turn.started",
        "engine.turn.ended",
        "engine.model.unloaded",
    ]
    (ended,) = heard.of(("engine", "turn", "ended"))
    assert (ended.measurements["n_prompt"], ended.measurements["n_generated"]) == (6, 12)
