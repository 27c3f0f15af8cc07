"""Who asks for a turn from another loop or thread is known where the turn is told."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Literal

from actorllama import aio
from actorllama.runtime.events import TURN_ASKED
from actorllama.telemetry import Bus, Event, Measurements, Metadata
from actorllama.testing.fake_backend import FakeBackend
from tests.aio.aio_rig import run

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="nobody's")


@contextmanager
def hearing(bus: Bus) -> Generator[list[str], None, None]:
    """Note in whose context turns are asked for."""
    heard: list[str] = []

    def note(_event: Event, _numbers: Measurements, about: Metadata, _config: None) -> None:
        context = about["context"]
        assert isinstance(context, Context)
        heard.append(context.get(REQUEST, "nobody's"))

    bus.attach("asking", TURN_ASKED, note, None)
    yield heard
    bus.detach("asking")


def test_turns_of_asyncio_tasks_are_asked_for_in_the_contexts_of_those(
    backend: FakeBackend, mode: Literal["thread", "guest"]
) -> None:
    bus = Bus()

    async def ask(model: aio.AsyncModel, name: str) -> None:
        REQUEST.set(name)
        await model.complete("hello", max_tokens=2)
        async with model.stream("hello", max_tokens=2) as turn:
            async for _ in turn:
                pass

    async def main() -> None:
        async with aio.open_runtime(mode=mode, backend=backend, bus=bus) as rt:
            model = await rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=64)
            with hearing(bus) as heard:
                await asyncio.gather(ask(model, "one"), ask(model, "two"))
        assert sorted(heard) == ["one", "one", "two", "two"]

    run(main)


def test_turns_of_blocking_callers_are_asked_for_in_their_contexts(backend: FakeBackend) -> None:
    bus = Bus()
    token = REQUEST.set("mine")
    try:
        with aio.open_blocking_runtime(backend=backend, bus=bus) as rt, hearing(bus) as heard:
            rt.load("fake", "x.gguf", n_seq=2, ctx_per_seq=64).complete("hello", max_tokens=2)
    finally:
        REQUEST.reset(token)

    assert heard == ["mine"]
