"""What people try first and should not: each says what to do instead, and nothing hangs."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, cast

import pytest
import trio

import actorllama
from actorllama import aio
from actorllama.errors import RequestError, StateError
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import CTX, open_model, run

Mode = Literal["thread", "guest"]


def test_the_trio_face_under_asyncio_names_the_other_one(backend: FakeBackend) -> None:
    async def main() -> None:
        with pytest.raises(StateError, match=r"take actorllama\.aio\.open_runtime"):
            async with actorllama.open_runtime(backend=backend):
                pytest.fail("there is no trio")

    run(main)


async def test_the_asyncio_face_under_trio_names_the_other_one(backend: FakeBackend) -> None:
    with pytest.raises(StateError, match=r"take actorllama\.open_runtime"):
        async with aio.open_runtime(backend=backend):
            pytest.fail("there is no asyncio")


def test_a_verb_of_the_asyncio_face_under_trio_names_the_other_one(backend: FakeBackend) -> None:
    async def main() -> None:
        async with open_model(backend) as (_, model):

            async def complete() -> None:
                await model.complete("hello")

            with pytest.raises(StateError, match="no asyncio loop runs here"):
                await asyncio.to_thread(trio.run, complete)

    run(main)


def test_a_mode_that_there_is_not_is_refused(backend: FakeBackend) -> None:
    async def main() -> None:
        with pytest.raises(RequestError, match="'thread' or 'guest'"):
            async with aio.open_runtime(mode=cast("Mode", "process"), backend=backend):
                pytest.fail("it was refused at the door")

    run(main)


def test_a_turn_is_not_read_in_another_loop(backend: FakeBackend, mode: Mode) -> None:
    async def main() -> None:
        async with (
            open_model(backend, mode=mode) as (_, model),
            model.stream("hello", max_tokens=8, temperature=0.0, window=2) as turn,
        ):
            with pytest.raises(StateError, match="another loop opened it"):
                await asyncio.to_thread(asyncio.run, turn.__anext__())
            assert "".join([piece.text async for piece in turn]) == turn.result.text

    run(main)


def test_a_turn_is_not_read_on_another_thread(backend: FakeBackend) -> None:
    with aio.open_blocking_runtime(backend=backend) as rt, ThreadPoolExecutor(1) as pool:
        model = rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=CTX)
        with model.stream("hello", max_tokens=8, temperature=0.0, window=2) as turn:
            with pytest.raises(StateError, match="another thread opened it"):
                pool.submit(next, turn).result(timeout=180)
            assert "".join(piece.text for piece in turn) == turn.result.text


def test_a_result_that_is_asked_for_too_early_says_what_comes_first(backend: FakeBackend) -> None:
    async def main() -> None:
        async with open_model(backend) as (_, model), model.stream("hello", window=2) as turn:
            with pytest.raises(StateError, match="Read it to its end first"):
                _ = turn.result

    run(main)


def test_a_script_that_runs_inside_a_loop_works_and_holds_it_up(backend: FakeBackend) -> None:
    """As in a notebook, whose loop runs already."""

    async def main() -> None:
        with aio.open_blocking_runtime(backend=backend) as rt:
            model = rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=CTX)
            assert model.complete("hello", max_tokens=4, temperature=0.0).text

    run(main)
