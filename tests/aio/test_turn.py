"""Turns that asyncio tasks take and read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal

import pytest

from actorllama.aio import AsyncModel
from actorllama.engine import EngineOptions
from actorllama.errors import (
    Busy,
    ContextFull,
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
    ModelUnavailable,
    RequestError,
    StateError,
    TurnCancelled,
    TurnTimeout,
)
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import CTX, open_model, run, wait_until, wait_until_idle
from tests.runtime.model_rig import expected

Mode = Literal["thread", "guest"]


def test_a_turn_brings_what_it_brings_under_trio(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            result = await model.complete("hello", max_tokens=12, temperature=0.0)
            assert result.tokens == expected(backend, "hello", max_tokens=12).tokens

    run(main)


def test_pieces_of_a_stream_add_up_to_its_result(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            async with model.stream("hello", max_tokens=40, temperature=0.0) as turn:
                pieces = [piece async for piece in turn]
                assert turn.result.text == "".join(piece.text for piece in pieces)
            assert turn.result.tokens == expected(backend, "hello", max_tokens=40).tokens
            assert turn.is_done

    run(main)


def test_a_task_group_of_streams_reads_them_side_by_side(backend: FakeBackend, mode: Mode) -> None:
    texts: dict[str, str] = {}

    async def read(model: AsyncModel, prompt: str) -> None:
        async with model.stream(prompt, max_tokens=40, temperature=0.0, window=4) as turn:
            texts[prompt] = "".join([piece.text async for piece in turn])

    async def main() -> None:
        async with open_model(backend, mode=mode, n_seq=8) as (_, model), asyncio.TaskGroup() as group:
            for prompt in "abcdefgh":
                group.create_task(read(model, prompt))

    run(main)
    assert texts == {prompt: expected(backend, prompt, max_tokens=40).text for prompt in "abcdefgh"}


def test_a_stream_that_nobody_reads_holds_back_only_itself(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            async with model.stream("slow", max_tokens=60, temperature=0.0, window=4) as turn:
                for _ in range(5):
                    await model.complete("quick", max_tokens=12, temperature=0.0)
                status = await model.status()
                assert (status.n_live, status.n_free_slots) == (1, 1)
                text = "".join([piece.text async for piece in turn])
            assert text == expected(backend, "slow", max_tokens=60).text

    run(main)


def test_a_turn_runs_ahead_of_its_reader_by_its_window_and_no_further(
    backend: FakeBackend, mode: Mode
) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode, engine=EngineOptions(stream_window=3)) as (_, model):
            async with model.stream("slow", temperature=0.0):
                await wait_until(lambda: len(backend.batches) == 3)
                for _ in range(20):
                    await model.status()  # were there credit, a step would have been taken meanwhile
            assert len(backend.batches) == 3, "a token of the prompt's own step, and two more"

    run(main)


def test_a_stream_left_early_frees_its_sequence(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            async with model.stream("hello", temperature=0.0, window=4) as turn:
                async for _piece in turn:
                    break
            await wait_until_idle(model)
            with pytest.raises(StateError, match="not read to its end"):
                _ = turn.result

    run(main)


def test_a_generator_over_a_stream_that_is_closed_half_read_frees_its_sequence(
    backend: FakeBackend, mode: Mode
) -> None:
    async def lines(model: AsyncModel) -> AsyncGenerator[str, None]:
        async with model.stream("hello", temperature=0.0, window=4) as turn:
            async for piece in turn:
                yield piece.text

    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            generator = lines(model)
            assert await anext(generator)
            await generator.aclose()
            await wait_until_idle(model)

    run(main)


def test_a_timeout_around_any_verb_cancels_it_on_the_other_side(backend: FakeBackend, mode: Mode) -> None:
    gate = backend.faults.hold_decode(nth=2)

    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            task = asyncio.create_task(asyncio.wait_for(model.complete("a", temperature=0.0), 0.05))
            await wait_until(lambda: gate.is_entered)
            with pytest.raises(TimeoutError):
                await task
            gate.release()
            await wait_until_idle(model)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05), model.stream("b", temperature=0.0, window=4):
                    await asyncio.Event().wait()
            await wait_until_idle(model)

    run(main)


def test_a_cancelled_reader_cancels_the_turn_and_stays_cancelled(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            has_begun = asyncio.Event()

            async def read() -> None:
                async with model.stream("hello", temperature=0.0, window=4) as turn:
                    async for _piece in turn:
                        has_begun.set()
                        await asyncio.Event().wait()

            task = asyncio.create_task(read())
            await has_begun.wait()
            task.cancel()
            task.cancel()  # twice: the turn is ended in order none the less
            with pytest.raises(asyncio.CancelledError):
                await task
            await wait_until_idle(model)

    run(main)


def test_a_reader_in_another_task_hears_of_the_end_of_the_block(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            async with model.stream("hello", temperature=0.0, window=4) as turn:

                async def read() -> int:
                    return len([piece async for piece in turn])

                reading = asyncio.create_task(read())
                await asyncio.sleep(0)
            assert await reading >= 0

    run(main)


def test_errors_keep_their_types_and_what_they_say(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (rt, model):
            with pytest.raises(RequestError) as refused:
                await model.complete("hello", max_tokens=-1)
            assert (refused.value.field, refused.value.value) == ("max_tokens", -1)
            with pytest.raises(RequestError, match="window"):
                async with model.stream("hello", window=1):
                    pytest.fail("it was refused at the door")
            with pytest.raises(ContextFull) as full:
                await model.complete("x" * 4 * CTX)
            assert full.value.n_ctx == CTX
            with pytest.raises(ModelAlreadyLoaded):
                await rt.load("fake", "x.gguf")
            with pytest.raises(ModelNotLoaded):
                rt.model("other")
            with pytest.raises(ModelNotLoaded):
                await rt.unload("other")
            backend.faults.fail_load("it is no model")
            with pytest.raises(ModelLoadError, match="it is no model"):
                await rt.load("bad", "y.gguf")

    run(main)


def test_a_turn_that_is_refused_raises_from_the_block(backend: FakeBackend, mode: Mode) -> None:
    gate = backend.faults.hold_decode(nth=2)

    async def main() -> None:
        async with open_model(backend, mode=mode, n_seq=1, engine=EngineOptions(queue_capacity=0)) as (
            _,
            model,
        ):
            first = asyncio.create_task(model.complete("first", max_tokens=8, temperature=0.0))
            await wait_until(lambda: gate.is_entered)
            with pytest.raises(Busy):  # noqa: PT012 - the block is what raises
                async with model.stream("second") as turn:
                    async for _piece in turn:
                        pytest.fail("a refused turn has no text")
            gate.release()
            assert (await first).finish_reason == "length"

    run(main)


def test_a_turn_that_is_late_raises_its_own_timeout(backend: FakeBackend, mode: Mode) -> None:
    gate = backend.faults.hold_decode(nth=2)

    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            with pytest.raises(TurnTimeout):
                await model.complete("hello", temperature=0.0, timeout_s=0.05)
            gate.release()

    run(main)


def test_a_crash_on_the_other_side_reaches_the_reader_and_the_block(backend: FakeBackend, mode: Mode) -> None:
    backend.faults.fail_decode(-3, nth=4)

    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            with pytest.raises(ModelUnavailable):  # noqa: PT012 - the block is what raises
                async with model.stream("hello", max_tokens=40, window=40) as turn:
                    async for _piece in turn:
                        pass
                    pytest.fail("the end of a failed turn is no end of its text")

    run(main)


def test_a_block_that_reads_nothing_hears_of_a_failed_turn_at_its_end(
    backend: FakeBackend, mode: Mode
) -> None:
    backend.faults.fail_decode(-3, nth=4)

    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            with pytest.raises(ModelUnavailable):  # noqa: PT012 - the block is what raises
                async with model.stream("hello", max_tokens=40, window=40) as turn:
                    reader = turn._reader
                    await wait_until(lambda: reader.job.is_ended)

    run(main)


def test_unloading_a_model_ends_its_turns_with_a_typed_error(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (rt, model):
            with pytest.raises(TurnCancelled):  # noqa: PT012 - the block is what raises
                async with model.stream("hello", temperature=0.0, window=4) as turn:
                    await anext(turn)
                    await rt.unload("fake", grace_s=0.0)
                    async for _piece in turn:
                        pass

    run(main)


def test_an_error_of_the_readers_own_comes_out_as_it_is(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with open_model(backend, mode=mode) as (_, model):
            with pytest.raises(ZeroDivisionError, match="mine"):  # noqa: PT012 - the block is what raises
                async with model.stream("hello", window=2) as turn:
                    async for _piece in turn:
                        raise ZeroDivisionError("mine")
            await wait_until_idle(model)

    run(main)
