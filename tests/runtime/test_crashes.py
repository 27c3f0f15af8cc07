"""What callers hear when a model fails, and what works afterwards."""

from __future__ import annotations

import pytest
import trio

from actorllama import Model, Runtime
from actorllama.errors import (
    EngineError,
    ModelNotLoaded,
    ModelUnavailable,
)
from actorllama.runtime.names import model_name
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_faults import Gate
from tests.runtime.model_rig import CTX, expected, greedy, open_model, wait_until, wait_until_idle

pytestmark = pytest.mark.usefixtures("loop_stays_free")


async def crash(model: Model, backend: FakeBackend) -> EngineError:
    """Let the next turn's second step fail fatally; return what its caller got."""
    backend.faults.fail_decode(-3, nth=2)
    with pytest.raises(ModelUnavailable) as failed:
        await greedy(model, "crash")
    return failed.value


async def test_callers_hear_why_their_model_crashed(backend: FakeBackend) -> None:
    failures: list[ModelUnavailable] = []

    async def take() -> None:
        with pytest.raises(ModelUnavailable) as failed:
            await greedy(model, "hello", max_tokens=50)
        failures.append(failed.value)

    async with open_model(backend) as (_, model):
        backend.faults.fail_decode(-3, nth=5)
        async with trio.open_nursery() as nursery:
            for _ in range(4):  # two run, two are queued
                nursery.start_soon(take)
        assert {failure.model for failure in failures} == {"fake"}
        assert all("llama_decode returned -3" in failure.reason for failure in failures)


async def test_after_a_crash_the_next_turn_works_through_the_same_handle(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        await crash(model, backend)
        result = await greedy(model, "hello")

        assert result.tokens == expected(backend, "hello", max_tokens=12).tokens
        assert backend.faults.n_loads == 2
        assert backend.ledger.n_open("context") == 1


async def test_a_model_that_crashes_too_often_is_given_up_and_takes_nobody_with_it(
    backend: FakeBackend,
) -> None:
    async with open_model(backend, max_restarts=1) as (rt, model):
        other = await rt.load("other", "y.gguf", n_seq=1, ctx_per_seq=CTX)
        await crash(model, backend)
        await crash(model, backend)
        with trio.fail_after(60), pytest.raises((ModelNotLoaded, ModelUnavailable)):  # noqa: PT012 - the block is what raises
            while True:
                await greedy(model, "gone")
        assert (await greedy(other, "stays")).tokens
        await wait_until(lambda: backend.ledger.n_open("context") == 1)


async def killed_inside_a_step(rt: Runtime, model: Model, gate: Gate) -> None:
    """Kill the model's actor while its thread stands in a step; its caller hears of it at once."""
    heard: list[Exception] = []

    async def take() -> None:
        try:
            await model.complete("hello", max_tokens=50)
        except ModelUnavailable as error:
            heard.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        with trio.fail_after(60):
            await gate.wait_entered()
        ref = rt.system.whereis(model_name("fake"))
        assert ref is not None
        rt.system.kill(ref, why="test")
        assert not ref.is_alive
        with trio.fail_after(60):
            while not heard:
                await trio.lowlevel.checkpoint()
    assert "killed" in str(heard[0])


async def test_a_kill_during_a_step_is_told_at_once_and_the_context_freed_when_the_step_is_over(
    backend: FakeBackend,
) -> None:
    gate = backend.faults.hold_decode(nth=2, is_stoppable=False)
    async with open_model(backend) as (rt, model):
        await killed_inside_a_step(rt, model, gate)
        await wait_until(lambda: backend.faults.n_loads == 2)
        assert backend.ledger.n_open("context") >= 1, "a thread is inside: it must not be freed yet"
        gate.release()
        assert (await greedy(model, "hello")).tokens == expected(backend, "hello", max_tokens=12).tokens
        await wait_until(lambda: backend.ledger.n_open("context") == 1)


async def test_a_kill_aborts_the_step_under_way(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=2)
    async with open_model(backend) as (rt, model):
        await killed_inside_a_step(rt, model, gate)
        assert (await greedy(model, "hello")).tokens
        await wait_until(lambda: backend.ledger.n_open("context") == 1)


async def test_right_after_a_kill_a_request_is_checked_against_the_rebuilt_model(
    backend: FakeBackend,
) -> None:
    async with open_model(backend) as (rt, model):
        before = model._taker.info
        ref = rt.system.whereis(model_name("fake"))
        assert ref is not None
        rt.system.kill(ref, why="test")
        assert not before.vocabulary.is_closed, "it will be, at any moment"
        assert (await greedy(model, "hello")).tokens == expected(backend, "hello", max_tokens=12).tokens
        assert model._taker.info is not before


async def test_a_killed_stream_ends_with_the_reason(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=4)
    async with open_model(backend) as (rt, model):
        with pytest.raises(ModelUnavailable, match="killed"):  # noqa: PT012 - the block is what raises
            async with model.stream("hello", window=40) as turn:
                with trio.fail_after(60):
                    await gate.wait_entered()
                ref = rt.system.whereis(model_name("fake"))
                assert ref is not None
                rt.system.kill(ref, why="test")
                async for _piece in turn:
                    pass


async def test_a_step_without_room_fails_one_turn_and_the_others_go_on(backend: FakeBackend) -> None:
    outcomes: list[object] = []

    async def take(prompt: str) -> None:
        try:
            outcomes.append((await greedy(model, prompt)).finish_reason)
        except EngineError as error:
            outcomes.append(str(error))

    async with open_model(backend) as (_, model):
        backend.faults.fail_decode(1, nth=4)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, "one")
            nursery.start_soon(take, "two")
        assert "length" in outcomes
        assert any("llama_decode returned 1" in str(outcome) for outcome in outcomes)
        assert (await greedy(model, "next")).tokens
        await wait_until_idle(model)
