"""Turns through the public face: results, streams, cancellation, deadlines, crashes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from actorllama import Config, Model, Runtime, TurnResult, open_runtime
from actorllama.engine import EngineOptions
from actorllama.errors import (
    Busy,
    EngineError,
    ModelNotLoaded,
    ModelUnavailable,
    StateError,
    TurnTimeout,
)
from actorllama.native import SamplingParams
from actorllama.runtime.names import model_name
from actorllama.telemetry import Bus, MemoryHandler
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_faults import Gate
from actorllama.testing.fake_language import FakeLanguage
from actorllama.testing.fake_oracle import ExpectedTurn, expected_turn

pytestmark = pytest.mark.usefixtures("loop_stays_free")

N_SEQ = 2
CTX = 128


@pytest.fixture
def backend(fake_backend: FakeBackend) -> FakeBackend:
    """Give a fake whose replies never end by themselves."""
    fake_backend.language = FakeLanguage(end_one_in=0)
    return fake_backend


@asynccontextmanager
async def open_model(
    backend: FakeBackend, *, n_seq: int = N_SEQ, bus: Bus | None = None, **engine: int
) -> AsyncGenerator[tuple[Runtime, Model], None]:
    """Open a runtime with one model."""
    config = Config(engine=EngineOptions(**engine))
    async with open_runtime(config, backend=backend, bus=bus) as rt:
        yield rt, await rt.load("fake", "x.gguf", n_seq=n_seq, ctx_per_seq=CTX)


def expected(
    backend: FakeBackend, prompt: str, *, max_tokens: int, stop: tuple[str, ...] = ()
) -> ExpectedTurn:
    """Compute what a greedy turn brings."""
    tokens = backend.language.tokenize(prompt, add_special=True, parse_special=False)
    return expected_turn(
        backend.language,
        tokens,
        SamplingParams(temperature=0.0),
        max_tokens=max_tokens,
        stop=stop,
        ctx_per_seq=CTX,
    )


async def greedy(model: Model, prompt: str, *, max_tokens: int = 12) -> TurnResult:
    with trio.fail_after(5):
        return await model.complete(prompt, max_tokens=max_tokens, temperature=0.0)


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.lowlevel.checkpoint()


async def wait_until_idle(model: Model) -> None:
    """Wait until every sequence is free again."""
    with trio.fail_after(5):
        while (status := await model.status()).n_free_slots < status.n_seq or status.n_queued:
            await trio.lowlevel.checkpoint()


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


# -- streams -------------------------------------------------------------------------------------------


async def test_pieces_of_a_stream_add_up_to_its_result(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        async with model.stream("hello", max_tokens=40, temperature=0.0) as turn:
            pieces = [piece async for piece in turn]
            # The end of the text and the result come together: also inside the block it is there.
            assert turn.result.text == "".join(piece.text for piece in pieces)
        assert turn.result.tokens == expected(backend, "hello", max_tokens=40).tokens
        assert turn.is_done


async def test_a_stream_never_shows_a_part_of_a_stop_string(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        text = (await greedy(model, "hello", max_tokens=40)).text
        stop = text[9:12]
        async with model.stream("hello", max_tokens=40, temperature=0.0, stop=stop) as turn:
            shown = "".join([piece.text async for piece in turn])
        assert shown == turn.result.text == text[: text.index(stop)]
        assert (turn.result.finish_reason, turn.result.stop) == ("stop", stop)


async def test_a_stream_left_early_frees_its_sequence(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        async with model.stream("hello", temperature=0.0, window=4) as turn:
            async for _piece in turn:
                break
        await wait_until_idle(model)
        with pytest.raises(StateError, match="not read to its end"):
            _ = turn.result


async def test_a_stream_that_nobody_reads_holds_back_only_itself(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        async with model.stream("slow", max_tokens=60, temperature=0.0, window=4) as turn:
            for _ in range(5):
                await greedy(model, "quick")
            status = await model.status()
            assert (status.n_live, status.n_free_slots) == (1, 1)
            text = "".join([piece.text async for piece in turn])
        assert text == expected(backend, "slow", max_tokens=60).text


async def test_an_error_of_the_readers_own_comes_out_as_it_is(backend: FakeBackend) -> None:
    async with open_model(backend) as (_, model):
        with pytest.raises(ZeroDivisionError, match="mine"):  # noqa: PT012 - the block is what raises
            async with model.stream("hello", window=2) as turn:
                async for _piece in turn:
                    raise ZeroDivisionError("mine")
        await wait_until_idle(model)


async def test_a_stream_refused_at_the_door_raises_from_the_block(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=2)
    async with open_model(backend, n_seq=1, queue_capacity=0) as (_, model), trio.open_nursery() as nursery:
        nursery.start_soon(greedy, model, "first")
        await gate.wait_entered()
        with pytest.raises(Busy) as refused:  # noqa: PT012 - the block is what raises
            async with model.stream("second") as turn:
                async for _piece in turn:
                    pytest.fail("a refused turn has no text")
        assert (refused.value.model, refused.value.capacity) == ("fake", 0)
        gate.release()


async def test_what_is_done_after_the_text_is_cut_short_when_the_turn_fails(backend: FakeBackend) -> None:
    """A reader must not take the end of a failed turn for the end of its text."""
    backend.faults.fail_decode(-3, nth=4)
    has_gone_on = False
    async with open_model(backend) as (_, model):
        with pytest.raises(ModelUnavailable):  # noqa: PT012 - the block is what raises
            async with model.stream("hello", max_tokens=40, window=40) as turn:
                async for _piece in turn:
                    pass
                has_gone_on = True
        assert not has_gone_on


async def test_a_block_that_does_other_things_is_cancelled_when_its_turn_fails(backend: FakeBackend) -> None:
    backend.faults.fail_decode(-3, nth=4)
    async with open_model(backend) as (_, model):
        with trio.fail_after(5), pytest.raises(ModelUnavailable):
            async with model.stream("hello", max_tokens=40):
                await trio.sleep_forever()


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


# -- crashes -------------------------------------------------------------------------------------------


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
        with trio.fail_after(5), pytest.raises((ModelNotLoaded, ModelUnavailable)):  # noqa: PT012 - the block is what raises
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
        with trio.fail_after(5):
            await gate.wait_entered()
        ref = rt.system.whereis(model_name("fake"))
        assert ref is not None
        rt.system.kill(ref, why="test")
        assert not ref.is_alive
        with trio.fail_after(1):
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


async def test_a_killed_stream_ends_with_the_reason(backend: FakeBackend) -> None:
    gate = backend.faults.hold_decode(nth=4)
    async with open_model(backend) as (rt, model):
        with pytest.raises(ModelUnavailable, match="killed"):  # noqa: PT012 - the block is what raises
            async with model.stream("hello", window=40) as turn:
                with trio.fail_after(5):
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


async def test_the_window_of_a_stream_comes_from_the_configuration(backend: FakeBackend) -> None:
    async with open_model(backend, stream_window=3) as (_, model):
        async with model.stream("slow", temperature=0.0):
            while (status := await model.status()).statistics is None or status.statistics.n_decoded < 2:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(backend.batches) == 3, "a token of the prompt's own step, and two more"
