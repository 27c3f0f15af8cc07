"""The verbs without ``await``, for scripts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from actorllama.aio import BlockingModel, BlockingRuntime, open_blocking_runtime
from actorllama.errors import (
    ModelLoadError,
    ModelNotLoaded,
    ModelUnavailable,
    RequestError,
    RuntimeClosed,
    StateError,
)
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import CTX
from tests.runtime.model_rig import expected


@contextmanager
def open_model(
    backend: FakeBackend, *, n_seq: int = 2
) -> Generator[tuple[BlockingRuntime, BlockingModel], None, None]:
    with open_blocking_runtime(backend=backend) as rt:
        yield rt, rt.load("fake", "x.gguf", n_seq=n_seq, ctx_per_seq=CTX)


def wait_until_idle(model: BlockingModel) -> None:
    while model.status().n_free_slots < model.context_options.n_seq:
        pass


def test_a_script_takes_a_turn(backend: FakeBackend) -> None:
    with open_model(backend) as (rt, model):
        result = model.complete("hello", max_tokens=12, temperature=0.0)
        assert result.tokens == expected(backend, "hello", max_tokens=12).tokens
        assert [status.name for status in rt.models()] == ["fake"]
        assert rt.model("fake").status().n_live == 0
        rt.unload("fake")
        with pytest.raises(ModelNotLoaded):
            rt.model("fake")


def test_a_script_reads_pieces_that_add_up_to_the_result(backend: FakeBackend) -> None:
    with open_model(backend) as (_, model):
        with model.stream("hello", max_tokens=40, temperature=0.0, window=4) as turn:
            with pytest.raises(StateError):
                _ = turn.result
            text = "".join(piece.text for piece in turn)
        assert text == turn.result.text == expected(backend, "hello", max_tokens=40).text


def test_a_script_that_leaves_a_turn_early_frees_its_sequence(backend: FakeBackend) -> None:
    with open_model(backend, n_seq=1) as (_, model):
        with model.stream("hello", temperature=0.0, window=4) as turn:
            next(turn)
        wait_until_idle(model)
        assert not turn.is_done


def test_a_script_hears_errors_with_their_types(backend: FakeBackend) -> None:
    backend.faults.fail_load("it is no model", nth=2)
    with open_model(backend) as (rt, model):
        with pytest.raises(ModelLoadError, match="it is no model"):
            rt.load("bad", "y.gguf")
        with pytest.raises(RequestError):
            model.complete("hello", max_tokens=-1)
        with pytest.raises(RequestError), model.stream("hello", window=1):
            pytest.fail("it was refused at the door")
        backend.faults.fail_decode(-3, nth=4)
        with pytest.raises(ModelUnavailable):  # noqa: PT012, SIM117 - the block is what raises
            with model.stream("hello", max_tokens=40, window=40) as turn:
                for _piece in turn:
                    pass
                pytest.fail("the end of a failed turn is no end of its text")
    with pytest.raises(RuntimeClosed):
        model.complete("hello")


def test_an_interrupted_call_is_cancelled_and_the_interruption_comes_out(backend: FakeBackend) -> None:
    """What Ctrl-C does, from the same place: out of the wait."""
    with open_model(backend, n_seq=1) as (_, model):
        job = None

        class Interruption(BaseException):
            pass

        def interrupt() -> None:
            raise Interruption

        gate = backend.faults.hold_decode(nth=2)

        def post_when_held() -> None:
            nonlocal job
            while not gate.is_entered:
                pass
            (job,) = list(model._bridge.portal._jobs)
            job.inbox.post(interrupt)

        helper = threading.Thread(target=post_when_held)
        helper.start()
        with pytest.raises(Interruption):
            model.complete("hello", temperature=0.0)
        helper.join()
        gate.release()
        wait_until_idle(model)


def test_an_interrupted_load_leaves_nothing_behind(backend: FakeBackend) -> None:
    gate = backend.faults.hold_load()

    class Interruption(BaseException):
        pass

    def interrupt() -> None:
        raise Interruption

    def post_when_held() -> None:
        while not gate.is_entered:
            pass
        (job,) = list(rt._portal._jobs)
        job.inbox.post(interrupt)

    with open_blocking_runtime(backend=backend) as rt:
        helper = threading.Thread(target=post_when_held)
        helper.start()
        with pytest.raises(Interruption):
            rt.load("fake", "x.gguf", n_seq=1, ctx_per_seq=CTX)
        helper.join()
        gate.release()
        assert rt.models() == ()


def test_a_thread_that_ended_inside_a_turn_loses_it(backend: FakeBackend) -> None:
    with open_model(backend, n_seq=1) as (_, model):
        left: list[object] = []

        def begin_and_leave() -> None:
            stream = model.stream("hello", temperature=0.0, window=4)
            stream.__enter__()
            left.append(stream)

        thread = threading.Thread(target=begin_and_leave)
        thread.start()
        thread.join()
        wait_until_idle(model)


def test_several_threads_of_a_script_take_turns_side_by_side(backend: FakeBackend) -> None:
    texts: dict[str, str] = {}
    with open_model(backend) as (_, model):

        def read(prompt: str) -> None:
            with model.stream(prompt, max_tokens=30, temperature=0.0, window=4) as turn:
                texts[prompt] = "".join(piece.text for piece in turn)

        threads = [threading.Thread(target=read, args=(prompt,)) for prompt in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == {prompt: expected(backend, prompt, max_tokens=30).text for prompt in "abcd"}


def test_the_blocking_face_works_beside_a_running_loop(backend: FakeBackend) -> None:
    async def cell() -> str:
        with open_model(backend) as (_, model):
            return model.complete("hello", max_tokens=12, temperature=0.0).text

    assert asyncio.run(cell()) == expected(backend, "hello", max_tokens=12).text
