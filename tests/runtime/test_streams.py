"""Turns that are read while they run."""

from __future__ import annotations

import pytest
import trio

from actorllama.errors import (
    Busy,
    ModelUnavailable,
    StateError,
)
from actorllama.testing.fake_backend import FakeBackend
from tests.runtime.model_rig import expected, greedy, open_model, wait_until_idle

pytestmark = pytest.mark.usefixtures("loop_stays_free")


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
        with trio.fail_after(60), pytest.raises(ModelUnavailable):
            async with model.stream("hello", max_tokens=40):
                await trio.sleep_forever()


async def test_the_window_of_a_stream_comes_from_the_configuration(backend: FakeBackend) -> None:
    async with open_model(backend, stream_window=3) as (_, model):
        async with model.stream("slow", temperature=0.0):
            while (status := await model.status()).statistics is None or status.statistics.n_decoded < 2:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(backend.batches) == 3, "a token of the prompt's own step, and two more"
